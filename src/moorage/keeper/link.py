"""This end of a keeper's link: questions with a limit, and what the keeper tells unasked."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import cast

from moorage.errors import DeadlineExceeded, KeeperLost, UsageError
from moorage.json_types import JsonObject
from moorage.tasks import result_of
from moorage.wire import link as wire

assert sys.platform != "win32", "keepers need Unix sockets and fork"

if sys.platform == "linux":
    from moorage.process import procfs

ANSWER = 10.0
"""Seconds in which a keeper must answer, if not said otherwise; milliseconds are usual."""


class KeeperLink:
    """A link to one keeper, made by :func:`connect` or :func:`linked`.

    Attributes:
        name: what the kept process is called in messages.
        keeper_pid: process id of the keeper; 0 where it is not known.
        latest: the newest status that the keeper has told; None before the first.
        failure: what became of a start that was refused; None for nothing.
        lost: whether the link is closed.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.keeper_pid = 0
        self.latest: JsonObject | None = None
        self.failure: JsonObject | None = None
        self.lost = False
        self._over = False  # the last status, or none, has been read
        self._why = ""
        self._stream = _Stream(self._take, self._lose)
        self._asked: dict[int, asyncio.Future[JsonObject]] = {}
        self._count = 0
        loop = asyncio.get_running_loop()
        self._hello: asyncio.Future[JsonObject] = loop.create_future()
        self._news: asyncio.Future[None] = loop.create_future()

    @property
    def identity(self) -> str:
        """The id that the keeper has greeted with; empty where it has not."""
        return str(self._hello.result()["id"]) if self._hello.done() and not self._hello.exception() else ""

    async def open(self, by: str | socket.socket) -> None:
        """Connect to a socket's path and await the greeting, or take a connected socket. Once."""
        loop = asyncio.get_running_loop()
        if isinstance(by, str):
            await loop.create_unix_connection(lambda: self._stream, by)
            await self._hello
        else:
            await loop.create_unix_connection(lambda: self._stream, sock=by)

    def close(self) -> None:
        """Close the link, once what was sent has left. Nothing else is changed."""
        self._stream.close()
        self._lose("")

    def tell(self, do: str, **rest: object) -> None:
        """Send a message that is not to be waited for."""
        if not (self.lost or self._over):
            self._stream.write(wire.encode({"do": do, **rest}))

    async def ask(self, do: str, *, within: float = ANSWER, **rest: object) -> JsonObject:
        """Send a message and return its answer. Cancelling stops the waiting, not what was asked for.

        Args:
            do: what, see docs/reference/link.md.
            within: seconds for the answer.
            rest: its arguments.

        Raises:
            KeeperLost: the keeper, or the link, has ended.
            DeadlineExceeded: there was no answer in time.
            UsageError: the keeper refuses; the reason is its own.
        """
        if self.lost or self._over:
            raise self._loss()
        self._count += 1
        ref = self._count
        answer = self._asked[ref] = asyncio.get_running_loop().create_future()
        self.tell(do, ref=ref, **rest)
        try:
            async with asyncio.timeout(within):
                told: JsonObject = await answer
        except TimeoutError:
            raise late(self, within) from None
        finally:
            self._asked.pop(ref, None)
        if told["tell"] == "refused":
            raise UsageError(f"the keeper of {self.name} refuses: {do}", why=str(told["why"]))
        return told

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is true of what was told, or the link is lost."""
        while not true() and not self.lost:
            await result_of(self._news)

    async def told(self) -> AsyncIterator[JsonObject]:
        """Yield the newest status and each newer one (of several at once the last), until the link ends."""
        seen = None
        while True:
            if self.latest is not None and self.latest is not seen:
                seen = self.latest
                yield seen
            elif self.lost:
                return
            else:
                await result_of(self._news)

    def _loss(self) -> KeeperLost:
        return KeeperLost(f"the link to the keeper of {self.name} is closed", why=self._why)

    def _take(self, message: JsonObject) -> None:
        match message.get("tell"):
            case "hello":
                if not self._hello.done():
                    self.keeper_pid = int(message["pid"])
                    self._hello.set_result(message)
            case "failed":
                self.failure = message
                self._finish()
            case "dropped":
                self._why = str(message.get("why", ""))
            case "status":
                self.latest = message
                self.keeper_pid = int(message["keeper"])
                if message["state"] == "ended":
                    self._finish()
        asked = self._asked.get(message.get("ref", 0))
        if asked is not None and not asked.done():
            asked.set_result(message)
        self._wake()

    def _finish(self) -> None:
        """Let the keeper know that its last words were read: it waits for that before it ends."""
        if not self._over:
            self._over = True
            self._stream.finish()

    def _lose(self, why: str) -> None:
        if self.lost:
            return
        self.lost = True
        self._why = self._why or why
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(self._loss())
        if not self._hello.done():
            self._hello.set_exception(self._loss())
            self._hello.exception()  # retrieved: nothing may wait for it
        self._wake()

    def _wake(self) -> None:
        self._news.set_result(None)
        self._news = asyncio.get_running_loop().create_future()


class _Stream(asyncio.Protocol):
    """The bytes of a link: frames to messages."""

    def __init__(self, take: Callable[[JsonObject], None], lose: Callable[[str], None]) -> None:
        self._take = take
        self._lose = lose
        self._decoder = wire.LinkDecoder(wire.MOST_START)
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's are instances of nothing

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._decoder.feed(data):
                if frame.kind == wire.JSON:
                    self._take(frame.message())
        except wire.LinkError as error:
            self._lose(str(error))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(str(exc) if exc else "")

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def finish(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def connect(path: Path, name: str, *, within: float = ANSWER) -> KeeperLink:
    """Open a link by a keeper's socket, and wait for its greeting.

    Args:
        path: of the socket.
        name: for messages.
        within: seconds.

    Raises:
        KeeperLost: no keeper is there, or it refuses the link.
        DeadlineExceeded: it does not greet: it may be stopped.
    """
    link = KeeperLink(name)
    try:
        async with asyncio.timeout(within):
            await link.open(str(path))
    except TimeoutError:
        link.close()
        raise late(link, within) from None
    except OSError as error:
        why = error.strerror or str(error)
        raise KeeperLost(f"the keeper of {name} cannot be reached", why=why) from error
    except BaseException:
        link.close()
        raise
    return link


async def linked(channel: socket.socket, name: str) -> KeeperLink:
    """Take a connected socket for a link; the link closes it."""
    link = KeeperLink(name)
    await link.open(channel)
    return link


def late(link: KeeperLink, seconds: float) -> DeadlineExceeded:
    """Return the error of a keeper that has not answered in so many seconds."""
    pid = link.keeper_pid
    why, do = "It may be stopped, or the machine is overloaded", "Ask again"
    if pid and is_stopped(pid):
        why, do = "It is stopped", f"Let it go on: kill -CONT {pid}"
    name = f"the keeper of {link.name}" + (f" (process {pid})" if pid else "")
    return DeadlineExceeded(f"{name} has not answered within {seconds:g} s", why=why, do=do)


def is_stopped(pid: int) -> bool:
    """Tell whether a process is stopped by a signal; False where that cannot be known."""
    state = b""
    if sys.platform == "linux":
        with suppress(OSError, ValueError):
            stat = procfs.read(f"/proc/{pid}/stat")
            state = stat[stat.rindex(b")") + 2 :][:1]
    return state in (b"T", b"t")
