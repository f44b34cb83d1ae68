"""A kernel's process with the methods of subprocess.Popen, as Jupyter's tools use it; its place starts it.

It is owned by a block in the portal's loop, where nothing stops between two calls of a synchronous tool.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import IO, Protocol, Self, TypeVar

from moorage.errors import UsageError, WardenLost
from moorage.exit_status import ExitStatus
from moorage.kernel.portal import Portal
from moorage.process.base import KILL, Handle, Launcher, LaunchSpec, LocalSpec, ProcessId
from moorage.tasks import Work, before_end, beside

T = TypeVar("T")


class HasFileno(Protocol):
    """An open file or socket."""

    def fileno(self) -> int:
        """Return its descriptor."""


Stream = int | HasFileno | None
"""What subprocess.Popen takes for a standard stream: a descriptor, PIPE and the like, or a file."""


@dataclass
class Streams:
    """What a kernel's standard streams are to be, and the caller's ends of those that are pipes.

    Attributes:
        stdin: descriptor for the kernel's standard input; None for /dev/null.
        echo: where its stdout and its stderr go besides being kept.
        files: the caller's ends, by name.
        said: one of them is to be what it is not by itself.
    """

    stdin: int | None = None
    echo: tuple[int | None, int | None] = (None, None)
    files: dict[str, IO[bytes]] = field(default_factory=dict)
    said: bool = False
    _ours: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, stdin: Stream = None, stdout: Stream = None, stderr: Stream = None) -> Self:
        """Read the arguments of subprocess.Popen of these names.

        As everywhere in Jupyter, a kernel that is given no standard input gets none.

        Raises:
            OSError: no descriptors are left.
        """
        streams = cls(said=any(each not in (None, subprocess.DEVNULL) for each in (stdin, stdout, stderr)))
        try:
            streams._take(stdin, stdout, stderr)
        except BaseException:
            streams.close()
            for file in streams.files.values():
                file.close()
            raise
        return streams

    def close(self) -> None:
        """Close what the kernel has duplicates of by now."""
        while self._ours:
            os.close(self._ours.pop())

    def _take(self, stdin: Stream, stdout: Stream, stderr: Stream) -> None:
        if stdin == subprocess.PIPE:
            self.stdin, writer = os.pipe()
            self._ours.append(self.stdin)
            self.files["stdin"] = os.fdopen(writer, "wb", buffering=0)
        elif stdin is not None and stdin != subprocess.DEVNULL:
            self.stdin = _number(stdin)
        out = self._out("stdout", stdout, 1)
        self.echo = (out, out if stderr == subprocess.STDOUT else self._out("stderr", stderr, 2))

    def _out(self, name: str, wanted: Stream, inherited: int) -> int | None:
        if wanted is None:
            with suppress(OSError):  # a daemon may have none
                os.fstat(inherited)
                return inherited
            return None
        if wanted == subprocess.DEVNULL:
            return None
        if wanted != subprocess.PIPE:
            return _number(wanted)
        reader, writer = os.pipe()
        self._ours.append(writer)
        self.files[name] = os.fdopen(reader, "rb")
        return writer


def _number(stream: int | HasFileno) -> int:
    return stream if isinstance(stream, int) else stream.fileno()


class PopenLike:
    """A kernel's process with the names of subprocess.Popen; they may be used in any thread."""

    def __init__(
        self, portal: Portal, handle: Handle, ended: Future[int], files: dict[str, IO[bytes]]
    ) -> None:
        """Made by :func:`start`."""
        self._portal = portal
        self._handle = handle
        self._ended = ended
        self.pid = handle.pid
        self.stdin = files.get("stdin")
        self.stdout = files.get("stdout")
        self.stderr = files.get("stderr")

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal, or None while it lives."""
        return self._ended.result() if self._ended.done() else None

    def poll(self) -> int | None:
        """Return :attr:`returncode`."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Args:
            timeout: seconds; None for as long as it takes.

        Raises:
            subprocess.TimeoutExpired: it still lives.
        """
        try:
            return self._ended.result(timeout)
        except FutureTimeout:
            raise subprocess.TimeoutExpired("kernel", timeout or 0.0) from None

    def send_signal(self, signum: int) -> None:
        """Signal it and its process group; nothing happens if it has ended."""
        if self.returncode is None:
            self._portal.call(self._handle.send_signal, signum)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(KILL)


class KernelProcess:
    """A kernel's process; every method may be awaited in any loop."""

    def __init__(
        self,
        portal: Portal,
        block: AbstractAsyncContextManager[Handle],
        handle: Handle,
        ended: Future[int],
        files: dict[str, IO[bytes]],
    ) -> None:
        """Made by :func:`start`."""
        self._portal = portal
        self._block = block
        self._handle = handle
        self._ended = ended
        self.popen = PopenLike(portal, handle, ended, files)

    @property
    def id(self) -> ProcessId:
        """Name of its launch."""
        return self._handle.id

    async def ended(self) -> int:
        """Wait for its end; returns its exit code. Cancelling is safe."""
        return await asyncio.wrap_future(self._ended)

    async def send_signal(self, signum: int) -> None:
        """Signal it and its process group; nothing happens if it has ended."""
        if not self._ended.done():
            await self._portal.reach(_called(lambda: self._handle.send_signal(signum)))

    async def end(self) -> int:
        """Kill what is left of it and of all it started; returns its exit code when nothing is.

        Cancelling stops the waiting, not the killing.
        """
        await self._portal.step_out(self._block)
        for stream in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            if stream is not None:
                stream.close()
        return await asyncio.wrap_future(self._ended)

    async def while_alive(self, work: Work[T], seconds: float) -> T | None:
        """Await ``work`` in the portal's loop, at most until the process ends.

        Args:
            work: what to await.
            seconds: when to give up all the same.

        Returns:
            its result, or None when it was given up.
        """
        return await self._portal.reach(_while_alive(work, self._ended, seconds))

    async def exit_status_and_output(self) -> tuple[ExitStatus, str]:
        """Return how it ended, and the newest part of what it wrote."""
        text = await self._portal.reach(_called(self._handle.output))
        return self._handle.exit_status or ExitStatus(), text


async def start(
    portal: Portal,
    launcher: Launcher,
    spec: LaunchSpec,
    streams: Streams,
    *,
    on_end: Callable[[ExitStatus], None],
) -> KernelProcess:
    """Start a kernel's process.

    Args:
        portal: in its loop the process is owned.
        launcher: starts it: the kernel's workspace.
        spec: the process. A :class:`~moorage.process.base.LocalSpec` gets the standard streams; the output of
            any other is kept alone.
        streams: its standard streams; those ends that are the kernel's are closed.
        on_end: called in the portal's thread with how it ended, before any waiter is woken.

    Raises:
        LaunchError, WardenLost: it cannot be started.
        UsageError: its streams were said, and its place gives it none.

    Cancelling leaves nothing behind.
    """
    ended: Future[int] = Future()
    ended.set_running_or_notify_cancel()  # a waiter that is cancelled must not cancel it for the others
    try:
        block = _owned(launcher.launch(_with_streams(spec, streams)), ended, on_end)
        handle = await portal.step_in(block)
    except BaseException:
        for file in streams.files.values():
            file.close()
        raise
    finally:
        streams.close()
    return KernelProcess(portal, block, handle, ended, streams.files)


async def resume(
    portal: Portal, process: AbstractAsyncContextManager[Handle], on_end: Callable[[ExitStatus], None]
) -> KernelProcess:
    """Take over a process that runs, or has ended; arguments and errors as of :func:`start`."""
    ended: Future[int] = Future()
    ended.set_running_or_notify_cancel()
    block = _owned(process, ended, on_end)
    return KernelProcess(portal, block, await portal.step_in(block), ended, {})


@asynccontextmanager
async def _owned(
    process: AbstractAsyncContextManager[Handle], ended: Future[int], on_end: Callable[[ExitStatus], None]
) -> AsyncIterator[Handle]:
    """Own the process; ``ended`` is set when it has ended, at the latest when the block is left."""
    handle = None
    try:
        async with (
            process as handle,
            beside(_report(handle, ended, on_end), name=f"watch {handle.pid}"),
        ):
            yield handle
    finally:
        if not ended.done():
            ended.set_result(_code(None if handle is None else handle.exit_status))


def _with_streams(spec: LaunchSpec, streams: Streams) -> LaunchSpec:
    if isinstance(spec, LocalSpec):
        return replace(spec, stdin=streams.stdin, echo=streams.echo)
    if streams.said:
        raise UsageError(
            "the kernel cannot be given standard streams",
            why="It runs on a place that gives its processes none, and keeps what they write",
            do="Leave out stdin, stdout and stderr",
        )
    return spec


async def _called(function: Callable[[], T]) -> T:
    return function()


async def _report(handle: Handle, ended: Future[int], on_end: Callable[[ExitStatus], None]) -> None:
    status = ExitStatus()
    with suppress(WardenLost):  # it was killed together with its warden: its status is unknown
        status = await handle.wait()
    on_end(status)
    ended.set_result(_code(status))


def _code(status: ExitStatus | None) -> int:
    if status is None or (status.code is None and status.signal is None):
        return -KILL
    return status.code if status.code is not None else -(status.signal or 0)


async def _while_alive(work: Work[T], ended: Future[int], seconds: float) -> T | None:
    # It is set in this very thread, so what is called then may touch the loop.
    try:
        return await before_end(
            work,
            lambda call: ended.add_done_callback(lambda _: call()),
            asyncio.get_running_loop().time() + seconds,
        )
    except TimeoutError:
        return None
