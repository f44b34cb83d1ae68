"""A client of configurable-http-proxy's REST API, with moorage's own; with others in tests/real."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from moorage.errors import UsageError
from moorage.plan.external_routes import FoundRoute
from moorage.proxy.api import RoutesApi
from moorage.proxy.routes_client import ProxyAccess, open_routes_client, proxy_access
from moorage.proxy.server import open_proxy
from moorage.proxy.settings import ProxySettings

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def served(application: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def api(token: str = "secret") -> AsyncIterator[str]:
    async with (
        open_proxy(ProxySettings()) as proxy,
        served(RoutesApi(proxy.core, token).application()) as url,
    ):
        yield url


async def test_routes_are_added_told_and_deleted() -> None:
    async with api() as url, open_routes_client(ProxyAccess(url, "secret")) as client:
        assert await client.routes() == {}
        await client.add("/", "http://127.0.0.1:1", "me")
        await client.add("/user/a", "http://127.0.0.1:2", "me")
        await client.add("/user/a", "http://127.0.0.1:3", "me")
        assert await client.routes() == {
            "/": FoundRoute("http://127.0.0.1:1", "me"),
            "/user/a": FoundRoute("http://127.0.0.1:3", "me"),
        }
        await client.delete("/user/a")
        await client.delete("/user/a")
        await client.delete("/")
        assert await client.routes() == {}


async def test_a_wrong_token() -> None:
    async with api() as url, open_routes_client(ProxyAccess(url, "guessed")) as client:
        with pytest.raises(UsageError, match="refuses the token") as refused:
            await client.routes()
        assert "CONFIGPROXY_AUTH_TOKEN" in str(refused.value)
        assert "guessed" not in f"{refused.value}{ProxyAccess(url, 'guessed')}"


async def test_nothing_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        async with open_routes_client(ProxyAccess(url)) as client:
            with pytest.raises(UsageError, match=f"the proxy at {url} does not answer"):
                await client.add("/", "http://127.0.0.1:1", "me")


@pytest.mark.parametrize("answer", ["[]", "<p>Hello</p>"])
async def test_what_is_no_such_proxy(answer: str) -> None:
    async def say(_: web.Request) -> web.Response:
        return web.Response(text=answer)

    application = web.Application()
    application.router.add_get("/{any:.*}", say)
    async with served(application) as url, open_routes_client(ProxyAccess(url)) as client:
        with pytest.raises(UsageError, match="does not speak the REST API"):
            await client.routes()
        with pytest.raises(UsageError, match="405 Method Not Allowed"):
            await client.add("/", "http://127.0.0.1:1", "me")


def test_addresses() -> None:
    environ = {"CONFIGPROXY_AUTH_TOKEN": "x"}
    for text in ("http://127.0.0.1:8001", "http://127.0.0.1:8001/", "http://127.0.0.1:8001/api/routes"):
        assert proxy_access(text, environ) == ProxyAccess("http://127.0.0.1:8001", "x")
    assert proxy_access("https://[::1]:8001", {}).host == "::1"
    for text in (
        "127.0.0.1:8001",
        "ftp://x",
        "http://",
        "http://x/y",
        "http://x:y",
        "http://x?y",
        "http://x:0",
    ):
        with pytest.raises(UsageError, match=r"http://127\.0\.0\.1:8001"):
            proxy_access(text, {})
    with pytest.raises(UsageError) as refused:
        proxy_access("http://ann:pw@x", {})
    assert "pw" not in str(refused.value)
