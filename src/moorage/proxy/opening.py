"""Opening connections to servers: for requests, and for the error pages of another server."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from urllib.parse import quote

from moorage.plan.backoff import pause
from moorage.plan.targets import Target
from moorage.proxy.listening import UNIX
from moorage.proxy.settings import ProxySettings
from moorage.wire.http import HEAD_END, RefusedHead, read_response

MAX_PAGE = 1 << 20
PAGE_SECONDS = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.1
"""Seconds between attempts at a Unix socket that has as many connections waiting as it may."""
_COPIED = re.compile(rb"\r\n((?i:content-type|content-encoding):[^\r]*+)")


async def open_target(
    target: Target, protocol: Callable[[], asyncio.Protocol], settings: ProxySettings
) -> None:
    """Open a connection to a server.

    Args:
        target: where it is.
        protocol: makes what speaks there.
        settings: how long that may take, and how servers prove themselves.

    Raises:
        OSError: it cannot be opened; TimeoutError, one of them, not within the time.

    Cancelling closes what is half open.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(settings.connect_timeout):
        if target.socket:
            await loop.create_unix_connection(protocol, sock=await _connected(target.socket))
        else:
            tls = (settings.target_tls or True) if target.tls else None
            await loop.create_connection(protocol, target.host, target.port, ssl=tls)


async def _connected(path: str) -> socket.socket:
    """Return a socket that is connected to a Unix socket.

    Linux connects such a socket at once, or says EAGAIN where as many wait already as its server allows
    (connect(2)); asyncio takes the latter for a connection, which is none.
    """
    failures = 0
    while True:
        made = socket.socket(UNIX, socket.SOCK_STREAM)
        try:
            made.setblocking(False)
            made.connect(path)
        except BlockingIOError:
            made.close()
            failures += 1
            await asyncio.sleep(pause(FIRST_PAUSE, LONGEST_PAUSE, failures))
        except BaseException:
            made.close()
            raise
        else:
            return made


class _Page(asyncio.Protocol):
    """Collects what a server sends until it closes."""

    def __init__(self, request: bytes, ended: asyncio.Future[None]) -> None:
        self.data = b""
        self._request = request
        self._ended = ended
        self.transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self.transport = transport
        if isinstance(transport, asyncio.WriteTransport) or hasattr(transport, "write"):
            transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Keep it, as long as it is a page of a sensible size."""
        self.data += data
        if len(self.data) > MAX_PAGE and self.transport is not None:
            self.data = b""
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - what has arrived is judged
        """Tell that it is all there."""
        if not self._ended.done():
            self._ended.set_result(None)


async def fetch_error_page(
    target: Target, status: int, url: bytes, settings: ProxySettings
) -> tuple[bytes, bytes] | None:
    """Return the error page of another server: lines of fields, each with CRLF at its end, and the body.

    It is asked for ``PATH/STATUS?url=URL``, as configurable-http-proxy does. None when there is none to be
    had.

    Args:
        target: of that server.
        status: that the page is about.
        url: path and query of the request.
        settings: how connections are opened.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    path = b"%b/%d?url=%b" % (target.path, status, quote(url, safe="").encode())
    # HTTP/1.0, so that the page comes in one piece and ends with the connection.
    page = _Page(
        b"GET %b HTTP/1.0\r\nHost: %b\r\nConnection: close\r\n\r\n" % (path, target.authority), ended
    )
    try:
        await open_target(target, lambda: page, settings)
        async with asyncio.timeout(PAGE_SECONDS):
            await ended
    except OSError:
        return None
    finally:
        if page.transport is not None:
            page.transport.close()
    end = page.data.find(HEAD_END)
    try:
        head = read_response(page.data, end) if end >= 0 else None
    except RefusedHead:
        return None
    body = page.data[end + 4 :]
    if head is None or head.fields.chunked or (head.fields.length >= 0 and head.fields.length != len(body)):
        return None
    return b"".join(line + b"\r\n" for line in _COPIED.findall(head.fields.block)), body
