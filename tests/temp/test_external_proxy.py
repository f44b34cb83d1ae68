"""A service behind a proxy of another process, which may be started anew; with real ones in tests/real."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from moorage.errors import UsageError
from moorage.proxy.api import RoutesApi
from moorage.proxy.listening import bind
from moorage.proxy.routes_client import ProxyAccess
from moorage.proxy.server import Proxy, open_proxy
from moorage.proxy.settings import ProxySettings
from temp.rig import PATIENCE, Browser, Rig, service
from temp.test_admin import operator

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def outer(port: int = 0, api_port: int = 0) -> AsyncIterator[tuple[Proxy, int, int]]:
    """Run a proxy, and yield the ports of its visitors and of its API."""
    async with open_proxy(ProxySettings()) as proxy:
        (bound,), (api,) = bind("127.0.0.1", port), bind("127.0.0.1", api_port)
        ports = bound.getsockname()[1], api.getsockname()[1]
        await proxy.listen(bound)
        runner = web.AppRunner(RoutesApi(proxy.core, "secret").application(), shutdown_timeout=0)
        await runner.setup()
        await web.SockSite(runner, api).start()
        try:
            yield proxy, *ports
        finally:
            await runner.cleanup()


def routes(proxy: Proxy) -> dict[str, Any]:
    return {
        "/" + "/".join(part.decode() for part in prefix): backend.route.extra
        for prefix, backend in proxy.core.backends.table.items()
    }


async def until_routed(proxy: Proxy, *paths: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        while {*routes(proxy)} != {*paths}:
            await asyncio.sleep(0.01)
    return routes(proxy)


def behind(api_port: int, **more: Any) -> Any:
    return service(external=ProxyAccess(f"http://127.0.0.1:{api_port}", "secret"), **more)


@asynccontextmanager
async def through(rig: Rig, port: int) -> AsyncIterator[Browser]:
    """Yield a browser that comes by the outer proxy."""
    async with rig.browser() as browser:
        browser.origin = browser.at = f"http://127.0.0.1:{port}"
        yield browser


async def test_visitors_come_by_the_other_proxy_and_all_is_as_without_it() -> None:
    async with outer() as (proxy, port, api_port):
        async with behind(api_port) as rig:
            found = await until_routed(proxy, "/")
            assert found["/"]["target"] == f"http://127.0.0.1:{rig.port}"
            async with through(rig, port) as ann, through(rig, port) as ben:
                answer = await ann.follow(await ann.press())
                path = answer.said["path"]
                server = path.split("/")[2]
                assert answer.said["headers"]["X-Forwarded-For"].startswith("127.0.0.1,")
                found = await until_routed(proxy, "/", f"/user/{server}")
                assert found[f"/user/{server}"]["target"] == found["/"]["target"]
                assert (await ben.get(path)).status == 404
                await ann.press("/server", "/end")
                await until_routed(proxy, "/")
            async with operator(rig) as op:
                made = (await op.ask("POST", "/api/invitations", {"seats": 1, "seconds": 60})).said
                assert made["behind"]  # so that its link is not what visitors come by
        assert routes(proxy) == {}


async def test_routes_are_there_again_after_its_restart(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "moorage.temp")
    async with outer() as (_, port, api_port):
        pass
    async with outer(port, api_port) as (proxy, _, _):
        running = behind(api_port)
        rig = await running.__aenter__()
        async with through(rig, port) as ann:
            server = (await ann.follow(await ann.press())).said["path"].split("/")[2]
            await until_routed(proxy, "/", f"/user/{server}")
    try:
        async with asyncio.timeout(PATIENCE):
            while "does not answer" not in caplog.text:
                await asyncio.sleep(0.01)
        async with outer(port, api_port) as (proxy, _, _):
            await until_routed(proxy, "/", f"/user/{server}")
            proxy.remove_route("/")  # by another hand
            await until_routed(proxy, "/", f"/user/{server}")
            async with asyncio.timeout(PATIENCE):
                while "has all routes again: 1 were" not in caplog.text:
                    await asyncio.sleep(0.01)
            assert "has all routes again: 2 were missing" in caplog.text
            assert caplog.text.count("does not answer") == 1
            proxy.add_route("/hub", "http://127.0.0.1:1")
            await running.__aexit__(None, None, None)
            assert [*routes(proxy)] == ["/hub"]
    except BaseException:
        await running.__aexit__(None, None, None)
        raise


async def test_what_another_program_has_there_stays() -> None:
    async with outer() as (proxy, _, api_port):
        proxy.add_route("/", "http://127.0.0.1:1", {"hub": True})
        with pytest.raises(UsageError, match="leads its visitors elsewhere"):
            async with behind(api_port):
                pass
        assert routes(proxy) == {"/": {"hub": True, "target": "http://127.0.0.1:1"}}
