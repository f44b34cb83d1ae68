"""How a kernel is started: resolved, given a place, tried in one way after another, and proven to answer."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from moorage.discovery.finder import resolve
from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import DeadlineExceeded, KernelDied, LaunchError, StartDeath, UsageError
from moorage.kernel.deadline import Deadline
from moorage.kernel.supervisor import Supervisor
from moorage.kinds import could_not_bind
from moorage.places.base import Place, Workspace, found_here
from moorage.places.here import Here
from moorage.plan.restart import RestartPolicy, policy_of
from moorage.process.base import LaunchSpec
from moorage.process.environment import Changes, changed
from moorage.rendezvous.base import Choice, Rendezvous, Way
from moorage.rendezvous.choice import known_as
from moorage.rendezvous.files import write_connection_file
from moorage.rendezvous.ipc import NoSockets
from moorage.rendezvous.memory import Outcome, memory
from moorage.tasks import beside
from moorage.wire.connection import ConnectionInfo

if TYPE_CHECKING:
    from moorage.kernel.kernel import Kernel

_log = logging.getLogger("moorage.kernel")

REGISTERED = 10.0
"""Seconds in which a kernel that is to register must have done so, or another way is tried. xeus and ark give
up five seconds after they have asked; what comes before is their start on a busy machine."""


def asked_place(place: Place | None, **here: Any) -> Place:
    """Return the place that a launch names: by itself, or by what is particular to this machine.

    Args:
        place: the one named, or None.
        **here: ``warden``, ``fork``, ``isolate`` and ``process`` of :func:`moorage.launch`.

    Raises:
        UsageError: both are named.
    """
    own = Here(here["fork"], here["isolate"], here["process"], here["warden"])
    if place is None:
        return own
    if own != Here():
        raise UsageError(
            "fork, isolate, process and warden say how this machine is used, and another place was named",
            do="Leave them out, or name moorage.places.here.Here with them as the place",
        )
    return place


def place_of(spec: KernelSpec, asked: Place) -> Place:
    """Return where a kernel runs: where the launch says, unless its kernel type says where.

    Args:
        spec: its kernelspec.
        asked: the place that the launch asks for; a :class:`~moorage.places.here.Here` asks for no more than
            its fields say.

    Raises:
        UsageError: the kernel type runs elsewhere, or both say different things of this machine.
    """
    own = spec.place
    if own is None or own == asked:
        return asked
    if isinstance(asked, Here):
        if isinstance(own, Here):
            return asked.joined(own)
        # What is left says how processes of this machine are made, and asks for nothing that could be missed.
        if asked.plain:
            return own
    raise UsageError(
        f"the kernel type {spec.kernel_type} runs on {own.name}, and the launch asks for {asked.name}",
        do="Leave out place, isolate and process, or launch another kernel type",
    )


@asynccontextmanager
async def started(
    kernel_type: str | KernelSpec,
    asked: Place,
    *,
    cwd: str | Path | None,
    env: Changes | None,
    rendezvous: Choice,
    kernel_args: tuple[str, ...],
    restarts: RestartPolicy | int | None,
    timeout: float,  # noqa: ASYNC109 - one deadline for all steps
) -> AsyncIterator[Kernel]:
    """Start a kernel for as long as the block lasts, with the arguments and errors of moorage.launch.

    ``asked`` is the place that the launch names, see :func:`place_of`.
    """
    policy = policy_of(restarts)
    spec, deadline = await _resolved(kernel_type, timeout)
    place = place_of(spec, asked)
    tries = place.ways(spec, rendezvous)
    async with AsyncExitStack() as stack:
        async with _in_time(place, spec, deadline):
            workspace = await stack.enter_async_context(place.open())
            around = await workspace.enter(spec, changed(workspace.environment, env))
        process = workspace.process(cwd, around)
        start = _Start(spec, place, kernel_args, process, workspace, rendezvous, policy)
        kernel = await _first_that_works(stack, tries, start, deadline)
        if tries[0] == "handshake":
            outcome: Outcome = "registers" if kernel.rendezvous == "handshake" else "does not register"
            memory().remember(known_as(spec), outcome)
        yield kernel
        await kernel.shutdown()


async def _resolved(kernel_type: str | KernelSpec, seconds: float) -> tuple[KernelSpec, Deadline]:
    """Return what is to be launched, and when it must have answered, counted from now."""
    if not isinstance(kernel_type, str):
        return kernel_type, Deadline(seconds, kernel_type.kernel_type)
    deadline = Deadline(seconds, kernel_type)
    async with deadline.covering(
        f"it was not found out what the kernel type {kernel_type} is",
        why="Its provider has not answered",
        do="Ask it again with `moorage kernels list --wait`",
    ):
        spec = await resolve(kernel_type)
    return spec, deadline.of(spec.kernel_type)


def _in_time(place: Place, spec: KernelSpec, deadline: Deadline) -> AbstractAsyncContextManager[None]:
    """Cancel what a place does in the block when the deadline passes."""
    return deadline.covering(
        f"{place.name} was not ready for the kernel {spec.kernel_type}",
        why="It neither did what was asked of it nor refused to",
        do="See whether it can be reached, or give the launch a longer timeout",
    )


class _Start(msgspec.Struct, frozen=True):
    """What is to be started, but for the rendezvous and so the command."""

    spec: KernelSpec
    place: Place
    kernel_args: tuple[str, ...]
    process: LaunchSpec
    workspace: Workspace
    wanted: Choice
    restarts: RestartPolicy | None

    @asynccontextmanager
    async def by(self, way: Way, deadline: Deadline) -> AsyncIterator[tuple[Rendezvous, Supervisor]]:
        """Begin to start it with one rendezvous; leaving the block ends it."""
        spec = self.spec
        key = secrets.token_hex(32).encode()
        async with _in_time(self.place, spec, deadline):
            agreed_on, file, listens = await self.workspace.agree(way, spec, self.wanted, key)
        process = replace(self.process, argv=spec.command(file, self.kernel_args), listens=listens)
        self.workspace.anticipate(process)
        with closing(Reached(agreed_on, self.workspace)) as rendezvous:
            supervisor = Supervisor(
                spec.kernel_type,
                process,
                self.workspace,
                ends_by_shell=spec.kind.ends_by_shell,
                renew=rendezvous.renew,
                answered=rendezvous.answered,
                restarts=self.restarts,
                greet=lambda: _greet_again(spec, rendezvous, supervisor),
            )
            async with beside(supervisor.keep(), name=f"keep {spec.name}"):
                # In the turn of the loop in which the process is asked for, and after that.
                asyncio.get_running_loop().call_soon(_import_client)
                await deadline.started(supervisor)
                yield rendezvous, supervisor


class Reached:
    """A kernel's rendezvous as clients here see it, with a file of their own where that differs."""

    def __init__(self, inner: Rendezvous, workspace: Workspace) -> None:
        """Describe it.

        Args:
            inner: the agreement, in addresses as the kernel sees them; closed with this one.
            workspace: knows where they are found from here.
        """
        self.connection_file = inner.connection_file
        self._inner = inner
        self._workspace = workspace

    @property
    def way(self) -> Way:
        """Which rendezvous it is."""
        return self._inner.way

    def renew(self) -> None:
        """Prepare for a process of the kernel."""
        self._inner.renew()

    def answered(self) -> None:
        """Take note that the kernel listens."""
        self._inner.answered()

    async def addresses(self) -> ConnectionInfo:
        """Return the addresses, waiting for the kernel to choose them where it is the one to choose.

        Raises:
            LaunchError: no way leads to them, or their file cannot be written.
        """
        there = await self._inner.addresses()
        here = await found_here(self._workspace, there)
        if here != there:
            self.connection_file = self._workspace.directory / "outside.json"
            try:
                write_connection_file(self.connection_file, here.to_dict())
            except OSError as error:
                why = error.strerror or str(error)
                raise LaunchError(f"{self.connection_file} cannot be written", why=why) from error
        return here

    def close(self) -> None:
        """Let go of what is held."""
        self._inner.close()
        if self.connection_file != self._inner.connection_file:
            self.connection_file.unlink(missing_ok=True)


def _import_client() -> None:
    """Import what speaks with kernels, to be called while one starts: it takes 20 ms, once in a process."""
    import moorage.kernel.kernel  # noqa: PLC0415 - see above
    import moorage.kernel.zmq_client  # noqa: PLC0415, F401 - see above


async def _greet_again(spec: KernelSpec, rendezvous: Rendezvous, supervisor: Supervisor) -> None:
    from moorage.kernel.kernel import greet_again  # noqa: PLC0415 - see _import_client

    await greet_again(spec, rendezvous, supervisor)


async def _first_that_works(
    stack: AsyncExitStack, tries: Sequence[Way], start: _Start, deadline: Deadline
) -> Kernel:
    """Start the kernel in the first way that works: in the next where it does not register or bind ipc."""
    for way in tries:
        last = way is tries[-1]
        async with AsyncExitStack() as attempt:
            try:
                rendezvous, supervisor = await attempt.enter_async_context(start.by(way, deadline))
                kernel = await _tried(attempt, start.spec, rendezvous, supervisor, deadline, last=last)
            except (NoSockets, StartDeath) as error:
                if last or way != "ipc" or not (isinstance(error, NoSockets) or could_not_bind(error.output)):
                    raise
                _log.warning("%s is started with TCP ports: %s", start.spec.kernel_type, error)
                continue
            if kernel is not None:
                await stack.enter_async_context(attempt.pop_all())
                return kernel
    raise AssertionError("there is always a way to try")


async def _tried(
    attempt: AsyncExitStack,
    spec: KernelSpec,
    rendezvous: Rendezvous,
    supervisor: Supervisor,
    deadline: Deadline,
    *,
    last: bool,
) -> Kernel | None:
    """Wait for a kernel that was started in one way; None where it does not register as it was to."""
    from moorage.kernel.kernel import Kernel, agreed, ready  # noqa: PLC0415 - see _import_client
    from moorage.kernel.zmq_client import zmq_client  # noqa: PLC0415 - see _import_client

    try:
        patience = deadline if last else deadline.sooner(REGISTERED)
        addresses = await agreed(rendezvous, supervisor, patience)
    except (DeadlineExceeded, KernelDied):
        if last or rendezvous.way != "handshake":
            raise
        return None
    client, transport, session = zmq_client(addresses, after_heartbeat=spec.kind.after_heartbeat)
    await attempt.enter_async_context(client)
    attempt.enter_context(supervisor.clients.attached(client, session, transport.move))
    info = await ready(spec, client, supervisor, deadline)
    return Kernel(spec, rendezvous, supervisor, client, info)
