"""Whether a server is in use: what its visitor sent, and what its kernels do.

What a page asks for by itself does not count: JupyterLab asks for this and that as long as a tab shows it,
and a browser answers a websocket's PINGs. Input counts (data frames, bodies of requests but those that
``plan/page_requests.py`` names), and a busy kernel, as long as ``plan/brake.py`` reprieves it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass

from moorage.plan.targets import Target
from moorage.wire.http import HEAD_END

PATIENCE = 10.0
MOST = 1 << 20
_POLLED = ("api/kernels", "api/sessions", "api/terminals", "api/kernelspecs", "api/me", "lab/api/workspaces")
"""What JupyterLab and Notebook ask for again and again, with an answer that stays the same meanwhile."""


async def may_be_busy(target: Target, path: str, token: str) -> bool:
    """Tell whether a Jupyter server has a busy kernel, or does not say.

    Args:
        target: where it listens.
        path: of its URLs; a slash stands at its end.
        token: that it asks for.

    Cancelling closes the connection.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            text = await _asked(target, _request(f"{path}api/kernels", token))
        head, _, body = text.partition(HEAD_END)
        if not head.startswith(b"HTTP/1.1 200 "):
            return True
        return any(kernel["execution_state"] == "busy" for kernel in json.loads(body))
    except (OSError, ValueError, KeyError, TypeError):
        return True


@dataclass(frozen=True)
class AtRest:
    """A Jupyter server that nothing is lost of when its process ends.

    Args:
        kernels: ids of its kernels.
        answers: JSON by the path below its URL, of what pages ask for by themselves.
    """

    kernels: tuple[str, ...]
    answers: dict[str, str]


async def at_rest(target: Target, path: str, token: str) -> AtRest | None:
    """Return what there is to know of a Jupyter server that nothing is used of; None for another one.

    A terminal is in use, for what runs in it ends with the server.

    Args:
        target: where it listens.
        path: of its URLs; a slash stands at its end.
        token: that it asks for.

    Cancelling closes the connection.
    """
    answers = {}
    try:
        async with asyncio.timeout(PATIENCE):
            for name in _POLLED:
                text = await _asked(target, _request(path + name, token))
                head, _, body = text.partition(HEAD_END)
                if head.startswith(b"HTTP/1.1 200 "):
                    answers[f"/{name}"] = body.decode()
        if json.loads(answers.get("/api/terminals", "[]")):
            return None
        kernels = json.loads(answers["/api/kernels"])
        if any(each["execution_state"] == "busy" for each in kernels):
            return None
        answers |= {f"/api/kernels/{each['id']}": json.dumps(each) for each in kernels}
        return AtRest(tuple(str(each["id"]) for each in kernels), answers)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _request(path: str, token: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: token {token}\r\nConnection: close\r\n\r\n"
    ).encode()


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
