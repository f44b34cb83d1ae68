"""Requests for a server that the proxy has no route to yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from moorage.plan.visits import ServerId, ServerStarting
from moorage.temp import starting as module
from moorage.temp.urls import urls_of
from temp.rig import PATIENCE, Browser, Rig, service

pytestmark = pytest.mark.anyio
HOSTS = frozenset({"localhost", "127.0.0.1"})


@asynccontextmanager
async def late(browser: Browser, rig: Rig) -> AsyncIterator[ServerId]:
    """Have a server start that waits for the end of the block to listen; its visitor has its cookie."""
    assert (await browser.press()).location == "/start?to="
    (visitor,) = rig.service.visitors._standing
    has = rig.service.standing(visitor)
    assert isinstance(has, ServerStarting)
    async with asyncio.timeout(PATIENCE):
        while not (work := rig.state / "servers" / has.server / "work").is_dir():
            await asyncio.sleep(0.01)
    yield has.server
    (work / "go").touch()


async def refused(browser: Browser, url: str) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as error:
        await browser.session.ws_connect(url)
    return error.value.status


async def test_a_request_waits_for_its_server_and_is_led_there() -> None:
    async with service(env={"TOY": "late"}) as rig, rig.browser() as ann:
        async with late(ann, rig) as server:
            path = f"/user/{server}/api/kernels?x=%20"
            asked = asyncio.ensure_future(ann.get(path, Sec_Fetch_Mode="cors"))
            assert await refused(ann, ann.origin + path) == 503  # a page opens it again
            again = await ann.ask("POST", path, b"x")
            assert (again.status, again.headers["Retry-After"]) == (503, "2")
            async with rig.browser() as bob:
                await bob.get("/")
                assert (await bob.get(path)).status == 404
        answer = await asked
        assert (answer.status, answer.location) == (303, path)
        # A second one is told by its own cookie alone; the first one has brought that.
        assert (await ann.get(path, Sec_Fetch_Mode="cors")).said["path"] == path
        assert (await ann.ask("POST", path, b"x")).status == 200


async def test_a_page_that_waits_long_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    async with service(env={"TOY": "late"}) as rig, rig.browser() as ann, late(ann, rig) as server:
        page = await ann.get(f"/user/{server}/lab")
        assert (page.status, 'content="2"' in page.text) == (503, True)


async def test_a_visitor_without_the_cookie_of_its_server_gets_it_again() -> None:
    async with service() as rig, rig.browser() as ann:
        path = (await ann.follow(await ann.press())).said["path"]
        ann.session.cookie_jar.clear(lambda cookie: cookie["path"] != "/")
        answer = await ann.get(path)
        assert (answer.status, answer.location) == (303, path)
        assert (await ann.follow(answer)).said["path"] == path
        ann.session.cookie_jar.clear(lambda cookie: cookie["path"] != "/")
        assert (await ann.ask("POST", path, b"x")).status == 404


async def test_a_server_with_a_host_of_its_own() -> None:
    async with (
        service(urls=urls_of("localhost", []), hosts=HOSTS, env={"TOY": "late"}) as rig,
        rig.browser("localhost") as ann,
    ):
        async with late(ann, rig) as server:
            (visitor,) = rig.service.visitors._standing
            name, _, value = rig.service._identity.server_cookie(server, visitor).partition("=")
            host = f"http://{server}.localhost:{rig.port}"
            cookie = {"Cookie": f"{name}={value}", "Sec_Fetch_Dest": "empty"}
            asked = asyncio.ensure_future(ann.get(f"{host}//evil.example/x", **cookie))
            assert (await ann.ask("POST", f"{host}/x", b"x", **cookie)).status == 503
            assert (await ann.get(f"{host}/x", Sec_Fetch_Dest="empty")).status == 404
            sibling = {**cookie, "Sec_Fetch_Site": "same-site"}
            assert (await ann.get(f"{host}/x", **sibling)).status == 404
        assert (await asked).location == "/evil.example/x"
