"""Websockets that are held while their server sleeps; how they are held with a route is tested there."""

from __future__ import annotations

from moorage.proxy.held_socket import accepted
from proxy.rig import UPGRADE
from wire.test_http import read


def test_a_websocket_is_opened_as_its_server_would() -> None:
    offer = b"Sec-WebSocket-Protocol: other, v1.kernel.websocket.jupyter.org\r\n\r\n"
    request = read(UPGRADE[:-2] + offer)
    answer, protocol = accepted(request, kernel=True)
    assert answer == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"  # as in RFC 6455, 1.3
        b"Sec-WebSocket-Protocol: v1.kernel.websocket.jupyter.org\r\n\r\n"
    )
    assert protocol == b"v1.kernel.websocket.jupyter.org"


def test_what_is_not_offered_or_no_kernel_gets_no_protocol() -> None:
    assert accepted(read(UPGRADE), kernel=True)[1] == b""
    answer, protocol = accepted(read(UPGRADE), kernel=False)
    assert (b"Sec-WebSocket-Protocol" in answer, protocol) == (False, b"")
