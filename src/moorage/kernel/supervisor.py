"""Watches one kernel's process: carries out what its lifecycle says, and tells all that wait of its death."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import assert_never

from moorage.errors import KernelDied, MoorageError, StartDeath, WardenLost
from moorage.kernel.clients import Clients
from moorage.kernel.standstill import standstill_of
from moorage.kinds import SAID_ALWAYS
from moorage.plan import clock, lifecycle
from moorage.plan.lifecycle import Exited, Lifecycle, Restarting, Starting, Status
from moorage.plan.restart import RestartPolicy
from moorage.process.base import KILL, ExitStatus, Handle, Launcher, LaunchSpec
from moorage.process.environment import Changes, changed
from moorage.process.explain import few_descriptors
from moorage.tasks import beside, result_of

_SILENT = "started again, it did not answer in time, and was killed"


class Supervisor:
    """One kernel's process, launched or found, from its beginning to its end, restarts included.

    Attributes:
        clients: those of this process; they are told of the kernel's death.
    """

    def __init__(
        self,
        kernel_type: str,
        spec: LaunchSpec,
        launcher: Launcher,
        *,
        ends_by_shell: bool = False,
        renew: Callable[[], None] = lambda: None,
        answered: Callable[[], None] = lambda: None,
        owned: bool = True,
        silent: str = "",
        restarts: RestartPolicy | None = None,
        greet: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Describe the process; :meth:`keep` starts it.

        Args:
            kernel_type: for messages.
            spec: the process.
            launcher: starts it, or finds it (:mod:`moorage.kernel.found`).
            ends_by_shell: how it is asked to end, see :class:`moorage.kinds.Kind`.
            renew: called before each start, when nothing of an earlier process lives.
            answered: called when the process has answered.
            owned: it is ended when nothing watches it any more.
            silent: why a process that has died without a word has said none.
            restarts: when it is started again if it dies; None for never.
            greet: proves that a process that was started again hears and is heard, and calls :meth:`answer`.
                Cancelled where the process ends before.
        """
        self._renew = renew
        self._answered = answered
        self._ends_by_shell = ends_by_shell
        self._kernel_type = kernel_type
        self._spec = spec
        self._launcher = launcher
        self._owned = owned
        self._silent = silent
        self._loop = asyncio.get_running_loop()
        self._greet = greet
        self._lifecycle = Lifecycle(self._loop.time(), restarts)
        self._started: asyncio.Future[Handle] = self._loop.create_future()
        self._ended: asyncio.Future[ExitStatus] = self._loop.create_future()
        self._due = asyncio.Event()  # there is to be another process, or none any more
        self._processes: list[Handle] = []
        self._timers: list[asyncio.TimerHandle] = []
        self._subscribers: list[Callable[[Status], None]] = []
        self.clients = Clients(
            lambda: self.start_death() if self._ended.done() else None,
            lambda: standstill_of(self._processes[-1]) if self._processes else "",
            lambda why: self._feed(lifecycle.StoodStill(why)),
        )
        self._ended.add_done_callback(lambda _: self._disarm())

    @property
    def status(self) -> Status:
        """What is true of the kernel now."""
        return self._lifecycle.status

    @property
    def handle(self) -> Handle:
        """The process last started; raises what prevented its start."""
        return self._processes[-1] if self._processes else self._started.result()

    def subscribe(self, call: Callable[[Status], None]) -> Callable[[], None]:
        """Have ``call`` called soon after every change with the new status, in the loop's thread.

        It must not block; what it raises goes to the loop's exception handler.

        Returns:
            What ends the subscription; calling it again changes nothing.
        """
        self._subscribers.append(call)
        return lambda: self._subscribers.remove(call) if call in self._subscribers else None

    def relocate(self, cwd: str | None, env: Changes) -> None:
        """Have restarts begin elsewhere: in another directory, with ``env`` added to the environment."""
        around = changed(self._spec.env, env)
        self._spec = replace(self._spec, env=around, cwd=self._spec.cwd if cwd is None else cwd)

    async def started(self) -> Handle:
        """Wait until there is a process. Cancelling is safe.

        Raises:
            LaunchError, WardenLost: there never will be one.
        """
        return await result_of(self._started)

    async def wait(self) -> ExitStatus:
        """Wait until the process has ended for good. Cancelling is safe.

        Raises:
            WardenLost: it cannot be known any more.
        """
        return await result_of(self._ended)

    def answer(self, *, ends_by_shell: bool = False) -> None:
        """Take note that the kernel hears and is heard.

        Args:
            ends_by_shell: whether its answer says that it is to be asked to end on its shell channel.
        """
        self._ends_by_shell = self._ends_by_shell or ends_by_shell
        self._answered()
        self._feed(lifecycle.Answered())

    def stop(
        self,
        *,
        grace: float | None = None,
        ask: bool = True,
        at_once: bool = False,
        for_deadline: bool = False,
    ) -> None:
        """Begin to end the kernel. Returns at once.

        Args:
            grace: seconds to wait after it was asked, and after SIGTERM; None for 5, and for 2 after a
                deadline.
            ask: ask it to end before anything else.
            at_once: kill the tree without asking.
            for_deadline: a deadline passed: SIGTERM without asking, then kill the tree. That is the cause of
                its end, whatever else is given.
        """
        if for_deadline:
            self._feed(lifecycle.DeadlinePassed() if grace is None else lifecycle.DeadlinePassed(grace))
        else:
            self._feed(lifecycle.StopRequested(5.0 if grace is None else grace, at_once, ask))

    def restart(self) -> None:
        """Kill the tree and start the process again; requests under way fail.

        Raises:
            KernelDied: it has ended or is being ended, and stays so.
        """
        self._feed(lifecycle.RestartRequested())
        if not isinstance(self.status, Restarting | Starting):
            raise KernelDied("the kernel cannot be restarted", why="It has ended or is about to")
        self._await_another(_restarted())

    async def keep(self) -> None:
        """Run the process, and again for every restart, until it ends for good.

        Cancelling ends the process and everything it started, and tells all that wait for it; one that is not
        owned runs on.
        """
        try:
            while await self._run():
                await self._due.wait()
                self._due.clear()
                if isinstance(self.status, Exited):
                    break
        except MoorageError as error:
            self._give_up(error)
        except asyncio.CancelledError as error:
            self._disarm()
            if self._owned:
                self._give_up(MoorageError("the kernel is no longer watched", why=repr(error)))
            raise
        except BaseException as error:
            self._give_up(MoorageError("the kernel is no longer watched", why=repr(error)))
            raise

    def start_death(self) -> MoorageError:
        """Return the error that tells of a process that ended before the kernel answered."""
        if self._ended.done() and (error := self._ended.exception()) is not None:
            return error if isinstance(error, MoorageError) else WardenLost(str(error))
        exit_status = self.handle.exit_status or ExitStatus()
        output = self.handle.output()
        return StartDeath(
            f"the kernel {self._kernel_type} died while starting: "
            f"{exit_status.describe()}{_gave_up(self.status)}",
            why=last_words(output) or "It said nothing",
            do=few_descriptors(),
            exit_status=exit_status,
            output=output,
        )

    async def _run(self) -> bool:
        """Run the process once, until nothing of it is left; True when another may take its place."""
        again = bool(self._processes)
        if again:
            await self.clients.drop_unsent()
        self._renew()
        async with self._launcher.launch(self._spec) as handle:
            self._processes[:] = [handle]
            self._feed(lifecycle.Launched(handle.pid))
            if not self._started.done():
                self._started.set_result(handle)
            try:
                async with self._greeted(handle, again=again):
                    exit_status = await handle.wait()
                if isinstance(self.status, lifecycle.Running):
                    # What the kernel said before it died may still be on its way.
                    await self.clients.receive_rest()
            except asyncio.CancelledError:
                if self._owned:  # the block is left: it ends here, and what still waits for it is told
                    exit_status = await handle.kill()
                    if not isinstance(self.status, Restarting):
                        self.stop(at_once=True)
                    self._on_exit(exit_status, handle.output())
                raise
            self._on_exit(exit_status, handle.output())
        return not isinstance(self.status, Exited)

    @asynccontextmanager
    async def _greeted(self, handle: Handle, *, again: bool) -> AsyncIterator[None]:
        """Greet a process that was started again, for as long as the block lasts."""
        if self._greet is None or not again:
            yield
            return
        greet = self._greet

        async def work() -> None:
            try:
                await greet()
            except Exception:
                handle.send_signal(KILL)  # with the process ends the block, which raises this
                raise

        async with beside(work(), name=f"greet {self._kernel_type}"):
            yield

    def _feed(self, event: lifecycle.Event) -> None:
        """Give the machine an event and carry out what it says."""
        before = self.status
        commands = self._lifecycle.handle(event, self._loop.time())
        if self.status is not before:
            for call in self._subscribers:
                # Soon, so that what one raises keeps no command from being carried out.
                self._loop.call_soon(self._notify, call, self.status)
        for command in commands:
            match command:
                case lifecycle.AskToStop():
                    self.clients.ask_to_end(by_shell=self._ends_by_shell)
                case lifecycle.Terminate():
                    self.handle.send_signal(signal.SIGTERM)
                case lifecycle.KillTree():
                    # The leader falls; leaving the launcher's block takes the rest of the tree.
                    self.handle.send_signal(KILL)
                case lifecycle.Launch():
                    self._due.set()
                case clock.WakeAt(at):
                    self._timers.append(self._loop.call_at(at, self._feed, clock.Tick()))
                case _:
                    assert_never(command)
        if isinstance(self.status, Exited) and not self._ended.done():
            self._end(self.status)

    def _notify(self, call: Callable[[Status], None], status: Status) -> None:
        if call in self._subscribers:
            call(status)

    def _on_exit(self, exit_status: ExitStatus, output: str) -> None:
        announced = self.clients.activity.told_to_end
        self._feed(
            lifecycle.Died(exit_status.code, exit_status.signal, exit_status.out_of_memory, output, announced)
        )
        if isinstance(self.status, Restarting) and (death := self.status.death) is not None:
            pause = (self.status.at or 0.0) - death.since
            when = f" in {pause:.3g} s" if pause else ""
            how = _SILENT if death.cause == "deadline" else exit_status.describe()
            self._await_another(self._death(f"{how}; it is restarted{when}", restarting=True))

    def _await_another(self, error: MoorageError) -> None:
        """Have nothing that was asked of one process concern the next one."""
        if self._started.done():
            self._started = self._loop.create_future()
        self.clients.fail(error, replaced=True)

    def _end(self, status: Exited) -> None:
        """Tell all that wait that the kernel has ended for good."""
        exit_status = self.handle.exit_status or ExitStatus(status.code, status.signal)
        silent = status.gave_up and status.cause == "deadline"
        error = self._death(f"{_SILENT if silent else exit_status.describe()}{_gave_up(status)}")
        self.clients.fail(error, for_good=True)
        self._ended.set_result(exit_status)
        self._due.set()
        if not self._started.done():  # told to end while it was being restarted
            self._started.set_exception(error)
            self._started.exception()  # raised where it is awaited, if it is

    def _death(self, how: str, *, restarting: bool = False) -> KernelDied:
        output = self.handle.output()
        return KernelDied(
            f"the kernel died: {how}",
            why=last_words(output) or self._silent,
            exit_status=self.handle.exit_status,
            output=output,
            restarting=restarting,
        )

    def _disarm(self) -> None:
        """Let go of the timers: each keeps all that is here until it is due, clients and what they heard."""
        self.clients.standstill.close()
        while self._timers:
            self._timers.pop().cancel()

    def _give_up(self, error: MoorageError) -> None:
        self._feed(lifecycle.WatcherLost())
        self.clients.fail(error, for_good=True)
        for future in (self._started, self._ended):
            if not future.done():
                future.set_exception(error)
                future.exception()  # raised where it is awaited, if it is


def _restarted() -> MoorageError:
    return MoorageError("the kernel was restarted while a request was under way")


def _gave_up(status: Status) -> str:
    reason = status.gave_up if isinstance(status, Exited) else ""
    return f", and is not started again: {reason}" if reason else ""


def last_words(output: str, most: int = 2000) -> str:
    """Return the end of a process's output, fit for an error message.

    Without what every ipykernel says that is told to use TCP: it explains no end.
    """
    text = "\n".join(line for line in output.splitlines() if not line.startswith(SAID_ALWAYS)).strip()
    return text if len(text) <= most else "…" + text[-most:]
