"""moorage's end of the warden: starts it, speaks to it, outlives it.

The packets are described in :mod:`moorage.launch.warden`.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import socket
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from moorage.errors import MoorageError, WardenLost
from moorage.launch.base import LaunchSpec, ProcessId
from moorage.launch.launched import Launched, outlast
from moorage.launch.warden_process import PACKET, WardenProcess, hello, payload, start

if sys.platform == "linux":
    from moorage.launch import berth, procfs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

_log = logging.getLogger("moorage.launch")

MOST_GUARDED = 10_000
END = 10.0
"""Seconds a warden may take to kill everything before it is killed itself."""


class Warden:
    """One warden and the link to it; made by ``async with Warden.open() as warden``.

    All methods belong to the thread of the loop it was opened in.
    """

    def __init__(self, process: WardenProcess, directory: Path) -> None:
        self._process = process
        self._directory = directory
        self._loop = asyncio.get_running_loop()
        self._launches: dict[ProcessId, Launched] = {}
        self._queue: list[tuple[dict[str, Any], list[int]]] = []
        self._count = 0
        self._lost = ""
        self._closing = False
        self._ended = asyncio.Event()
        self._guarded: set[Path] = set()
        self._owner = os.getpid()
        self._loop.add_reader(process.channel, self._receive)
        if process.pidfd >= 0:
            self._loop.add_reader(process.pidfd, self._died)

    @classmethod
    @asynccontextmanager
    async def open(cls, process: WardenProcess | None = None) -> AsyncIterator[Warden]:
        """Start a warden; leaving the block returns when it and everything it launched is gone.

        Args:
            process: one that was started ahead, and belongs to this block from now on.

        Cancelling while the block is left still waits for that, at most :data:`END` seconds.

        Raises:
            WardenLost: it did not come up.
            LaunchError: this is not Linux.
        """
        process = process or start()
        try:
            directory = await hello(process)
        except BaseException:
            process.stop()
            raise
        warden = cls(process, directory)
        try:
            yield warden
        finally:
            await warden._close()

    @property
    def directory(self) -> Path:
        """Private directory (0700, short path) that goes when the warden ends."""
        return self._directory

    @property
    def pid(self) -> int:
        """Process id of the warden."""
        return self._process.popen.pid

    @property
    def lost(self) -> str:
        """Why the warden is gone although it should not be, or an empty string."""
        return self._lost

    def guard(self, path: Path) -> None:
        """Have a file, link or directory deleted should moorage die before :meth:`unguard`.

        It is certain when this returns, so call it before the file is made.

        Raises:
            WardenLost: there is nobody to do it.
            MoorageError: ten thousand are guarded already.
        """
        path = path.absolute()
        if len(self._guarded) >= MOST_GUARDED:
            raise MoorageError(
                f"{path} cannot be guarded", why=f"{MOST_GUARDED} temporary files are guarded already"
            )
        self._send({"do": "guard", "path": _text(os.fspath(path))})
        self._guarded.add(path)
        self._flush_now()

    def unguard(self, path: Path) -> None:
        """Let a guarded path live on; nothing happens if the warden is gone."""
        path = path.absolute()
        self._guarded.discard(path)
        with suppress(WardenLost):
            self._send({"do": "unguard", "path": _text(os.fspath(path))})
            self._flush_now()

    def tokens(self, held: bytes, descriptor: int) -> None:
        """Have ``held`` written to ``descriptor`` should moorage die; replaces what was said before.

        It is certain when this returns. The descriptor is duplicated: the caller closes its own.

        Raises:
            WardenLost: there is nobody to do it.
            OSError: no descriptors are left.
        """
        self._send({"do": "tokens", "held": held.decode("latin-1")}, [descriptor])
        self._flush_now()

    def spawn(self, spec: LaunchSpec, stdout: int, stderr: int, on_exit: Callable[[], None]) -> Launched:
        """Ask for a process; the answer comes in what is returned.

        Args:
            spec: what to start.
            stdout: descriptor for its standard output; the caller closes its own.
            stderr: likewise.
            on_exit: called when it has ended, before anybody who waits for it wakes.

        Raises:
            WardenLost: there is nobody to start it.
            OSError: no descriptors are left.
        """
        launched = self._launch(on_exit)
        whole = payload(described(spec))
        try:
            fds = [whole, stdout, stderr, *([] if spec.stdin is None else [spec.stdin])]
            self._send({"do": "spawn", "id": launched.id, "stdin": spec.stdin is not None}, fds)
        finally:
            os.close(whole)
        self._launches[launched.id] = launched
        return launched

    def expect(self, report: int, on_exit: Callable[[], None]) -> Launched:
        """Take charge of a process that a zygote below the warden is about to fork.

        Args:
            report: read end of the pipe through which it says who it is; the caller closes its own.
            on_exit: as for :meth:`spawn`.

        Raises:
            WardenLost, OSError: as from :meth:`spawn`.
        """
        launched = self._launch(on_exit)
        self._send({"do": "expect", "id": launched.id}, [report])
        self._launches[launched.id] = launched
        return launched

    def _launch(self, on_exit: Callable[[], None]) -> Launched:
        self._count += 1
        # Always of one length: a fork's name has to fit where its zygote's stood.
        return Launched(ProcessId(f"{self._directory.name}.{self._count:06d}"), on_exit)

    def signal(self, name: ProcessId, signum: int) -> None:
        """Signal a process and its group; nothing happens if it has ended."""
        with suppress(WardenLost):  # then it has ended too
            self._send({"do": "signal", "id": name, "signum": int(signum)})

    def kill(self, name: ProcessId) -> None:
        """SIGKILL a process and all it started; ``gone`` becomes true when all of it is."""
        if name in self._launches:
            with suppress(WardenLost):
                self._send({"do": "kill", "id": name})

    def _send(self, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        if not self._ended.is_set() and not self._closing:
            if not self._queue and self._put(message, fds):
                return
            if not self._ended.is_set():
                if not self._queue:
                    self._loop.add_writer(self._process.channel, self._flush)
                self._queue.append((message, [os.dup(fd) for fd in fds]))
                return
        raise WardenLost("the warden takes no more orders", why=self._lost or "its block has been left")

    def _put(self, message: dict[str, Any], fds: Sequence[int]) -> bool:
        try:
            return self._process.put(json.dumps(message).encode(), fds)
        except (BrokenPipeError, ConnectionResetError):
            self._died()
            return False

    def _flush(self) -> None:
        while self._queue:
            message, fds = self._queue[0]
            try:
                if not self._put(message, fds):
                    return
            except OSError as error:  # too many descriptors on their way: only a spawn has any
                number = error.errno or errno.EMFILE
                name = message.get("id")
                self._told({"tell": "failed", "id": name, "stage": "descriptors", "errno": number})
            del self._queue[0]
            _close_all(fds)
        self._loop.remove_writer(self._process.channel)

    def _flush_now(self) -> None:
        while self._queue and self._process.may_put(END):
            self._flush()
        if self._queue:
            self._died("it reads nothing any more")
        if self._lost:
            raise WardenLost("the warden is gone", why=self._lost)

    def _receive(self) -> None:
        for _ in range(64):  # then it is everybody else's turn
            if not self._receive_one():
                return

    def _receive_one(self) -> bool:
        try:
            packet = self._process.channel.recv(PACKET)
        except BlockingIOError:
            return False
        except ConnectionResetError:  # it ended with mail of ours unread; its own still waits
            return True
        if packet:
            self._told(json.loads(packet))
            return True
        self._loop.remove_reader(self._process.channel)
        if self._process.pidfd < 0 and not self._ended.is_set():
            self._process.popen.wait()  # it closes the socket by ending
            self._died()
        return False

    def _told(self, message: dict[str, Any]) -> None:
        if message["tell"] == "error":
            _log.error("the warden did not understand: %s", message["text"])
            return
        name = message.get("id")
        launched = self._launches.get(name) if name else None
        if launched is None:
            return
        if message["tell"] in ("gone", "failed"):
            del self._launches[launched.id]
        launched.told(message)

    def _died(self, why: str = "") -> None:
        """The warden has ended: as it should, or else everybody hears of it."""
        if self._ended.is_set():
            return
        self._ended.set()
        while self._receive_one():  # what it still said
            pass
        self._loop.remove_reader(self._process.channel)
        self._loop.remove_writer(self._process.channel)
        if self._process.pidfd >= 0:
            self._loop.remove_reader(self._process.pidfd)
        for _, fds in self._queue:
            _close_all(fds)
        self._queue.clear()
        if not self._closing or self._process.popen.poll() != 0:
            self._lost = why or self._process.last_words()
            if sys.platform == "linux":  # its children died with it, theirs may not have
                procfs.kill_marked([self._directory.name])
        for launched in list(self._launches.values()):
            launched.lose(self._lost or "its warden has ended")
        self._launches.clear()

    async def _close(self) -> None:
        if os.getpid() != self._owner:
            return  # a fork of the process that owns it: neither the socket nor the loop is ours
        cancelled = None
        if not self._ended.is_set():
            self._flush()
            self._closing = True
            with suppress(OSError):
                self._process.channel.shutdown(socket.SHUT_WR)
            done, cancelled = await outlast(self._ended.wait, END)
            if not done:
                self._process.popen.kill()
                _, again = await outlast(self._ended.wait, END)
                cancelled = again or cancelled
        self._process.popen.kill()  # does nothing unless it hangs even now
        self._process.popen.wait()
        self._died()
        if sys.platform == "linux":
            for path in (self._directory, *self._guarded):  # gone already, unless the warden was killed
                berth.remove(str(path))
        self._process.release()
        if cancelled is not None:
            raise cancelled


def described(spec: LaunchSpec, **more: str) -> bytes:
    """Return what a payload says: arguments, directory and environment, with ``more`` variables."""
    env = {_text(key): _text(value) for key, value in spec.env.items()}
    argv = [_text(part) for part in spec.argv]
    text = {"argv": argv, "cwd": _text(spec.cwd), "env": env | more, "isolate": spec.isolate}
    return json.dumps(text).encode()


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _text(path: str) -> str:
    """Return bytes that are no text in a form that both ends read alike, whatever their locale."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")


class _Share:
    """A loop's shared warden and how many use it."""

    def __init__(self, warden: Warden, stack: AsyncExitStack) -> None:
        self.warden = warden
        self.stack = stack
        self.users = 0


class _Place:
    """Where a loop's share stands, and the lock around its making."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.share: _Share | None = None


_places: WeakKeyDictionary[asyncio.AbstractEventLoop, _Place] = WeakKeyDictionary()


@asynccontextmanager
async def shared_warden(process: WardenProcess | None = None) -> AsyncIterator[Warden]:
    """Yield the warden that everybody in this loop uses: the first starts it, the last one ends it.

    One that was lost is replaced for newcomers.

    Args:
        process: one that was started ahead; the first takes it, others leave it alone.

    Raises:
        WardenLost: it did not come up.
        LaunchError: this is not Linux.
    """
    loop = asyncio.get_running_loop()
    place = _places.setdefault(loop, _Place())
    async with place.lock:
        share = place.share
        if share is None or share.warden.lost:
            stack = AsyncExitStack()
            share = place.share = _Share(await stack.enter_async_context(Warden.open(process)), stack)
        share.users += 1
    try:
        yield share.warden
    finally:
        share.users -= 1
        if share.users == 0:
            if place.share is share:
                place.share = None
                if not place.lock.locked() and _places.get(loop) is place:
                    del _places[loop]  # its lock may hold on to the loop
            await share.stack.aclose()
