"""Requests for files that servers share: answered without the server, or left to it."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from moorage.plan.admission import Admission
from moorage.plan.embedding import Embedding
from moorage.plan.proxying import Forwarding
from moorage.proxy.settings import ProxySettings
from moorage.proxy.shared_files import SharedFiles
from proxy.rig import Origin, Rig, echo, origin, proxied

pytestmark = pytest.mark.anyio

NAME = "1.0123456789abcdef.js"
PATH = f"/user/a/static/lab/{NAME}"
DATA = bytes(range(256)) * 8192


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / NAME).write_bytes(DATA)
    (tmp_path / "static" / "style.js").write_bytes(b"installed")
    return tmp_path / "static"


@asynccontextmanager
async def served(folder: Path, admission: Admission | None = None) -> AsyncIterator[tuple[Rig, Origin]]:
    async with origin(echo) as server, proxied() as rig:
        files = SharedFiles({"static/lab": [folder]})
        rig.proxy.add_route("/user/a", server.url, None, admission, files)
        yield rig, server


def shared(rig: Rig) -> dict[int, int]:
    return {status: count for (kind, status), count in rig.proxy.core.counts.items() if kind == "shared"}


async def test_no_server_is_asked(folder: Path) -> None:
    async with served(folder) as (rig, server):
        for _ in range(2):
            got = await rig.get(PATH + "?v=1")
            assert (got.status, got.body == DATA) == (200, True)
        assert got.fields["content-type"] == "text/javascript; charset=utf-8"
        assert got.fields["cache-control"] == "public, max-age=31536000, immutable"
        got = await rig.get(PATH, "Accept-Encoding: gzip")
        assert gzip.decompress(got.body) == DATA
        assert got.fields["content-encoding"] == "gzip"
        assert (await rig.get(PATH, f"If-None-Match: {got.fields['etag']}")).status == 304
        part = await rig.get(PATH, "Range: bytes=5-300000")
        assert (part.status, part.body == DATA[5:300001]) == (206, True)
        head = await rig.get(PATH, method="HEAD")
        assert (head.status, head.fields["content-length"]) == (200, str(len(DATA)))
        assert server.connections == 0
        assert shared(rig) == {200: 4, 206: 1, 304: 1}


async def test_a_page_of_another_site_reads_them(folder: Path) -> None:
    site = "https://docs.example.org"
    async with served(folder, Admission(b"c=1", pages=Embedding((site.encode(),), b"key"))) as (rig, server):
        got = await rig.get(PATH, f"Origin: {site}", "Authorization: token key")
        assert (got.status, got.body == DATA, server.connections) == (200, True, 0)
        assert got.fields["access-control-allow-origin"] == site
        own = await rig.get(PATH, "Cookie: c=1")
        assert (own.status, "access-control-allow-origin" in own.fields) == (200, False)


@pytest.mark.parametrize(
    "data",
    [
        b"GET /user/a/static/lab/style.js HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" % PATH.encode(),
        b"GET %b HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx" % PATH.encode(),
        b"GET /user/a/static/lab/%%31.0123456789abcdef.js HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /user/a HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_everything_else_is_the_servers(folder: Path, data: bytes) -> None:
    async with served(folder) as (rig, server):
        visit = await rig.connect()
        visit.send(data.replace(b"%%", b"%"))
        got = await visit.answer()
        assert got.json["url"].startswith("/user/a")
        assert server.connections == 1
        assert shared(rig) == {}
        await visit.close()


async def test_a_route_that_is_closed_to_a_visitor_is_closed_for_files(folder: Path) -> None:
    async with served(folder, Admission(b"key=x")) as (rig, server):
        assert (await rig.get(PATH)).status == 404
        assert (await rig.get(PATH, "Cookie: key=x")).status == 200
        assert server.connections == 0


async def test_requests_on_one_connection_stay_in_order(folder: Path) -> None:
    async with served(folder) as (rig, server):
        visit = await rig.connect()
        ask = "GET {} HTTP/1.1\r\nHost: a\r\n\r\n"
        paths = [PATH, "/user/a/x", PATH, PATH, "/user/a/y"]
        visit.send("".join(ask.format(path) for path in paths).encode())
        for path in paths:
            got = await visit.answer()
            if path == PATH:
                assert got.body == DATA
            else:
                assert got.json["url"] == path
        visit.send(f"GET {PATH} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        assert (await visit.rest()).endswith(DATA)
        assert server.connections == 1
        await visit.close()


async def test_a_visitor_that_reads_slowly_and_one_that_leaves(folder: Path) -> None:
    data = DATA * 7  # more than sockets hold
    (folder / NAME).write_bytes(data)
    async with served(folder) as (rig, _):
        slow, leaves = await rig.connect(), await rig.connect()
        for visit in (slow, leaves):
            visit.send(f"GET {PATH} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            await visit.head()
        await leaves.close()
        assert (await rig.get(PATH)).body == data
        assert await slow.take(len(data)) == data
        await slow.close()
        await rig.settled(visitor=0)


async def test_a_file_that_goes_while_it_is_read_is_left_to_the_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_: object, **__: object) -> None:
        raise FileNotFoundError(PATH)

    monkeypatch.setattr(SharedFiles, "load", gone)
    async with served(folder) as (rig, server):
        assert (await rig.get(PATH)).json["url"] == PATH
        assert server.connections == 1


async def test_host_routing(folder: Path) -> None:

    settings = ProxySettings(forwarding=Forwarding(host_routing=True))
    async with origin(echo) as server, proxied(settings=settings) as rig:
        rig.proxy.add_route("/a", server.url, None, None, SharedFiles({"static/lab": [folder]}))
        assert (await rig.get(f"/static/lab/{NAME}")).body == DATA
        assert server.connections == 0
