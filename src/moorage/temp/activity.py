"""Whether a server is in use: what its visitor sent, and what its kernels do.

What a page asks for by itself does not count: JupyterLab asks for this and that as long as a tab shows it,
and a browser answers a websocket's PINGs. Input counts (data frames, bodies of requests but those that
``plan/page_requests.py`` names), and a busy kernel.
"""

from __future__ import annotations

import asyncio
import json
import sys

from moorage.plan.targets import Target
from moorage.wire.http import HEAD_END

PATIENCE = 10.0
MOST = 1 << 20


async def may_be_busy(target: Target, path: str, token: str) -> bool:
    """Tell whether a Jupyter server has a busy kernel, or does not say.

    Args:
        target: where it listens.
        path: of its URLs; a slash stands at its end.
        token: that it asks for.

    Cancelling closes the connection.
    """
    request = (
        f"GET {path}api/kernels HTTP/1.1\r\nHost: localhost\r\nAuthorization: token {token}\r\n"
        "Connection: close\r\n\r\n"
    )
    try:
        async with asyncio.timeout(PATIENCE):
            text = await _asked(target, request.encode())
        head, _, body = text.partition(HEAD_END)
        if not head.startswith(b"HTTP/1.1 200 "):
            return True
        return any(kernel["execution_state"] == "busy" for kernel in json.loads(body))
    except (OSError, ValueError, KeyError, TypeError):
        return True


async def _asked(target: Target, request: bytes) -> bytes:
    if not target.socket:
        reader, writer = await asyncio.open_connection(target.host, target.port)
    elif sys.platform != "win32":
        reader, writer = await asyncio.open_unix_connection(target.socket)
    else:
        return b""
    try:
        writer.write(request)
        text = b""
        while len(text) < MOST and (part := await reader.read(MOST)):
            text += part
        return text
    finally:
        writer.transport.abort()
