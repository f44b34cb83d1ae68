"""A proxy from its start to its end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from moorage.errors import UsageError
from moorage.plan.admission import Admission
from moorage.proxy.limits import open_descriptors
from moorage.proxy.listening import bind_unix
from moorage.proxy.server import open_proxy
from moorage.proxy.settings import ProxySettings
from proxy.rig import PATIENCE, UPGRADE, Visit, echo, mirror, origin, proxied, read_head

pytestmark = pytest.mark.anyio


async def test_the_end_of_the_block_ends_every_connection() -> None:
    before = open_descriptors()
    async with origin(mirror) as server:
        async with proxied(server.url) as rig:
            idle, busy = await rig.connect(), await rig.connect()
            busy.send(UPGRADE)
            await busy.head()
            await rig.settled(visitor=2, upstream=1)
        assert await idle.closed()
        assert await busy.closed()
        assert rig.proxy.core.budget.open == 0
        await idle.close()
        await busy.close()
    async with asyncio.timeout(PATIENCE):
        while open_descriptors() > before:  # the loop closes what is aborted at its next turns
            await asyncio.sleep(0.005)


async def test_no_visitor_is_told_at_the_end_that_its_server_is_gone() -> None:
    came = asyncio.Semaphore(0)

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await read_head(reader)
        came.release()
        await reader.read()

    async with origin(silent) as server:
        async with proxied(server.url) as rig:
            websocket, request = await rig.connect(), await rig.connect()
            websocket.send(UPGRADE)
            request.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            async with asyncio.timeout(PATIENCE):
                await came.acquire()
                await came.acquire()
        # Another process may be there with the same routes: a 404 would have a page give its kernel up.
        assert await websocket.closed()
        assert await request.closed()
        assert not [key for key in rig.proxy.core.counts if 404 in key]
        await websocket.close()
        await request.close()


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "front.sock")
    async with origin(echo) as server, open_proxy(ProxySettings()) as proxy:
        await proxy.listen(bind_unix(path))
        proxy.add_route("/", server.url)
        visit = Visit(*await asyncio.open_unix_connection(path))
        visit.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await visit.answer()).json["headers"]["x-forwarded-for"] == "127.0.0.1"
        await visit.close()


async def test_what_is_no_route() -> None:
    async with proxied() as rig:
        for path, target in (("/x", "nowhere"), ("/%zz", "http://a"), ("/a/../b", "http://a")):
            with pytest.raises(UsageError):
                rig.proxy.add_route(path, target)
        assert not rig.proxy.remove_route("/x")


async def test_a_route_that_a_cookie_opens_and_what_was_sent_on_it_last() -> None:
    async with origin(echo) as server, proxied(server.url) as rig:
        admission = Admission(b"moorage-x=1", ((b"Authorization", b"token t"),), b"moorage-")
        rig.proxy.add_route("/user/a", server.url, {}, admission)
        began = rig.proxy.last_input("/user/a")
        opened = await rig.get("/user/a/x", "Cookie: moorage-x=1; b=2")
        assert opened.json["headers"]["authorization"] == "token t"
        assert opened.json["headers"]["cookie"] == "b=2"
        elsewhere = await rig.get("/user/a/x")  # takes the route /
        assert "authorization" not in elsewhere.json["headers"]
        assert (await rig.get("/user/a/x", "Sec-Fetch-Mode: cors")).status == 404
        assert rig.proxy.last_input("/user/a") == began
        assert rig.proxy.last_input("/user/b") is None
