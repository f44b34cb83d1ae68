"""One request and its response: on its way to a server, back, and all that can come in between."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Protocol

from moorage.plan.embedding import Embedding
from moorage.plan.proxying import upgrade_answer, visitor_head
from moorage.proxy.answers import answer, bare_answer, html
from moorage.proxy.backend import Backend, WaitingRequest
from moorage.proxy.core import ProxyCore
from moorage.proxy.gate import CONNECTING, UPSTREAM_FULL, ReadGate
from moorage.proxy.splice import Splice, reopening
from moorage.proxy.upstream import Upstream
from moorage.wire.http import RequestHead, ResponseHead
from moorage.wire.http_body import Body

log = logging.getLogger(__name__)

REPEATABLE = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"})
"""Methods of requests that may be sent again when a kept connection ended under them (RFC 9110, 9.2.2)."""
FRESH_SECONDS = 1.0
"""Other requests take a kept connection only when it was used so recently."""
UNSENT = 65536
"""Bytes of a request that are kept while its server is reached; the visitor is not read beyond that."""


class VisitorSide(Protocol):
    """The connection that a request came on."""

    deadline: float

    def finished(self, *, keep: bool) -> None:
        """Go on to the next request, or close once everything is sent."""

    def last_answer(self, message: bytes, unread: Body | None = None) -> None:
        """Send the last bytes once the rest of a body is there, and close once they are read."""

    def give_up(self) -> bytes:
        """Become a mere transport, and return what it had read ahead."""


class Exchange:
    """One request and its response.

    Args:
        core: what all connections share.
        visitor: where the request came from.
        transport: of that connection.
        gate: whether it is read.
        request: the head.
        body: what is still to come of the body; None when it is complete.
    """

    __slots__ = (
        "_backend", "_core", "_embedding", "_keep", "_paused", "_pending", "_repeatable", "_request",
        "_unsent", "_upstream", "_visitor", "body", "gate", "responding", "transport",
    )  # fmt: skip

    def __init__(
        self,
        core: ProxyCore,
        visitor: VisitorSide,
        transport: asyncio.Transport,
        gate: ReadGate,
        request: RequestHead,
        body: Body | None,
    ) -> None:
        self._core, self._visitor, self.transport, self.gate = core, visitor, transport, gate
        self._request = request
        self.body = body
        self.responding = False  # bytes of the final response are on their way
        self._backend: Backend[Upstream] | None = None
        self._embedding: Embedding | None = None  # pages of other sites that read what the proxy answers
        self._upstream: Upstream | None = None
        self._pending: asyncio.Task[None] | None = None  # a connection is opened, or an error page fetched
        self._unsent = b""
        self._keep = False  # the visitor was told that its connection stays open
        self._paused = False  # the server is not read
        # Only what has been sent whole in one piece can be sent again.
        self._repeatable = body is None and request.method in REPEATABLE

    # What the visitor's connection calls.

    def start(self, backend: Backend[Upstream], message: bytes) -> None:
        """Send the request, as it is sent on, to a route's server."""
        self._backend, self._unsent = backend, message
        admission = backend.route.admission
        self._embedding = None if admission is None else admission.pages
        backend.busy.add(self)
        if backend.rest is not None and backend.rest.holds:
            if self.body is None:
                self._visitor.deadline = 0.0  # it may take as long as it takes
            backend.rest.take(self._waiting(message))
        else:
            self._send(backend)

    def _waiting(self, message: bytes) -> WaitingRequest:
        return WaitingRequest(
            self._request, message, self.transport, self._is_there, self._go_on, self._answer, self.fail,
            self._leave,
        )  # fmt: skip

    def _send(self, backend: Backend[Upstream]) -> None:
        upstream = backend.take(0.0 if self._repeatable else self._core.now - FRESH_SECONDS)
        if upstream is None:
            self._connect(backend)
        else:
            self._begin(upstream)

    def _is_there(self) -> bool:
        return self._backend is not None and not self.transport.is_closing()

    def _go_on(self) -> None:
        if self._backend is not None:
            self._send(self._backend)
            self.gate.go_on(CONNECTING)

    def _answer(self, status: int, page: tuple[bytes, bytes]) -> None:
        self.abandon()
        self._core.counts["proxied", status] += 1
        self._visitor.deadline = 0.0
        self._say(status, page)

    def _leave(self) -> bytes:
        self.abandon()
        return self._visitor.give_up()

    def pass_on(self, body: Body, data: bytes) -> int:
        """Pass on what belongs to the body of the request, and return where that ends.

        Raises:
            RefusedHead: this is no body.
        """
        upto = body.take(data)
        if self._backend is not None:
            self._backend.route.body_came(self._request, time.time())
        part = data if upto == len(data) else data[:upto]
        if self._upstream is not None:
            self._upstream.transport.write(part)
        elif self._backend is not None:  # else an error page is fetched, and nothing waits for the body
            self._unsent += part
            if len(self._unsent) > UNSENT:
                self.gate.hold(CONNECTING)
        if body.done:
            self.body = None
            self._expect_response()
        return upto

    def visitor_full(self, full: bool) -> None:  # noqa: FBT001 - the one thing that it says
        """Stop reading the server, or read it again, as the visitor takes what is sent."""
        if self._upstream is None or self._upstream.transport.is_closing():
            return
        self._paused = full
        if full:
            self._upstream.transport.pause_reading()
        else:
            self._upstream.transport.resume_reading()

    def abandon(self) -> None:
        """End what is under way, without an answer."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None
        if self._backend is not None:
            self._backend.busy.discard(self)
            self._backend = None

    def close(self) -> None:
        """End it because its route is gone, or the whole proxy."""
        if self.responding or self.transport.is_closing():
            self.transport.abort()
        else:
            self.fail(404)

    def fail(self, status: int) -> None:
        """Answer with an error of the proxy's own."""
        core, request = self._core, self._request
        self._note(status)
        if request.websocket:
            self._visitor.last_answer(bare_answer(status))
            return
        self._pending = core.fetch_page(status, request.target, lambda page: self._say(status, page))
        if self._pending is None:
            self._say(status, None)

    def _refuse(self) -> None:
        """Answer that descriptors are short."""
        crowded = self._core.settings.crowded
        if self._request.websocket or not crowded:
            self.fail(503)
        else:
            self._note(503)
            self._say(503, html(crowded), keep=False)

    def _note(self, status: int) -> None:
        """End what is under way, and take note of the status of the answer."""
        request = self._request
        self.abandon()
        self._core.counts["proxied", status] += 1
        url = request.target.partition(b"?")[0].decode("ascii", "replace")
        log.warning("%d %s %s", status, request.method.decode(), url)
        self._visitor.deadline = 0.0

    # What its upstream calls.

    def response_head(self, data: bytes, end: int, head: ResponseHead, *, endless: bool) -> bytes:
        """Return the head for the visitor."""
        request, backend, settings = self._request, self._backend, self._core.settings
        self.responding = True
        if settings.timeout is not None or settings.proxy_timeout is not None:
            self._visitor.deadline = 0.0 if settings.timeout is None else self._core.now + settings.timeout
        self._keep = not endless and self.body is None and request.persistent
        if backend is not None and backend.pages and not self._core.budget.has_room(0, pages=True):
            self._keep = False  # those that have a server need it
        route = None if backend is None else backend.route
        return visitor_head(data, end, head, request, route, settings.forwarding, keep=self._keep)

    def response_done(self, upstream: Upstream, head: ResponseHead, *, clean: bool) -> None:
        """Keep the server's connection, and have the visitor's go on or close."""
        core, backend, status = self._core, self._backend, head.status
        self._upstream = self._backend = None
        core.counts["proxied", status] += 1
        if backend is not None:
            backend.busy.discard(self)
            if status < 300:
                backend.route.answered(time.time())
        if self._paused and not upstream.transport.is_closing():
            upstream.transport.resume_reading()
        unread = self.body is not None  # the server has answered before it had read everything
        upstream.release(clean=clean and not unread, now=core.now)
        if unread:
            self._visitor.last_answer(b"")
        else:
            self._visitor.finished(keep=self._keep)

    def upstream_failed(self, upstream: Upstream, status: int, *, begun: bool) -> None:
        """Answer with an error; where a response has begun, closing says that its end is missing."""
        self._upstream, backend = None, self._backend
        if begun:
            self.abandon()
            self.transport.close()
        elif status == 503 and not upstream.fresh and self._repeatable and backend is not None:
            # The server closed a kept connection while the request was on its way (RFC 9112, 9.3.1).
            self._connect(backend)
        else:
            self.fail(status)

    def upgraded(self, upstream: Upstream, data: bytes) -> None:
        """Become a splice."""
        core, backend = self._core, self._backend
        self._upstream = self._backend = None
        if backend is None:
            return
        backend.busy.discard(self)
        core.counts["proxied", 101] += 1
        early = self._visitor.give_up()
        self.transport.write(upgrade_answer(data, backend.route))
        again = reopening(self._request, self._unsent, data) if backend.rest is not None else None
        splice = Splice(self.transport, upstream.transport, backend.route, core.budget, backend.busy, again)
        if early:
            splice.received(early)

    # Its own steps.

    def _connect(self, backend: Backend[Upstream]) -> None:
        # The visitor is read all the same: that it leaves could not be seen otherwise.
        self._pending = self._core.connect(backend, self._connected, self._not_connected)
        if self._pending is None:
            self._refuse()

    def _not_connected(self, status: int) -> None:
        self._pending = None
        self.fail(status)

    def _connected(self, upstream: Upstream) -> None:
        self._pending = None
        self._begin(upstream)
        self.gate.go_on(CONNECTING)

    def _begin(self, upstream: Upstream) -> None:
        """Send what is unsent."""
        self._upstream = upstream
        if self.body is None:
            self._expect_response()
        upstream.send(self, self._request, self._unsent)

    def _expect_response(self) -> None:
        settings = self._core.settings
        wait = settings.proxy_timeout or settings.timeout
        self._visitor.deadline = 0.0 if wait is None else self._core.now + wait

    def _say(self, status: int, page: tuple[bytes, bytes] | None, *, keep: bool = True) -> None:
        request, self._pending = self._request, None
        keep = keep and request.persistent and self.body is None
        head_only = request.method == b"HEAD"
        message = answer(status, self._core.settings.pages, keep=keep, without_body=head_only, page=page)
        if self._embedding is not None:
            message = self._embedding.shared_answer(message, request.fields)
        if keep:
            self.transport.write(message)
            self.gate.go_on(CONNECTING | UPSTREAM_FULL)
            self._visitor.finished(keep=True)
        else:
            self._visitor.last_answer(message, self.body)
