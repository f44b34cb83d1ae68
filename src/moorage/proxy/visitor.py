"""The connection of a visitor: each of its requests takes the route that its own head names."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from functools import partial
from typing import cast

from moorage.plan.admission import shows_a_page
from moorage.plan.file_answers import READS
from moorage.plan.proxying import RequestWriter
from moorage.plan.routes import host_name, request_segments
from moorage.proxy.answers import HTTPS_PORT, answer, health_answer, html, redirection
from moorage.proxy.backend import Backend
from moorage.proxy.core import ADMITTED, FOR_ALL, UNUSED, ProxyCore
from moorage.proxy.exchange import Exchange
from moorage.proxy.file_exchange import FileExchange
from moorage.proxy.gate import CONNECTING, PIPELINED, UPSTREAM_FULL, ReadGate
from moorage.proxy.upstream import Upstream
from moorage.wire.http import HEAD_END, MAX_HEAD, RefusedHead, RequestHead, RequestReader
from moorage.wire.http_body import Body, request_body

LINGER_SECONDS = 2.0
"""How long a visitor that still sends may take to read why it is refused."""
BODY_SECONDS = 2.0
"""How long an error of the proxy's own waits for the rest of a body: proxies on the way (Caddy for one) cut
an answer off that comes before they have sent everything."""
_CR = 13
HEALTH_PATH = b"/_chp_healthz"


class Visitor(asyncio.Protocol):
    """One connection.

    Args:
        core: what it shares with the others.
        tls: whether it is encrypted.
        redirect_to: port for HTTPS that each request is led to; 0 for none.
    """

    __slots__ = (
        "_buffer", "_core", "_draining", "_exchange", "_full", "_gate", "_last", "_reader", "_reading",
        "_redirect_to", "_tls", "_unread", "_used_for", "_writer", "deadline", "transport",
    )  # fmt: skip

    transport: asyncio.Transport
    _gate: ReadGate
    _writer: RequestWriter

    def __init__(self, core: ProxyCore, *, tls: bool, redirect_to: int = 0) -> None:
        self.deadline = 0.0
        self._core = core
        self._tls = tls
        self._redirect_to = redirect_to
        self._reader = RequestReader()
        self._exchange: Exchange | FileExchange | None = None
        self._buffer = b""  # what has arrived and is not looked at yet
        self._reading = False  # requests that came before their turn are read
        self._full = False  # it does not take what was sent
        self._draining = False  # it is closed as soon as it has read the last answer
        self._unread: Body | None = None  # what is read before the last answer is sent
        self._last = b""
        self._used_for = UNUSED

    @property
    def idle(self) -> int:
        """0 within a request, else what it was used for last."""
        between = self._exchange is None and not self._buffer and not self._draining
        return self._used_for if between else 0

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or refuse it when descriptors are short."""
        core = self._core
        self.transport = cast("asyncio.Transport", transport)
        self._gate = ReadGate(self.transport)
        address = transport.get_extra_info("peername")
        peer = address[0].encode() if isinstance(address, tuple) else b"127.0.0.1"
        self._writer = RequestWriter(core.settings.forwarding, peer=peer, tls=self._tls)
        admitted = core.admit()
        core.budget.kinds["visitor"] += 1
        core.visitors.add(self)
        self.deadline = core.now + core.settings.head_timeout
        if not admitted and core.budget.may_refuse():
            self._refuse(503, html(core.settings.crowded) if core.settings.crowded else None)
        elif not admitted:
            self._draining = True
            core.counts["refused", 503] += 1
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read a head, pass on a body, or keep what comes too early."""
        exchange = self._exchange
        if exchange is None:
            if self._draining:
                self._drop(data)
                return
            if self._full:
                self._buffer += data
                self._gate.hold(PIPELINED)
                return
            if self._buffer:
                data = self._buffer + data
                self._buffer = b""
            self._read_head(data)
            if self._buffer:
                self._read_pipelined()
        elif isinstance(exchange, Exchange) and exchange.body is not None:
            self._pass_on(exchange, data)
        else:
            self._buffer += data
            self._gate.hold(PIPELINED)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - how it ended changes nothing
        """End what was under way for it."""
        core = self._core
        core.budget.kinds["visitor"] -= 1
        core.visitors.discard(self)
        self._draining, self._buffer = True, b""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.abandon()

    def pause_writing(self) -> None:
        """Stop reading the server."""
        self._full = True
        if self._exchange is not None:
            self.deadline = self._core.now + self._core.settings.read_timeout
            self._exchange.visitor_full(True)

    def resume_writing(self) -> None:
        """Read the server again."""
        self._full = False
        if self._exchange is not None:
            timeout = self._core.settings.timeout
            self.deadline = 0.0 if timeout is None else self._core.now + timeout
            self._exchange.visitor_full(False)
        elif self._buffer:
            self._read_pipelined()

    # What the proxy and an exchange call.

    def expire(self) -> None:
        """End what it waits for: it is late, or it is idle and descriptors are short."""
        self.deadline = 0.0
        exchange = self._exchange
        if self._unread is not None:
            self.last_answer(self._last)
        elif self.idle or self._draining or (exchange is not None and exchange.responding):
            self.transport.abort()
        elif exchange is None or exchange.body is not None:
            self._refuse(408)
        else:
            exchange.fail(504)

    def finished(self, *, keep: bool) -> None:
        """Go on to the next request, or close once everything is sent."""
        self._exchange = None
        if not keep:
            self._draining = True
            self.deadline = self._core.now + self._core.settings.keep_alive
            self.transport.close()
            return
        self.deadline = self._core.now + self._core.settings.keep_alive
        if self._buffer:
            self._read_pipelined()

    def last_answer(self, message: bytes, unread: Body | None = None) -> None:
        """Send the last bytes, and close once they are read: closing at once would reset the connection."""
        self._exchange = None
        self._draining, self._buffer = True, b""
        self._unread = unread
        if self.transport.is_closing():
            return
        self._gate.go_on(CONNECTING | PIPELINED | UPSTREAM_FULL)
        if unread is not None:
            self._last = message
            self.deadline = self._core.now + BODY_SECONDS
            return
        self.transport.write(message)
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.deadline = self._core.now + LINGER_SECONDS
        else:  # TLS, which has no half-closed connections
            self.transport.close()

    def give_up(self) -> bytes:
        """Become a mere transport, and return what it had read ahead."""
        self._core.visitors.discard(self)
        early, self._buffer = self._buffer, b""
        self._exchange = None
        self._gate.go_on(CONNECTING | PIPELINED | UPSTREAM_FULL)
        return early

    # Requests.

    def _read_pipelined(self) -> None:
        """Read the requests that came before their turn."""
        if self._reading:
            return  # an answer of the proxy itself has come back here before the loop below has looked
        self._reading = True
        while self._exchange is None and self._buffer and not (self._full or self._draining):
            data, self._buffer = self._buffer, b""
            self._read_head(data)
            if self._buffer == data:
                break  # no whole head
        self._reading = False
        if self._exchange is None and not self._full:
            self._gate.go_on(PIPELINED)

    def _read_head(self, data: bytes) -> None:
        """Begin the request that ``data`` begins with; keep the rest, or all when it is no whole head."""
        if data[0] == _CR and data.startswith(b"\r\n"):
            data = data[2:]  # some clients send a line end too much after a body (RFC 9112, 2.2)
        end = data.find(HEAD_END)
        if end < 0:
            self._keep_part(data)
            return
        try:
            request = self._reader.read(data, end)
            if self._redirect_to:
                self._redirect(request)
                return
            backend = self._find(request)
            admitted = backend is not None and backend.route.admission is not None
            self._used_for = ADMITTED if admitted else FOR_ALL
            body = request_body(request)
            start = end + 4
            upto = start if body is None else body.take(data, start)
        except RefusedHead as error:
            self._refuse(error.status)
            return
        if upto < len(data):
            self._buffer = data[upto:]
        if body is None and backend is not None and self._answer_file(request, backend):
            return
        part = data[start:upto] if upto > start else b""
        self._begin(request, backend, None if body is None or body.done else body, part)

    def _begin(
        self, request: RequestHead, backend: Backend[Upstream] | None, body: Body | None, part: bytes
    ) -> None:
        """Begin a request: what is to come of its body, and what has come of it."""
        exchange = self._exchange = Exchange(self._core, self, self.transport, self._gate, request, body)
        if body is not None:
            self._await_body()
        if request.target == HEALTH_PATH:
            self._answer_health(request, complete=body is None)
        elif backend is None or backend.gone:
            exchange.fail(404)
        else:
            if part:
                backend.route.body_came(request, time.time())
            self._core.counts["websockets" if request.websocket else "requests", 0] += 1
            exchange.start(backend, self._writer.message(request, backend.route, part))

    def _answer_file(self, request: RequestHead, backend: Backend[Upstream]) -> bool:
        """Answer with a file that all servers share; tell whether it is one."""
        core, files = self._core, backend.shared
        if files is None or request.method not in READS or request.websocket:
            return False
        path = backend.route.below(request, host_routing=core.settings.forwarding.host_routing)
        file = None if path is None else files.find(path)
        if file is None:
            return False
        otherwise = partial(self._begin, request, backend, None, b"")
        exchange = FileExchange(core, self, self.transport, request, backend.route, otherwise)
        self._exchange = exchange
        exchange.start(files, file)
        return True

    def _redirect(self, request: RequestHead) -> None:
        """Lead a request to HTTPS, and close."""
        if not request.fields.host:
            self._refuse(400)
            return
        self._core.counts["redirected", 0] += 1
        host = b"https://" + host_name(request.fields.host)
        port = b"" if self._redirect_to == HTTPS_PORT else b":%d" % self._redirect_to
        self.last_answer(redirection(request.method, host + port + request.target))

    def _drop(self, data: bytes) -> None:
        """Read a body that goes nowhere; send the last answer when it is there."""
        if self._unread is None:
            return
        with suppress(RefusedHead):  # it is no body: it will not end
            self._unread.take(data)
            if not self._unread.done:
                return
        self.last_answer(self._last)

    def _keep_part(self, data: bytes) -> None:
        """Keep a part of a head; a deadline runs from its first byte."""
        if len(data) > MAX_HEAD:
            self._refuse(431)
            return
        if self.idle and data:
            self.deadline = self._core.now + self._core.settings.head_timeout
        self._buffer = data

    def _find(self, request: RequestHead) -> Backend[Upstream] | None:
        table, path = self._core.backends.table, request.plain_path
        if self._core.settings.forwarding.host_routing:
            found = table.find((host_name(request.fields.host), *request_segments(request.target)))
        else:
            found = table.find(request_segments(request.target)) if path is None else table.find_plain(path)
        if found is None or (admission := found.route.admission) is None:
            return found
        if admission.own and request.target.startswith(admission.own):
            return table.get(())
        if admission.admits(request):
            return found
        # A page says so to a reader; scripts that go on asking get an answer of the proxy itself.
        return table.get(()) if shows_a_page(request) or admission.asks_ahead(request) else None

    def _pass_on(self, exchange: Exchange, data: bytes) -> None:
        """Pass on what belongs to the body of the request; keep the rest."""
        body = exchange.body
        if body is None:
            return
        self._await_body()
        try:
            upto = exchange.pass_on(body, data)
        except RefusedHead as error:
            self._refuse(error.status)
            return
        if upto < len(data):
            self._buffer = data[upto:]
            self._gate.hold(PIPELINED)

    def _await_body(self) -> None:
        settings = self._core.settings
        self.deadline = self._core.now + (settings.timeout or settings.body_timeout)

    def _answer_health(self, request: RequestHead, *, complete: bool) -> None:
        keep = request.persistent and complete
        message = health_answer(keep=keep, without_body=request.method == b"HEAD")
        if keep:
            self.transport.write(message)
            self.finished(keep=True)
        else:
            self.last_answer(message)

    def _refuse(self, status: int, page: tuple[bytes, bytes] | None = None) -> None:
        """Refuse what is no request, or no body; nothing behind it can be trusted."""
        core, exchange = self._core, self._exchange
        core.counts["refused", status] += 1
        if exchange is not None:
            exchange.abandon()
            if exchange.responding:
                self.transport.abort()
                return
        self.last_answer(answer(status, core.settings.pages, keep=False, page=page))
