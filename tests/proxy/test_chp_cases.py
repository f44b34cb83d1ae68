"""configurable-http-proxy's cases of a proxy that runs (test/proxy_spec.js), as far as they are of any proxy.

Left out are those of its JavaScript interface (events, storage backends). Its malformed path ``/%`` is a 500
there and a 400 here. Certificates between proxy and servers are in ``test_tls.py``, routes in
``tests/plan/test_routes.py``, the REST API in ``test_api.py``, the command line in
``tests/cli/test_proxy_run.py``.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from moorage.plan.proxying import Forwarding, PrefixRoute
from moorage.plan.routes import prefix_segments
from moorage.plan.targets import parse_target
from moorage.proxy.answers import read_pages
from moorage.proxy.settings import ProxySettings
from proxy.rig import UPGRADE, Rig, dead, echo, mirror, origin, proxied, saying

pytestmark = pytest.mark.anyio
FRAME = b"\x81\x82\x00\x00\x00\x00hi"
LONG_AGO = 1000.0


def route(rig: Rig, path: str = "/") -> PrefixRoute:
    backend = rig.proxy.core.backends.table.get(prefix_segments(path))
    assert backend is not None
    return backend.route


async def test_a_request_is_activity_and_its_connection_is_kept() -> None:
    async with origin(echo) as server, proxied(server.url) as rig:
        route(rig).last_activity = LONG_AGO
        answer = await rig.get("/")
        assert (answer.status, answer.json["url"]) == (200, "/")
        assert answer.fields["connection"] == "keep-alive"
        assert route(rig).last_activity > LONG_AGO


async def test_what_is_said_on_a_websocket_is_activity() -> None:
    async with origin(mirror) as server, proxied(server.url) as rig:
        route(rig).last_activity = LONG_AGO
        visit = await rig.connect()
        visit.send(UPGRADE)
        assert (await visit.head())[0] == 101
        visit.send(FRAME)
        assert await visit.take(len(FRAME)) == FRAME
        assert route(rig).last_activity > LONG_AGO
        await visit.close()


@pytest.mark.parametrize(
    ("prefix", "asked", "got", "options"),
    [
        ("/bar", "/bar/rest/of/it", "/foo/bar/rest/of/it", {}),
        ("/bar", "/bar?query=foo", "/foo/bar?query=foo", {}),
        ("/b@r/b r", "/b%40r/b%20r/rest/of/it", "/foo/b%40r/b%20r/rest/of/it", {}),
        ("/b@r/b r", "/b@r/b%20r/rest/of/it", "/foo/b@r/b%20r/rest/of/it", {}),
        ("/bar", "/bar/rest/of/it", "/bar/rest/of/it", {"prepend_path": False}),
        ("/bar", "/bar/rest/of/it", "/foo/rest/of/it", {"include_prefix": False}),
        ("/bar", "/bar/rest/of/it", "/rest/of/it", {"prepend_path": False, "include_prefix": False}),
    ],
)
async def test_paths(prefix: str, asked: str, got: str, options: dict[str, bool]) -> None:
    settings = ProxySettings(forwarding=Forwarding(**options))
    async with origin(echo) as server, proxied(settings=settings) as rig:
        rig.proxy.add_route(prefix, server.url + "/foo")
        assert (await rig.get(asked)).json["url"] == got


async def test_routes_by_host() -> None:
    settings = ProxySettings(forwarding=Forwarding(host_routing=True))
    async with origin(echo) as server, proxied(settings=settings) as rig:
        rig.proxy.add_route("/a", server.url)  # the host that rig.get asks for
        assert (await rig.get("/some/path")).json["url"] == "/some/path"


async def test_errors_are_no_activity() -> None:
    with dead() as nowhere:
        async with proxied() as rig:
            rig.proxy.add_route("/missing", nowhere)
            route(rig, "/missing").last_activity = LONG_AGO
            assert (await rig.get("/missing/prefix")).status == 503
            visit = await rig.connect()
            visit.send(UPGRADE.replace(b"/ws", b"/missing/ws"))
            assert (await visit.head())[0] == 503
            await visit.close()
            assert route(rig, "/missing").last_activity == LONG_AGO


async def test_pages_of_an_error_target() -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\n/foo/bar"
    async with origin(saying(page)) as server:
        settings = ProxySettings(error_target=parse_target(server.url))
        async with proxied(settings=settings) as rig:
            answer = await rig.get("/foo/bar")
            assert (answer.status, answer.body) == (404, b"/foo/bar")
            assert answer.fields["content-type"] == "text/plain"
            malformed = await rig.get("/%")
            assert malformed.status == 400


async def test_pages_of_a_folder_and_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "404.html").write_text("404'D")
    (tmp_path / "error.html").write_text("UNKNOWN")
    with dead() as nowhere:
        for pages, said in ((read_pages(tmp_path), (b"404'D", b"UNKNOWN")), ({}, (b"404:", b"503:"))):
            async with proxied(settings=ProxySettings(pages=pages)) as rig:
                rig.proxy.add_route("/missing", nowhere)
                for path, status, text in zip(("/nope", "/missing/prefix"), (404, 503), said, strict=True):
                    answer = await rig.get(path)
                    assert (answer.status, answer.fields["content-type"]) == (status, "text/html")
                    assert text in answer.body


async def redirecting(location: str, forwarding: Forwarding) -> str:
    """Return where a redirect of a server leads through the proxy; ``{own}`` is that server's address."""
    url = ""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 301 Moved\r\nLocation: {location.format(own=url)}\r\nContent-Length: 0\r\n\r\n"
        await saying(head.encode())(reader, writer)

    async with origin(handler) as server, proxied(settings=ProxySettings(forwarding=forwarding)) as rig:
        url = server.url.partition("//")[2]
        rig.proxy.add_route("/external/urlpath/", server.url + "/internal/urlpath/")
        answer = await rig.get("/external/urlpath/rest/of/it")
        assert answer.status == 301
        return answer.fields["location"]


async def test_redirects() -> None:
    elsewhere = "http://foo.com:12345/whatever"
    assert await redirecting(elsewhere, Forwarding()) == elsewhere
    rewriting = Forwarding(auto_rewrite=True, protocol_rewrite=b"https")
    assert await redirecting("http://{own}/whatever", rewriting) == "https://a/whatever"


async def test_health() -> None:
    async with proxied() as rig:
        answer = await rig.get("/_chp_healthz")
        assert (answer.status, json.loads(answer.body)) == (200, {"status": "OK"})
