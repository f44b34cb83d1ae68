"""The connection to a server: reads the heads of its responses, and passes on what belongs to them."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from moorage.proxy.backend import Backend
from moorage.proxy.gate import UPSTREAM_FULL, ReadGate
from moorage.proxy.limits import DescriptorBudget
from moorage.wire.http import HEAD_END, MAX_HEAD, RefusedHead, RequestHead, ResponseHead, read_response
from moorage.wire.http_body import Body, EndlessBody, response_body


class Reply(Protocol):
    """What takes the response to one request."""

    transport: asyncio.Transport
    gate: ReadGate

    def response_head(self, data: bytes, end: int, head: ResponseHead, *, endless: bool) -> bytes:
        """Return the head for the visitor."""

    def upgraded(self, upstream: Upstream, data: bytes) -> None:
        """Splice both connections; ``data`` is the response that came, and what came behind it."""

    def response_done(self, upstream: Upstream, head: ResponseHead, *, clean: bool) -> None:
        """Go on after a response; ``clean`` says whether the connection can take another request."""

    def upstream_failed(self, upstream: Upstream, status: int, *, begun: bool) -> None:
        """Answer with an error, or close where a response had begun."""


NEVER = -1.0


class Upstream(asyncio.Protocol):
    """One connection to a server.

    Args:
        backend: the route that it belongs to.
        budget: counts it from before it was opened.
    """

    __slots__ = (
        "_backend",
        "_body",
        "_budget",
        "_buffer",
        "_head",
        "_reply",
        "_request",
        "fresh",
        "since",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, backend: Backend[Upstream], budget: DescriptorBudget) -> None:
        self._backend = backend
        self._budget = budget
        self.since = NEVER  # when it was used last
        self.fresh = True
        self._reply: Reply | None = None
        self._request: RequestHead | None = None
        self._head: ResponseHead | None = None
        self._body: Body | None = None
        self._buffer = b""

    # What a visitor calls.

    def send(self, reply: Reply, request: RequestHead, data: bytes) -> None:
        """Send a request, or what has arrived of it; the response goes to ``reply``."""
        self._reply, self._request = reply, request
        self.transport.write(data)

    def release(self, *, clean: bool, now: float) -> None:
        """Take it from the request that it served: keep it for another request, or end it."""
        self._reply = None
        self.fresh = False
        if clean and not self.transport.is_closing():
            self._backend.keep(self, now)
        else:
            self.transport.abort()

    def close(self) -> None:
        """End it at once; what waits for a response is told nothing."""
        self._reply = None
        self.transport.abort()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self.since = 0.0
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Pass on what belongs to the response."""
        reply = self._reply
        if reply is None:  # bytes that answer no request: the next response would begin with them
            self.transport.abort()
            return
        try:
            if self._body is None:
                self._read_head(reply, data)
            else:
                self._pass_on(reply, b"", data, 0, self._body.take(data))
        except RefusedHead:
            self._fail(502)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the visitor."""
        self._budget.closed(pages=self._backend.pages)
        self._backend.forget(self)
        reply, head = self._reply, self._head
        if reply is None:
            return
        if error is None and head is not None and isinstance(self._body, EndlessBody):
            self._reply = None
            reply.response_done(self, head, clean=False)
        else:
            self._fail(503)

    def pause_writing(self) -> None:
        """Stop reading the visitor."""
        if self._reply is not None:
            self._reply.gate.hold(UPSTREAM_FULL)

    def resume_writing(self) -> None:
        """Read the visitor again."""
        if self._reply is not None:
            self._reply.gate.go_on(UPSTREAM_FULL)

    # Responses.

    def _read_head(self, reply: Reply, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        end = data.find(HEAD_END)
        if end < 0:
            if len(data) > MAX_HEAD:
                raise RefusedHead("the head is too long", 502)
            self._buffer = data
            return
        request, head = self._request, read_response(data, end)
        if request is None:  # no reply is without its request
            raise RefusedHead("nothing was asked", 502)
        if head.status < 200:
            self._interim(reply, request, head, data, end + 4)
            return
        body = response_body(head, request.method)
        upto = end + 4 if body is None else body.take(data, end + 4)
        self._head, self._body = head, body
        start = reply.response_head(data, end, head, endless=isinstance(body, EndlessBody))
        self._pass_on(reply, start, data, end + 4, upto)

    def _pass_on(self, reply: Reply, start: bytes, data: bytes, at: int, upto: int) -> None:
        """Send the visitor a head and what belongs to the body, which lies between two places of the data."""
        body, head = self._body, self._head
        whole = upto == len(data)
        reply.transport.write(start + data[at:] if whole else start + data[at:upto])
        if head is not None and (body is None or body.done):
            self._finish(reply, head, clean=whole)

    def _finish(self, reply: Reply, head: ResponseHead, *, clean: bool) -> None:
        self._reply = self._head = self._body = self._request = None
        reply.response_done(self, head, clean=clean and head.persistent)

    def _interim(
        self, reply: Reply, request: RequestHead, head: ResponseHead, data: bytes, upto: int
    ) -> None:
        """Pass on a response that is not the last one, or turn to the new protocol."""
        if head.status == 101:
            if not request.websocket or head.fields.upgrade != b"websocket":
                raise RefusedHead("the server switches to what was not asked for", 502)
            self._reply = None
            reply.upgraded(self, data)
            return
        if request.minor == 1:
            reply.transport.write(data[:upto])
        if upto < len(data):
            self._read_head(reply, data[upto:])

    def _fail(self, status: int) -> None:
        reply, self._reply = self._reply, None
        begun, self._head, self._body = self._head is not None, None, None
        self.transport.abort()
        if reply is not None:
            reply.upstream_failed(self, status, begun=begun)
