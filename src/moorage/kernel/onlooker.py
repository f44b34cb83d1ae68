"""Watches one kernel that somebody else started: its status, its death, and its end where that is asked for.

Where its process is on this machine, a pidfd tells of its death. Elsewhere, and where only a go-between (an
ssh tunnel) is on this machine, the line does: the operating system over there hangs up when a process
ends. The heartbeat is not used: a kernel with one thread owes an echo for as long as it computes.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, assert_never

from moorage.errors import DeadlineExceeded, KernelDied, MoorageError, UsageError
from moorage.kernel.client import Client
from moorage.plan import lifecycle
from moorage.plan.lifecycle import Lifecycle, Status
from moorage.process.base import KILL, ExitStatus, Handle
from moorage.wire import messages
from moorage.wire.connection import ConnectionInfo
from moorage.wire.messages import Channel, Message

if sys.platform == "linux":
    from moorage.process.observed import watching

# How long nobody may be at a kernel's address (s) before it counts as gone: a line may be cut for a moment,
# and who owns the kernel may be starting it again.
_PATIENCE = 3.0
# How long an ipykernel at work for others may take to become idle (s) before it is asked on control to end,
# where it may hang: the answer to somebody's question has no more to it than that.
_SETTLES = 0.25


class Seen(Handle, Protocol):
    """A process of somebody else on this machine; see :class:`moorage.process.observed.ObservedProcess`."""

    @property
    def is_named(self) -> bool:
        """Whether its command names the connection file: then it is the kernel, and no go-between."""
        ...

    def catches(self, signum: int) -> bool:
        """Tell whether the process has a handler of its own for a signal."""
        ...

    def try_signal(self, signum: int) -> bool:
        """Send a signal to the process, and to its group where that is its own; False when it may not be."""
        ...


class Onlooker:
    """One kernel of somebody else, from the moment it was found until it ends or nobody looks any more."""

    def __init__(self, info: ConnectionInfo, process: Seen | None) -> None:
        """Describe the looking.

        Args:
            info: where the kernel listens.
            process: what listens there, where that can be known.
        """
        self.process = process
        self._session_id = secrets.token_hex(8)
        self.client = Client(info, self._session_id, lambda: secrets.token_hex(16), on_line=self._on_line)
        """Speaks to the kernel, and is told of its end; to be entered by whoever looks."""
        self._loop = asyncio.get_running_loop()
        self._lifecycle = Lifecycle(self._loop.time())
        self._ended: asyncio.Future[ExitStatus] = self._loop.create_future()
        self._given_up: asyncio.TimerHandle | None = None
        self._others: set[str] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._ends_by_shell = False
        self._feed(lifecycle.Launched(process.pid if process else 0))
        self.client.listen(self._on_message)

    @property
    def status(self) -> Status:
        """What is true of the kernel now; its pid is 0 where its process is not to be seen."""
        return self._lifecycle.status

    @property
    def sees_the_kernel(self) -> bool:
        """Whether the process is the kernel's own for certain: only then is it signalled."""
        return self.process is not None and self.process.is_named

    @property
    def computes(self) -> bool:
        """Whether the kernel is at work, for us or for others."""
        return self.client.busy or bool(self._others)

    def answered(self, *, ends_by_shell: bool = False, busy: bool = False) -> None:
        """Take note that the kernel has answered, how it is to be asked to end, and whether it computes."""
        self._ends_by_shell = ends_by_shell
        if busy:
            self._others.add("")
            self._idle.clear()
        self._feed(lifecycle.Answered())

    async def keep(self) -> None:
        """Wait for the death of the process, and tell everybody. Cancelling stops the looking."""
        if self.process is None:
            return
        exit_status = await self.process.wait()
        if isinstance(self.status, lifecycle.Running):
            # What the kernel said before it died may still be on its way.
            await self.client.receive_rest()
        self._gone(exit_status)

    async def stop(self, *, grace: float, at_once: bool) -> ExitStatus:
        """End the kernel; see :meth:`moorage.kernel.attach.AttachedKernel.shutdown`."""
        if at_once and not self.sees_the_kernel:
            raise UsageError(
                "this kernel cannot be killed from here",
                why="Its process is not to be seen on this machine",
                do="Ask it to end: shutdown() without at_once",
            )
        if self._ends_by_shell and not at_once:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SETTLES):
                    await self._idle.wait()
        self._feed(lifecycle.StopRequested(grace=grace, at_once=at_once))
        try:
            async with asyncio.timeout(None if self.sees_the_kernel else grace):
                return await asyncio.shield(self._ended)
        except TimeoutError:
            raise DeadlineExceeded(
                f"the kernel did not end within {grace:g} s of being asked to",
                why="Its process is not to be seen on this machine, so nothing more can be done from here",
            ) from None

    def _feed(self, event: lifecycle.Event) -> None:
        for command in self._lifecycle.handle(event, self._loop.time()):
            match command:
                case lifecycle.AskToStop():
                    # As for our own kernels: ipykernel may hang for ten seconds when asked on control.
                    by_shell = self._ends_by_shell and not self.computes
                    channel: Channel = "shell" if by_shell else "control"
                    with suppress(MoorageError):  # then the ladder's next rung will do
                        self.client.request(channel, messages.shutdown_request(restart=False))
                case lifecycle.Terminate():
                    self._signal(signal.SIGTERM)
                case lifecycle.KillTree():
                    self._signal(KILL)
                case lifecycle.WakeAt(at):
                    self._loop.call_at(at, self._feed, lifecycle.Tick())
                case lifecycle.Launch():  # follows a restart only, which is for the kernel's owner
                    raise AssertionError(command)
                case _:
                    assert_never(command)

    def _signal(self, signum: int) -> None:
        if self.process is not None and self.sees_the_kernel:
            self.process.send_signal(signum)

    def _on_message(self, message: Message) -> None:
        if message.msg_type != "status" or message.parent_header.get("session") == self._session_id:
            return
        if message.content.get("execution_state") == "busy":
            self._others.add(message.parent_id)
            self._idle.clear()
        else:
            self._others -= {message.parent_id, ""}
            if not self._others:
                self._idle.set()

    def _on_line(self, there: bool) -> None:  # noqa: FBT001 - the signature of a receiver
        if self.sees_the_kernel or self._ended.done():
            return
        if there:
            if self._given_up is not None:
                self._given_up.cancel()
                self._given_up = None
                self.client.fail(_cut())
        elif isinstance(self.status, lifecycle.Stopping):
            self._gone(ExitStatus())  # as it was asked to
        elif self._given_up is None:
            self._given_up = self._loop.call_later(_PATIENCE, self._gone, None)

    def _gone(self, exit_status: ExitStatus | None) -> None:
        """Tell everybody of the end: how it ended, or None when nobody is at the address any more."""
        if self._given_up is not None:
            self._given_up.cancel()
        if self._ended.done():
            return
        if exit_status is None:
            self._feed(lifecycle.WatcherLost())
            error = KernelDied("the kernel is gone", why=f"Nobody was at its address for {_PATIENCE:g} s")
        else:
            cause = (exit_status.code, exit_status.signal, exit_status.out_of_memory)
            self._feed(lifecycle.Died(*cause, last_output=""))
            why = "It was not started from here: what it wrote last went to whoever started it"
            error = KernelDied(f"the kernel died: {exit_status.describe()}", why=why, exit_status=exit_status)
        self.client.fail(error, for_good=True)
        self._ended.set_result(exit_status or ExitStatus())


@contextmanager
def looking(info: ConnectionInfo, pid: int | None, path: Path) -> Iterator[Onlooker]:
    """Look on for as long as the block lasts.

    Args:
        info: where the kernel listens.
        pid: what listens at its address, where that is known.
        path: its connection file.
    """
    if sys.platform == "linux" and pid is not None:
        with watching(pid, path) as process:
            yield Onlooker(info, process)
    else:
        yield Onlooker(info, None)


def _cut() -> MoorageError:
    return MoorageError(
        "the line to the kernel was cut while a request was under way",
        why="What it answered meanwhile is lost, or another kernel has taken its place",
        do="Ask again",
    )
