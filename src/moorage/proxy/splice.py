"""Two connections that have become one: a websocket passes through without being read.

Each side costs one descriptor. What a server sends goes from one transport to the other without a line of
Python in between; of what a visitor sends only the headers of frames are looked at, for the activity of the
route.
"""

from __future__ import annotations

import asyncio
import time

from moorage.plan.proxying import PrefixRoute
from moorage.proxy.backend import Closable
from moorage.proxy.limits import DescriptorBudget
from moorage.wire.frames import FrameScanner

FLUSH_SECONDS = 5.0
"""How long the other side may take what was sent before one side ended."""


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

    def __init__(self, splice: Splice, other: asyncio.Transport, route: PrefixRoute) -> None:
        super().__init__(splice, other, "visitor")
        self._feed = FrameScanner().feed
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
    """

    __slots__ = ("_budget", "_busy", "_end", "_upstream", "_visitor", "_whole")

    def __init__(
        self,
        visitor: asyncio.Transport,
        upstream: asyncio.Transport,
        route: PrefixRoute,
        budget: DescriptorBudget,
        busy: set[Closable],
    ) -> None:
        self._visitor, self._upstream = visitor, upstream
        self._budget, self._busy = budget, busy
        self._whole = True
        busy.add(self)
        budget.kinds["websocket"] += 1
        self._end = _VisitorEnd(self, upstream, route)
        visitor.set_protocol(self._end)
        upstream.set_protocol(_UpstreamEnd(self, visitor))

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
