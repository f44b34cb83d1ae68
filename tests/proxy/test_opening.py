"""Connections to servers, and error pages of another one."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from moorage.plan.targets import parse_target
from moorage.proxy.listening import bind_unix
from moorage.proxy.opening import MAX_PAGE, fetch_error_page
from moorage.proxy.settings import ProxySettings
from proxy.rig import Origin, dead, echo, origin, proxied, read_head, saying

pytestmark = pytest.mark.anyio
SETTINGS = ProxySettings()


async def test_a_unix_socket(tmp_path: Path) -> None:
    async with origin(echo, str(tmp_path / "a.sock")) as server, proxied(server.url) as rig:
        assert (await rig.get("/x")).json["url"] == "/x"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse a connection that has to wait")
async def test_a_socket_with_as_many_waiting_as_it_may(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    bound = bind_unix(path)
    bound.listen(0)  # Linux has one wait even so
    async with proxied(f"unix:{path}") as rig:
        visits = [await rig.connect() for _ in range(5)]
        for each in visits:
            each.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        await rig.settled(visitor=5, upstream=5)
        server = await asyncio.start_unix_server(Origin(echo).serve, sock=bound)
        assert [(await each.answer()).status for each in visits] == [200] * 5
        for each in visits:
            await each.close()
        server.close()


async def test_a_page_and_how_it_is_asked_for() -> None:
    asked: list[str] = []

    async def pages(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await read_head(reader))[0])
        writer.write(b"HTTP/1.0 404 x\r\nContent-type: text/x\r\nContent-Encoding: br\r\nX: y\r\n\r\npage")

    async with origin(pages) as server:
        page = await fetch_error_page(parse_target(server.url + "/e"), 404, b"/a?b=\xff", SETTINGS)
        assert page == (b"Content-type: text/x\r\nContent-Encoding: br\r\n", b"page")
        assert asked == ["GET /e/404?url=%2Fa%3Fb%3D%FF HTTP/1.0"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_PAGE + 1),
    ],
)
async def test_what_is_no_page(data: bytes) -> None:
    async with origin(saying(data)) as server:
        assert await fetch_error_page(parse_target(server.url), 404, b"/", SETTINGS) is None


async def test_a_server_that_is_not_there_has_no_page() -> None:
    with dead() as url:
        assert await fetch_error_page(parse_target(url), 404, b"/", SETTINGS) is None
