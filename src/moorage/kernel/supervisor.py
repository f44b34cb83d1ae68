"""Watches one kernel's process: carries out what its lifecycle says, and tells all that wait of its death."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from moorage.errors import KernelDied, MoorageError, StartDeath, WardenLost
from moorage.kernel.clients import Clients
from moorage.plan import clock, lifecycle
from moorage.plan.lifecycle import Lifecycle, Status
from moorage.process.base import KILL, ExitStatus, Handle, Launcher, LaunchSpec
from moorage.process.environment import Changes, changed
from moorage.process.explain import few_descriptors

_SAID_ALWAYS = "[IPKernelApp] WARNING | Kernel is running over TCP without encryption."


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
        self._lifecycle = Lifecycle(self._loop.time())
        self._started: asyncio.Future[Handle] = self._loop.create_future()
        self._ended: asyncio.Future[ExitStatus] = self._loop.create_future()
        self._processes: list[Handle] = []
        self._timers: list[asyncio.TimerHandle] = []
        self._subscribers: list[Callable[[Status], None]] = []
        self.clients = Clients(lambda: self.start_death() if self._ended.done() else None)
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
        return await asyncio.shield(self._started)

    async def wait(self) -> ExitStatus:
        """Wait until the process has ended for good. Cancelling is safe.

        Raises:
            WardenLost: it cannot be known any more.
        """
        return await asyncio.shield(self._ended)

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
        self.clients.activity.forget()
        if not isinstance(self.status, lifecycle.Restarting | lifecycle.Starting):
            raise KernelDied("the kernel cannot be restarted", why="It has ended or is about to")
        if self._started.done():
            self._started = self._loop.create_future()
        error = MoorageError("the kernel was restarted while a request was under way")
        self.clients.fail(error, replaced=True)

    async def keep(self) -> None:
        """Run the process, and again for every restart, until it ends for good.

        Cancelling ends the process and everything it started, and tells all that wait for it; one that is not
        owned runs on.
        """
        try:
            while await self._run():
                pass
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
            f"the kernel {self._kernel_type} died while starting: {exit_status.describe()}",
            why=last_words(output) or "It said nothing",
            do=few_descriptors(),
            exit_status=exit_status,
            output=output,
        )

    async def _run(self) -> bool:
        """Run the process once; True when it is to run again."""
        self._renew()
        async with self._launcher.launch(self._spec) as handle:
            self._processes[:] = [handle]
            self._feed(lifecycle.Launched(handle.pid))
            if not self._started.done():
                self._started.set_result(handle)
            try:
                exit_status = await handle.wait()
                if isinstance(self.status, lifecycle.Running):
                    # What the kernel said before it died may still be on its way.
                    await self.clients.receive_rest()
            except asyncio.CancelledError:
                if self._owned:  # the block is left: it ends here, and what still waits for it is told
                    self._on_exit(await handle.kill(), handle.output())
                raise
            return self._on_exit(exit_status, handle.output())

    def _feed(self, event: lifecycle.Event) -> bool:
        """Give the machine an event and carry out what it says; True when the process is to run again."""
        again = False
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
                    again = True
                case clock.WakeAt(at):
                    self._timers.append(self._loop.call_at(at, self._feed, clock.Tick()))
                case _:
                    assert_never(command)
        return again

    def _notify(self, call: Callable[[Status], None], status: Status) -> None:
        if call in self._subscribers:
            call(status)

    def _on_exit(self, exit_status: ExitStatus, output: str) -> bool:
        again = self._feed(
            lifecycle.Died(exit_status.code, exit_status.signal, exit_status.out_of_memory, output)
        )
        if not again:
            error = KernelDied(
                f"the kernel died: {exit_status.describe()}",
                why=last_words(output) or self._silent,
                exit_status=exit_status,
                output=output,
            )
            self.clients.fail(error, for_good=True)
            self._ended.set_result(exit_status)
            if not self._started.done():  # told to end while it was being restarted
                self._started.set_exception(error)
                self._started.exception()  # raised where it is awaited, if it is
        return again

    def _disarm(self) -> None:
        """Let go of the timers: each keeps all that is here until it is due, clients and what they heard."""
        while self._timers:
            self._timers.pop().cancel()

    def _give_up(self, error: MoorageError) -> None:
        self._feed(lifecycle.WatcherLost())
        self.clients.fail(error, for_good=True)
        for future in (self._started, self._ended):
            if not future.done():
                future.set_exception(error)
                future.exception()  # raised where it is awaited, if it is


def last_words(output: str, most: int = 2000) -> str:
    """Return the end of a process's output, fit for an error message.

    Without what every ipykernel says that is told to use TCP: it explains no end.
    """
    text = "\n".join(line for line in output.splitlines() if not line.startswith(_SAID_ALWAYS)).strip()
    return text if len(text) <= most else "…" + text[-most:]
