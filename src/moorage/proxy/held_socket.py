"""A visitor's websocket whose server has ended, or is about to, and will be there again."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import time
from collections.abc import Callable
from typing import Protocol

from moorage.plan.page_requests import said_by_the_page
from moorage.proxy.backend import Backend
from moorage.proxy.core import ProxyCore
from moorage.proxy.gate import CONNECTING, ReadGate
from moorage.proxy.splice import Reopening, Splice, reopening
from moorage.proxy.upstream import Upstream
from moorage.wire.client_frames import CLOSE, CONTROL, PING, ClientFrames
from moorage.wire.frames import FrameScanner
from moorage.wire.http import HEAD_END, RequestHead, ResponseHead

MOST_KEPT = 1 << 20
"""Bytes of a visitor that are kept for its server; more are not read."""
KERNEL_PROTOCOL = b"v1.kernel.websocket.jupyter.org"
"""What Jupyter's servers choose where a page offers it."""
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"\r\n(?i:sec-websocket-key):[ \t]*+([^\r]*)")
_OFFERED = re.compile(rb"\r\n(?i:sec-websocket-protocol):[ \t]*+([^\r]*)")
_CLOSED, _LEAVING = b"\x88\x00", b"\x88\x02\x03\xe9"
_SIGN_OF_LIFE = b"\x89\x00"


def accepted(request: RequestHead, *, kernel: bool) -> tuple[bytes, bytes]:
    """Return the response that opens a websocket as its server would, and the protocol that it chooses.

    Args:
        request: for it.
        kernel: whether it leads to a kernel.
    """
    block = request.fields.block
    key = _KEY.search(block)
    word = b"" if key is None else key[1].strip(b" \t")
    accept = base64.b64encode(hashlib.sha1(word + _GUID, usedforsecurity=False).digest())
    offered = {each.strip(b" \t") for line in _OFFERED.findall(block) for each in line.split(b",")}
    protocol = KERNEL_PROTOCOL if kernel and KERNEL_PROTOCOL in offered else b""
    line = b"Sec-WebSocket-Protocol: " + protocol + b"\r\n" if protocol else b""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n" + line + b"\r\n",
        protocol,
    )


class Holder(Protocol):
    """The rest of a route that it is held on."""

    sockets: set[HeldSocket]

    def acted(self, now: float) -> None:
        """Take note that a visitor sent what its server is needed for."""


class HeldSocket(asyncio.Protocol):
    """One websocket, until its server is there again.

    Args:
        core: of the proxy.
        backend: its route.
        rest: that it is held on.
        visitor: the visitor's transport; its protocol is replaced.
        again: how it is opened again.
        scanner: of the visitor's frames so far; None where none has come.
    """

    def __init__(
        self,
        core: ProxyCore,
        backend: Backend[Upstream],
        rest: Holder,
        visitor: asyncio.Transport,
        again: Reopening,
        scanner: FrameScanner | None = None,
    ) -> None:
        self._core, self._backend, self._rest = core, backend, rest
        self._visitor, self._gate = visitor, ReadGate(visitor)
        self._again = again
        self._scanner = scanner or FrameScanner()
        self._frames = ClientFrames()
        self._kept = bytearray()
        self._said = False  # a frame with data is among what is kept
        self._full = False  # the visitor does not take what was sent
        self._before: asyncio.Transport | None = None  # to the process that is about to end
        self._opening: asyncio.Task[None] | None = None
        self._next: Upstream | None = None  # to the process in its place
        visitor.set_protocol(self)

    def keep(self, upstream: asyncio.Transport) -> None:
        """Pass on what a server sends until its end.

        Args:
            upstream: its transport, whose protocol is replaced.
        """
        self._before = upstream
        upstream.set_protocol(_LastWords(self._visitor.write, self._ended))

    # What the loop calls.

    def data_received(self, data: bytes) -> None:
        """Keep what a visitor sends, and look whether its server is needed for it."""
        self._kept += data
        for opcode, content in self._frames.feed(data):
            if opcode == CLOSE:
                self._visitor.write(_CLOSED)
                self._visitor.close()
                return
            if opcode == PING:
                self._visitor.write(bytes([0x8A, len(content) & 127]) + content[:125])
            elif opcode < CONTROL:
                self._said = True
                if not said_by_the_page(content):
                    self._rest.acted(time.time())
        if not self._said and self._frames.between:
            self._kept.clear()  # signs of life
        if len(self._kept) > MOST_KEPT:
            self._gate.hold(CONNECTING)

    def eof_received(self) -> None:
        """Close: a websocket ends as a whole."""

    def pause_writing(self) -> None:
        """Take note that the visitor is slow."""
        self._full = True

    def resume_writing(self) -> None:
        """Take note that it is not any more."""
        self._full = False

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - the server learns of its end only
        """End the other side, too."""
        self._core.budget.kinds["visitor"] -= 1
        self._rest.sockets.discard(self)
        self._drop_server()

    # What the rest of its route calls.

    def ping(self) -> None:
        """Send a sign of life."""
        if not self._visitor.is_closing():
            self._visitor.write(_SIGN_OF_LIFE)

    def close(self) -> None:
        """End it: its route is gone, or its kernel, or its server could not be had; a page connects again."""
        if not self._visitor.is_closing():
            self._visitor.write(_LEAVING)
            self._visitor.close()
        self._drop_server()

    def reopen(self) -> None:
        """Go on with the server that is there now."""
        if self._visitor.is_closing():
            return
        self._opening = self._core.connect(self._backend, self._connected, self._not_connected)
        if self._opening is None:  # descriptors are short
            self.close()

    # Its own steps.

    def _ended(self) -> None:
        """Count the connection to the process that has ended no more."""
        self._core.budget.kinds["upstream"] -= 1
        self._before = None

    def _connected(self, upstream: Upstream) -> None:
        self._opening, self._next = None, upstream
        reply = _ReopeningReply(self._visitor, self._gate, self._upgraded, self.close)
        upstream.send(reply, self._again.request, self._again.message)

    def _not_connected(self, status: int) -> None:  # noqa: ARG002 - a page that connects again learns it
        self._opening = None
        self.close()

    def _drop_server(self) -> None:
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
        upstream, self._next = self._next, None
        if upstream is not None:
            upstream.close()
        before, self._before = self._before, None
        if before is not None:
            before.abort()

    def _upgraded(self, upstream: Upstream, data: bytes) -> None:
        """Become a splice, and pass on what was kept."""
        again, backend, core, kept = self._again, self._backend, self._core, bytes(self._kept)
        if reopening(again.request, again.message, data) != again or self._visitor.is_closing():
            self.close()
            return
        self._next = None
        server, behind = upstream.transport, data.partition(HEAD_END)[2]
        splice = Splice(self._visitor, server, backend.route, core.budget, backend.busy, again, self._scanner)
        if behind:
            self._visitor.write(behind)
        if self._full:
            server.pause_reading()
        if kept:
            splice.received(kept)
        self._gate.go_on(CONNECTING)


class _ReopeningReply:
    """Takes the response to the request that opens a websocket again.

    Args:
        transport: of the visitor.
        gate: of the same.
        upgraded: goes on with what was opened.
        refused: called where it was not.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        gate: ReadGate,
        upgraded: Callable[[Upstream, bytes], None],
        refused: Callable[[], None],
    ) -> None:
        self.transport, self.gate = transport, gate
        self.upgraded = upgraded
        self._refused = refused

    def response_head(self, data: bytes, end: int, head: ResponseHead, *, endless: bool) -> bytes:  # noqa: ARG002 - a websocket was asked for
        """Close: the server has no such websocket any more."""
        self._refused()
        return b""

    def response_done(self, upstream: Upstream, head: ResponseHead, *, clean: bool) -> None:  # noqa: ARG002 - as above
        """Close."""
        upstream.close()

    def upstream_failed(self, upstream: Upstream, status: int, *, begun: bool) -> None:  # noqa: ARG002 - as above
        """Close: a page connects again by itself."""
        self._refused()


class _LastWords(asyncio.Protocol):
    """The connection to a process that is about to end.

    Args:
        write: passes on what it still says.
        ended: called when it has ended.
    """

    def __init__(self, write: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        self._write, self._ended = write, ended

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        self._write(data)

    def eof_received(self) -> None:
        """Close."""

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - that it ends is what was waited for
        """Leave the visitor's side open."""
        self._ended()
