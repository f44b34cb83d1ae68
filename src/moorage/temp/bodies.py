"""What comes with requests to the pages: forms, and what is none."""

from __future__ import annotations

from aiohttp import web

FORM_BYTES = 64 * 1024
"""So long may a form be."""
UNREAD_BYTES = 64 * 1024 * 1024
"""So much of a body that is no form is read and dropped: a browser may still save to a server that ended."""


async def take_body(request: web.Request) -> None:
    """Read a form, or drop what is none: some proxies on the way cut off an answer that comes before that."""
    if request.content_length is not None and request.content_length <= FORM_BYTES:
        await request.read()
        return
    dropped = 0
    async for part in request.content.iter_any():
        dropped += len(part)
        if dropped > UNREAD_BYTES:
            return


async def leave_out_library(_: web.Request, answer: web.StreamResponse) -> None:
    """Leave out which library and which Python answer: an attacker alone has use for that."""
    answer.headers.pop("Server", None)
