"""``launch``: one kernel, started race-free, watched, and ended with its block."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from moorage.directory import working_directory
from moorage.discovery.finder import entered, resolve
from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import DeadlineExceeded, KernelDied, StartDeath
from moorage.kernel import apart
from moorage.kernel.activity import Activity
from moorage.kernel.client import Client, InputProvider, Receiver, Result
from moorage.kernel.quirks import ends_by_shell, interrupt_mode, late_output, preparation, published
from moorage.kernel.shown import shown
from moorage.kernel.supervisor import Supervisor, last_words
from moorage.kinds import kind_of
from moorage.plan.lifecycle import Answered, DeadlinePassed, Status
from moorage.process.base import ExitStatus, Handle, Isolate, Launcher, LaunchSpec
from moorage.process.environment import Changes, changed
from moorage.process.explain import few_descriptors
from moorage.process.kernel_directory import Owner, hand_over, private_directory
from moorage.process.local import Fork, LocalLauncher, Warden, shared_warden
from moorage.process.options import ProcessOptions
from moorage.process.warden.client import end_outliving
from moorage.rendezvous.base import Choice, Rendezvous, Way
from moorage.rendezvous.choice import check, known_as, make, spare, ways
from moorage.rendezvous.ipc import NoSockets, refused
from moorage.rendezvous.memory import Outcome, memory
from moorage.tasks import beside
from moorage.wire import messages
from moorage.wire.connection import ConnectionInfo

_log = logging.getLogger("moorage.kernel")

# What a surrounding kernel or server says to *its* kernels: untrue for ours.
_NOT_INHERITED = ("JPY_PARENT_PID", "JPY_SESSION_NAME", "JPY_INTERRUPT_EVENT")

# A kernel that says it registers must have done so in that many seconds, or another way is tried. xeus and
# ark give up five seconds after they have asked; what comes before is their start on a busy machine.
_REGISTERED = 10.0


class Kernel:
    """A running kernel that belongs to the block it was launched in."""

    def __init__(
        self,
        spec: KernelSpec,
        meeting: Rendezvous,
        supervisor: Supervisor,
        client: Client,
        info: dict[str, Any],
    ) -> None:
        """Made by :func:`launch`; ``info`` is the kernel's ``kernel_info_reply``."""
        self.spec = spec
        self.client = client
        self.info = info
        self.rendezvous = meeting.way
        self.connection_file = meeting.connection_file
        self._meeting = meeting
        self._supervisor = supervisor
        self._activity = Activity()
        client.listen(self._activity.handle)
        client.published = published(spec.argv, info)

    def __repr__(self) -> str:
        return shown(type(self).__name__, self.spec.called, self.status, self.rendezvous)

    @property
    def status(self) -> Status:
        """What is true of the kernel now."""
        return self._supervisor.status

    @property
    def process(self) -> Handle:
        """The kernel's process: pid, memory, output, whether it was forked; after a restart another one."""
        return self._supervisor.handle

    async def execute(
        self, code: str, *, receive: Receiver | None = None, stdin: InputProvider | None = None
    ) -> Result:
        """Run code; see :meth:`moorage.kernel.client.Client.execute`."""
        late = late_output(self.spec.argv, self.info)
        return await self.client.execute(code, receive=receive, stdin=stdin, late_output=late)

    def interrupt(self) -> None:
        """Interrupt what runs, by signal or by message as the kernel wants it. Returns at once.

        Where nothing runs nothing is sent: IRkernel may die of a signal then, and others lose what they
        are asked next.
        """
        if not (self.client.busy or self._activity.busy):
            return
        if interrupt_mode(self.spec.interrupt_mode, self.info) == "message":
            self.client.request("control", messages.interrupt_request())
        else:
            self._supervisor.handle.send_signal(signal.SIGINT)

    def expire(self) -> None:
        """End the kernel because a deadline passed: SIGTERM, then kill the tree. Returns at once."""
        self._supervisor.tell(DeadlinePassed())

    async def shutdown(self, *, grace: float = 5.0, at_once: bool = False) -> ExitStatus:
        """End the kernel: ask, then SIGTERM, then kill the whole tree.

        Args:
            grace: seconds to wait after each of the first two.
            at_once: kill the tree without asking.

        Returns:
            How it ended. Cancelling stops the wait; the ladder goes on, and leaving the block kills.
        """
        self._supervisor.stop(grace=grace, at_once=at_once)
        return await self._supervisor.wait()

    async def restart(self, *, timeout: float = 60.0) -> None:  # noqa: ASYNC109 - one deadline for three steps
        """Kill the kernel's tree and start it anew at the same addresses; clients stay connected.

        One that registers moves: this client goes with it, others find the new addresses in the
        connection file.

        Args:
            timeout: seconds until the new kernel must answer.

        Raises:
            StartDeath, DeadlineExceeded: as from :func:`launch`.
            KernelDied: it had ended already, or is being ended.
        """
        deadline = _Deadline(timeout, self.spec.kernel_type)
        self._supervisor.restart()
        self._activity.forget()
        if self.client.published is not None:
            self.client.published.forget()
        await deadline.started(self._supervisor)
        addresses = await _addresses(self._meeting, self._supervisor, deadline)
        await _await_ready(self.spec, self.client, self._supervisor, deadline, addresses)


def not_forked(handle: Handle) -> str:
    """Return why a process was spawned and not forked from a template; empty where it was forked."""
    return str(getattr(handle, "not_forked", "its launcher forks nothing"))


@asynccontextmanager
async def launch(
    kernel_type: str | KernelSpec = "python3",
    *,
    cwd: str | Path | None = None,
    env: Changes | None = None,
    rendezvous: Choice = "auto",
    kernel_args: Sequence[str] = (),
    timeout: float = 60.0,  # noqa: ASYNC109 - one deadline for three steps
    warden: Warden | None = None,
    fork: Fork = "auto",
    isolate: Isolate = "none",
    process: ProcessOptions | None = None,
) -> AsyncIterator[Kernel]:
    """Launch a kernel that lives as long as the ``async with`` block.

    Args:
        kernel_type: a name (``python3``, ``spec/ir``) or a kernelspec.
        cwd: the kernel's working directory; default is the present one.
        env: added to this process's environment; None unsets a variable.
        rendezvous: how to agree on addresses; ``auto`` picks what suits the kernel.
        kernel_args: appended to the kernel's command.
        timeout: seconds until the kernel must have answered.
        warden: who shall own the process; default is this loop's.
        fork: fork it from a template with its imports done, where that can be done (Linux, ipykernel
            and kernels built on it): True always, False never, ``auto`` from the second one alike on.
        isolate: ``net`` gives it a network namespace of its own, in which nothing is but a loopback.
        process: user, group, umask, limits and descriptors, where they are not to be this process's. Such a
            kernel is never forked from a template.

    Yields:
        The kernel, proven to hear and to be heard. Leaving the block ends it and everything it
        started, and returns when nothing of it is left.

    Raises:
        KernelTypeNotFound: there is no such kernel type.
        UsageError: a value has the wrong type, names what there is not, or does not go with another.
        IsolationError: this machine gives no network namespace.
        LaunchError: its program or the working directory cannot be used.
        StartDeath: it ended before it answered; the message carries its exit status and last output.
        DeadlineExceeded: it did not answer in time.

    Cancelling while it starts kills it.
    """
    spec = await resolve(kernel_type) if isinstance(kernel_type, str) else kernel_type
    deadline = _Deadline(timeout, spec.kernel_type)
    check(spec.argv, rendezvous)
    owner = None if process is None else process.owner()
    wanted = apart.meeting_by(rendezvous, isolate)
    tries = apart.for_owner(owner, ways(spec, wanted), rendezvous)
    tries += spare(spec, wanted, tries)
    async with AsyncExitStack() as stack:
        warden = await stack.enter_async_context(shared_warden()) if warden is None else warden
        directory = stack.enter_context(private_directory(warden, owner))
        name = f"kernel-{secrets.token_hex(8)}"
        stack.push_async_callback(end_outliving, warden, name)
        around = await entered(spec, changed(_surroundings(warden.pid), env))
        described = LaunchSpec(argv=(), cwd=_absolute(cwd or "."), env=around, options=process, kernel=name)
        launcher: Launcher = LocalLauncher(warden, fork=fork)
        if spec.launcher is not None:
            launcher = spec.launcher(launcher)
        start = _Start(spec, tuple(kernel_args), described, directory, owner, launcher, rendezvous, isolate)
        kernel = await _started(stack, tries, start, deadline)
        if tries[0] == "handshake":
            outcome: Outcome = "registers" if kernel.rendezvous == "handshake" else "does not register"
            memory().remember(known_as(spec), outcome)
        yield kernel
        await kernel.shutdown()


def _absolute(path: str | Path) -> str:
    return str(path if Path(path).is_absolute() else working_directory() / path)


def _surroundings(parent: int) -> dict[str, str]:
    """Return the environment of a kernel: ours, with the name of the process that will be its parent."""
    inherited = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}
    # ipykernel watches that process, and without this explains Ctrl-C on stdout.
    return inherited | {"JPY_PARENT_PID": str(parent)}


class _Deadline:
    """When a kernel must have answered, and how to say that it did not."""

    def __init__(self, seconds: float, kernel_type: str) -> None:
        self._seconds = seconds
        self._kernel_type = kernel_type
        self.at = asyncio.get_running_loop().time() + seconds

    def sooner(self, seconds: float) -> _Deadline:
        """Return one that passes in so many seconds, or with this one."""
        result = _Deadline(seconds, self._kernel_type)
        result.at = min(result.at, self.at)
        return result

    async def started(self, supervisor: Supervisor) -> None:
        """Wait until there is a process.

        Raises:
            LaunchError, WardenLost: there never will be one.
            DeadlineExceeded: there is none yet.
        """
        try:
            async with asyncio.timeout_at(self.at):
                await supervisor.started()
        except TimeoutError:
            raise DeadlineExceeded(
                f"the kernel {self._kernel_type} was not started within {self._seconds:g} s",
                why="The machine is very busy, or a process of moorage's was stopped",
                do="Try again",
            ) from None

    def passed(self, supervisor: Supervisor) -> Exception:
        """Give the kernel up; returns what to raise."""
        if supervisor.handle.exit_status is not None:
            return supervisor.start_death()
        supervisor.tell(DeadlinePassed())
        return DeadlineExceeded(
            f"the kernel {self._kernel_type} did not answer within {self._seconds:g} s",
            why=last_words(supervisor.handle.output()) or "It runs, and said nothing",
            do=few_descriptors() or "Start it by hand to see what it does",
        )


@dataclass(frozen=True)
class _Start:
    """What is to be started, but for the rendezvous and so the command."""

    spec: KernelSpec
    kernel_args: tuple[str, ...]
    process: LaunchSpec
    directory: Path
    owner: Owner
    launcher: Launcher
    rendezvous: Choice
    isolate: Isolate

    @asynccontextmanager
    async def by(self, way: Way, deadline: _Deadline) -> AsyncIterator[tuple[Rendezvous, Supervisor]]:
        """Start it with one rendezvous; leaving the block ends it."""
        spec = self.spec
        meeting = make(way, self.directory, secrets.token_hex(32).encode(), spec.called, spec)
        with closing(meeting):
            launcher, file = await apart.settled(
                self.isolate, self.launcher, spec.argv, self.rendezvous, meeting
            )
            hand_over(self.directory, self.owner)
            supervisor = Supervisor(
                spec.kernel_type,
                replace(self.process, argv=spec.command(file, self.kernel_args)),
                launcher,
                ends_by_shell=kind_of(spec.argv).ends_by_shell,
                renew=meeting.renew,
                answered=meeting.answered,
            )
            async with beside(supervisor.keep(), name=f"keep {spec.name}"):
                await deadline.started(supervisor)
                yield meeting, supervisor


async def _started(stack: AsyncExitStack, tries: Sequence[Way], start: _Start, deadline: _Deadline) -> Kernel:
    """Start the kernel in the first way that works: in the next where it does not register or bind ipc."""
    for way in tries:
        last = way is tries[-1]
        async with AsyncExitStack() as attempt:
            try:
                kernel = await _tried(attempt, way, start, deadline, last=last)
            except (NoSockets, StartDeath) as error:
                if last or way != "ipc" or not (isinstance(error, NoSockets) or refused(error.output)):
                    raise
                _log.warning("%s is started with TCP ports: %s", start.spec.kernel_type, error)
                continue
            if kernel is not None:
                await stack.enter_async_context(attempt.pop_all())
                return kernel
    raise AssertionError("there is always a way to try")


async def _tried(
    attempt: AsyncExitStack, way: Way, start: _Start, deadline: _Deadline, *, last: bool
) -> Kernel | None:
    """Start the kernel in one way; None where it dies or is silent instead of registering."""
    meeting, supervisor = await attempt.enter_async_context(start.by(way, deadline))
    try:
        patience = deadline if last else deadline.sooner(_REGISTERED)
        addresses = await _addresses(meeting, supervisor, patience)
    except (DeadlineExceeded, KernelDied):
        if last or way != "handshake":
            raise
        return None
    client = Client(addresses, secrets.token_hex(8), lambda: secrets.token_hex(16))
    await attempt.enter_async_context(client)
    supervisor.attach(client)
    info = await _await_ready(start.spec, client, supervisor, deadline, addresses)
    return Kernel(start.spec, meeting, supervisor, client, info)


async def _addresses(meeting: Rendezvous, supervisor: Supervisor, deadline: _Deadline) -> ConnectionInfo:
    """Wait for the addresses, for the kernel's death or for the deadline, whichever is first."""
    waiting = True
    try:
        async with asyncio.timeout_at(deadline.at) as patience:
            # The kernel's death moves the deadline to now.
            supervisor.on_end(lambda: patience.reschedule(0) if waiting and not patience.expired() else None)
            return await meeting.addresses()
    except TimeoutError:
        raise deadline.passed(supervisor) from None
    finally:
        waiting = False


async def _await_ready(
    spec: KernelSpec,
    client: Client,
    supervisor: Supervisor,
    deadline: _Deadline,
    addresses: ConnectionInfo,
) -> dict[str, Any]:
    try:
        async with asyncio.timeout_at(deadline.at):
            info = await client.ready(addresses)
            if code := preparation(info):
                await client.execute(code, silent=True, store_history=False)
    except KernelDied:
        raise supervisor.start_death() from None
    except TimeoutError:
        raise deadline.passed(supervisor) from None
    supervisor.tell(Answered(), ends_by_shell=ends_by_shell(spec.argv, info))
    return info
