"""Two connections that have become one: a websocket passes through without being read.

Each side costs one descriptor. What a server sends goes from one transport to the other without a line of
Python in between; of what a visitor sends only the headers of frames are looked at, for the activity of the
route.
"""

from __future__ import annotations

import asyncio
import re
import time

import msgspec

from moorage.plan.proxying import PrefixRoute
from moorage.proxy.backend import Closable
from moorage.proxy.limits import DescriptorBudget
from moorage.wire.frames import FrameScanner
from moorage.wire.http import HEAD_END, RequestHead

FLUSH_SECONDS = 5.0
"""How long the other side may take what was sent before one side ended."""
_PROTOCOL = re.compile(rb"\r\n(?i:sec-websocket-protocol):[ \t]*+([^\r]*)")
_EXTENSIONS = re.compile(rb"\r\n(?i:sec-websocket-extensions):[ \t]*+[^ \t\r]")


class Reopening(msgspec.Struct, frozen=True):
    """How a websocket is opened again to another process of its server.

    Attributes:
        request: that opened it.
        message: that request as it was sent on.
        protocol: that the server chose; empty for none.
    """

    request: RequestHead
    message: bytes
    protocol: bytes


def reopening(request: RequestHead, message: bytes, answer: bytes) -> Reopening | None:
    """Return how a websocket is opened again; None where both ends have agreed on what only they know.

    Args:
        request: that opened it.
        message: that request as it was sent on.
        answer: of the server, and what came behind it.
    """
    head = answer.partition(HEAD_END)[0]
    if _EXTENSIONS.search(head):  # compression has a state
        return None
    found = _PROTOCOL.search(head)
    return Reopening(request, message, b"" if found is None else found[1].strip(b" \t"))


class _SpliceEnd(asyncio.BaseProtocol):
    """One side of a splice."""

    __slots__ = ("_kind", "_splice", "other")

    def __init__(self, splice: Splice, other: asyncio.Transport, kind: str) -> None:
        self._splice = splice
        self._kind = kind
        self.other = other

    def eof_received(self) -> None:
        """Close: a websocket ends as a whole."""

    def pause_writing(self) -> None:
        """Stop reading the other side until this one has taken what was sent."""
        if not self.other.is_closing():
            self.other.pause_reading()

    def resume_writing(self) -> None:
        """Read the other side again."""
        if not self.other.is_closing():
            self.other.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - the other side learns of its end only
        """End the other side, too."""
        self._splice.side_lost(self._kind, self.other)


class _VisitorEnd(_SpliceEnd):
    __slots__ = ("_feed", "_route", "_write")

    def __init__(
        self, splice: Splice, other: asyncio.Transport, route: PrefixRoute, scanner: FrameScanner
    ) -> None:
        super().__init__(splice, other, "visitor")
        self._feed = scanner.feed
        self._route = route
        self._write = other.write

    def data_received(self, data: bytes) -> None:
        """Pass it on, and note what a user did."""
        self._write(data)
        if self._feed(data):
            self._route.entered(time.time())


class _UpstreamEnd(_SpliceEnd):
    __slots__ = ("data_received",)

    def __init__(self, splice: Splice, other: asyncio.Transport) -> None:
        super().__init__(splice, other, "upstream")
        # The loop calls the other transport itself.
        self.data_received = other.write


class Splice:
    """A visitor's connection and a server's, until either ends.

    Args:
        visitor: the visitor's transport; its protocol is replaced.
        upstream: the server's transport; its protocol is replaced.
        route: on which.
        budget: counts both sockets.
        busy: what is open on the route; the splice is in it until it ends.
        again: how it is opened again, where its server may sleep.
        scanner: of the visitor's frames so far; None where none has come.
    """

    __slots__ = ("_budget", "_busy", "_end", "_scanner", "_upstream", "_visitor", "_whole", "again")

    def __init__(
        self,
        visitor: asyncio.Transport,
        upstream: asyncio.Transport,
        route: PrefixRoute,
        budget: DescriptorBudget,
        busy: set[Closable],
        again: Reopening | None = None,
        scanner: FrameScanner | None = None,
    ) -> None:
        self.again = again
        self._scanner = FrameScanner() if scanner is None else scanner
        self._visitor, self._upstream = visitor, upstream
        self._budget, self._busy = budget, busy
        self._whole = True
        busy.add(self)
        budget.kinds["websocket"] += 1
        self._end = _VisitorEnd(self, upstream, route, self._scanner)
        visitor.set_protocol(self._end)
        upstream.set_protocol(_UpstreamEnd(self, visitor))

    @property
    def still(self) -> bool:
        """Whether no frame of the visitor is under way, and the visitor has taken all that was sent."""
        return self._scanner.between and not self._visitor.get_write_buffer_size()

    def hand_over(self) -> tuple[asyncio.Transport, asyncio.Transport, FrameScanner]:
        """Leave both sides, the visitor's and the server's, to something that counts them from now on."""
        self._whole = False
        self._budget.kinds["websocket"] -= 1
        self._busy.discard(self)
        return self._visitor, self._upstream, self._scanner

    def received(self, data: bytes) -> None:
        """Pass on what a visitor had sent before the splice."""
        self._end.data_received(data)

    def close(self) -> None:
        """End both sides; what a side has not taken is sent first, within a deadline."""
        for transport in (self._visitor, self._upstream):
            _end(transport)

    def side_lost(self, kind: str, other: asyncio.Transport) -> None:
        """Count a side that is closed, and close the other one."""
        self._budget.kinds[kind] -= 1
        if self._whole:
            self._whole = False
            self._budget.kinds["websocket"] -= 1
            self._busy.discard(self)
            _end(other)


def _end(transport: asyncio.Transport) -> None:
    if transport.is_closing():
        return
    transport.close()
    if transport.get_write_buffer_size():
        asyncio.get_running_loop().call_later(FLUSH_SECONDS, transport.abort)
