"""What comes with requests to the pages."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from moorage.temp.bodies import FORM_BYTES
from proxy.rig import Visit
from temp.rig import service

pytestmark = pytest.mark.anyio


async def test_no_page_names_the_library_that_serves_it() -> None:
    async with service() as rig, rig.browser() as ann:
        for path in ("/", "/nothing", "/user/x/y", "/time-left"):
            assert "Server" not in (await ann.get(path)).headers


@pytest.mark.parametrize("size", [11, FORM_BYTES + 1])
async def test_what_is_refused_is_read_first(size: int) -> None:
    async with service() as rig, rig.browser() as ann:
        url = urlsplit(ann.origin)
        visit = Visit(*await asyncio.open_connection(url.hostname, url.port))
        for path in ("/start", "/user/nothing/api/contents"):
            head = f"POST {path} HTTP/1.1\r\nHost: {url.netloc}\r\nOrigin: http://evil.example\r\n"
            visit.send(f"{head}Content-Length: {size}\r\n\r\n".encode())
            for _ in range(2):
                await asyncio.sleep(0.01)  # the head alone arrives, and then a part
                visit.send(b"x" * (size // 2))
            visit.send(b"x" * (size % 2))
            answer = await visit.answer()
            assert (answer.status, answer.fields["connection"]) == (403, "keep-alive")
        await visit.close()
