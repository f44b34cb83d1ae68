"""Kernels that another program started: their processes as a supervisor watches them.

Where a kernel's process is on this machine, a pidfd tells of its death. Elsewhere, and where only a
go-between (an ssh tunnel) is on this machine, the line does: the operating system over there hangs up when a
process ends. The heartbeat is not used: a kernel with one thread owes an echo for as long as it computes.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from moorage.errors import KernelDied, MoorageError
from moorage.kernel.client import Client
from moorage.kernel.supervisor import Supervisor
from moorage.kernel.zmq_client import zmq_client
from moorage.plan.lifecycle import Stopping
from moorage.process.base import ExitStatus, Handle, LaunchSpec, ProcessId
from moorage.tasks import beside, result_of
from moorage.wire.connection import ConnectionInfo

if sys.platform == "linux":
    from moorage.process.observed import watching

PATIENCE = 3.0
"""Seconds that nothing may listen at a kernel's address before the kernel counts as gone: a line may be cut
for a moment, and the program that owns the kernel may be starting it again."""


_NOT_OURS = "It was not started from here: what it wrote last went to the program that started it"
NOTHING = LaunchSpec((), "/", {})
"""What is launched: the process is there already."""


class Seen(Handle, Protocol):
    """A process of this machine that was found; see :class:`moorage.process.observed.ObservedProcess`."""

    @property
    def is_named(self) -> bool:
        """Whether its command names the connection file: then it is the kernel, and no go-between."""
        ...

    def try_signal(self, signum: int) -> bool:
        """Send a signal to the process, and to its group where that is its own; False when it may not be."""
        ...


class Line:
    """A kernel whose process is out of sight, as its line shows it: a handle that can only be waited for.

    The names are those of :class:`moorage.process.base.Handle`.
    """

    def __init__(self, pid: int, on_back: Callable[[], None], stopping: Callable[[], bool]) -> None:
        """Begin with a line that is there.

        Args:
            pid: of the process at this end of the line, which may be a go-between; 0 where there is none.
            on_back: called when the line is there again after it was cut: what was asked meanwhile is lost.
            stopping: tells whether the kernel was asked to end.
        """
        self.id = ProcessId("out of sight")
        self.pid = pid
        self._on_back = on_back
        self._stopping = stopping
        self._ended: asyncio.Future[ExitStatus] = asyncio.get_running_loop().create_future()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def exit_status(self) -> ExitStatus | None:
        """How it ended, which is not known; None while it lives."""
        if not self._ended.done() or self._ended.cancelled():
            return None
        return ExitStatus() if self._ended.exception() else self._ended.result()

    def changed(self, there: bool) -> None:  # noqa: FBT001 - the signature of a receiver
        """Take note that the line is cut, or is there again."""
        if self._ended.done():
            return
        if there:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
                self._on_back()
        elif self._stopping():
            self.end(ExitStatus())  # as it was asked to
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._gone)

    def end(self, status: ExitStatus) -> None:
        """Take note of the end of the kernel, or of the process at this end of the line."""
        self.close()
        if not self._ended.done():
            self._ended.set_result(status)

    async def wait(self) -> ExitStatus:
        """Wait for its end. Cancelling is safe.

        Raises:
            KernelDied: nothing listens at its address any more.
        """
        return await result_of(self._ended)

    def send_signal(self, signum: int) -> None:
        """Do nothing: it is out of reach."""

    async def kill(self) -> ExitStatus:
        """Wait for its end, as nothing else can be done from here."""
        return await self.wait()

    def output(self) -> str:
        """Return nothing: what it writes goes to the program that started it."""
        return ""

    def memory(self) -> int | None:
        """Return None: it is out of sight."""
        return None

    def close(self) -> None:
        """Wait for the line no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def _gone(self) -> None:
        if not self._ended.done():
            why = f"Nothing was at its address for {PATIENCE:g} s"
            self._ended.set_exception(KernelDied("the kernel is gone", why=why))
            self._ended.exception()  # it may be that nothing waits for it


class FoundLauncher:
    """A launcher that starts nothing: its process runs already, and runs on when the block is left."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    @asynccontextmanager
    async def launch(self, spec: LaunchSpec) -> AsyncIterator[Handle]:  # noqa: ARG002 - there is none to start
        """Yield the process that was found."""
        yield self._handle


class WatchedKernel(NamedTuple):
    """A kernel that was found and is watched.

    Attributes:
        supervisor: drives its status.
        process: what listens at its address; None where that is not on this machine or not to be seen.
        client: connected to it; nothing was said yet.
    """

    supervisor: Supervisor
    process: Seen | None
    client: Client


@asynccontextmanager
async def watched(info: ConnectionInfo, pid: int | None, path: Path) -> AsyncIterator[WatchedKernel]:
    """Watch a kernel for as long as the block lasts; it runs on when the block is left.

    Args:
        info: where it listens.
        pid: the process that listens there; None where it is not on this machine.
        path: its connection file.
    """
    async with AsyncExitStack() as stack:
        process = stack.enter_context(_seen(pid, path))
        line: Line | None = None
        handle: Handle | None = process
        if process is None or not process.is_named:
            handle = line = Line(
                process.pid if process else 0,
                lambda: client.fail(_cut()),
                lambda: isinstance(supervisor.status, Stopping),
            )
            stack.callback(line.close)
        assert handle is not None
        client, transport, session = zmq_client(info)
        if line is not None:
            transport.on_line(line.changed)
        supervisor = Supervisor(path.name, NOTHING, FoundLauncher(handle), owned=False, silent=_NOT_OURS)
        await stack.enter_async_context(client)
        await stack.enter_async_context(beside(supervisor.keep(), name=f"look at {path.name}"))
        if process is not None and line is not None:
            await stack.enter_async_context(beside(_go_between(process, line), name=f"look at {pid}"))
        await supervisor.started()
        stack.enter_context(supervisor.clients.attached(client, session))
        yield WatchedKernel(supervisor, process, client)


async def _go_between(process: Seen, line: Line) -> None:
    """Take the end of a process at this end of the line for the kernel's."""
    line.end(await process.wait())


def _cut() -> MoorageError:
    return MoorageError(
        "the line to the kernel was cut while a request was under way",
        why="What it answered meanwhile is lost, or another kernel has taken its place",
        do="Ask again",
    )


@contextmanager
def _seen(pid: int | None, path: Path) -> Iterator[Seen | None]:
    """Yield the process that listens at a kernel's address, watched; None where it is not to be seen."""
    if sys.platform == "linux" and pid is not None:
        with watching(pid, path) as process:
            yield process
    else:
        yield None
