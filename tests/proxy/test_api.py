"""The REST API: configurable-http-proxy's cases (test/api_spec.js), and the faults that are mended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from moorage.plan.proxying import Forwarding
from moorage.proxy.api import MetricsPage, RoutesApi
from moorage.proxy.core import ProxyCore
from moorage.proxy.limits import DescriptorBudget
from moorage.proxy.settings import ProxySettings

pytestmark = pytest.mark.anyio
TARGET = "http://127.0.0.1:8998"
TOKEN = {"Authorization": "token secret"}


@asynccontextmanager
async def served(token: str = "secret", **forwarding: Any) -> AsyncIterator[tuple[TestClient, ProxyCore]]:
    settings = ProxySettings(forwarding=Forwarding(**forwarding))
    async with asyncio.TaskGroup() as tasks:
        core = ProxyCore(settings, DescriptorBudget(1024, 20), tasks)
        async with TestClient(TestServer(RoutesApi(core, token).application()), headers=TOKEN) as client:
            yield client, core


def paths(core: ProxyCore) -> list[bytes]:
    return [b"/" + b"/".join(prefix) for prefix, _ in core.backends.table.items()]


async def test_the_table_and_one_route() -> None:
    async with served() as (client, _):
        assert await (await client.get("/api/routes")).json() == {}
        for path in ("", "/path"):
            answer = await client.post(f"/api/routes{path}", json={"target": TARGET, "k": [1]})
            assert (answer.status, await answer.text()) == (201, "")
        routes = await (await client.get("/api/routes/")).json()
        assert list(routes) == ["/", "/path"]
        assert routes["/path"].pop("last_activity").endswith("Z")
        assert routes["/path"] == {"target": TARGET, "k": [1]}
        assert (await (await client.get("/api/routes/path")).json())["target"] == TARGET
        assert (await client.get("/api/routes/path/below")).status == 404


async def test_deleting() -> None:
    async with served() as (client, core):
        for path in ("/", "/user/bar"):
            await client.post(f"/api/routes{path}", json={"target": TARGET})
        answer = await client.delete("/api/routes/user/bar/")
        assert (answer.status, await answer.text()) == (204, "")
        assert (await client.delete("/api/routes/user/bar")).status == 404
        assert (await client.delete("/api/routes")).status == 204
        assert (await client.delete("/api/routes")).status == 404
        assert paths(core) == []


async def test_escapes() -> None:
    async with served() as (client, core):
        from yarl import URL

        for path in ("/user/foo%40bar", "/user/a%20b"):
            url = URL(f"/api/routes{path}", encoded=True)
            assert (await client.post(url, json={"target": TARGET})).status == 201
        assert paths(core) == [b"/user/foo@bar", b"/user/a b"]
        assert set(await (await client.get("/api/routes")).json()) == {"/user/foo@bar", "/user/a b"}
        bad = URL("/api/routes/%zz", encoded=True)
        assert (await client.post(bad, json={"target": TARGET})).status == 400


async def test_inactive_routes() -> None:
    async with served() as (client, core):
        for path in ("/yesterday", "/today"):
            await client.post(f"/api/routes{path}", json={"target": TARGET})
        now = datetime.now(UTC)
        old = core.backends.table.get((b"yesterday",))
        assert old is not None
        old.route.last_activity = (now - timedelta(days=1)).timestamp()
        for since, expected in (
            (datetime(1970, 1, 1, tzinfo=UTC), set()),
            (now - timedelta(hours=1), {"/yesterday"}),
            (now + timedelta(hours=1), {"/yesterday", "/today"}),
        ):
            for word, text in (
                ("inactiveSince", since.isoformat().replace("+00:00", "Z")),
                ("inactive_since", since.isoformat()),
                ("inactive_since", since.replace(tzinfo=None).isoformat()),
            ):
                answer = await client.get("/api/routes", params={word: text})
                assert set(await answer.json()) == expected
        answer = await client.get("/api/routes?inactiveSince=endoftheuniverse")
        assert answer.status == 400
        assert "must be ISO8601" in await answer.text()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "Must specify 'target' as string"),
        (b"{", "Body not valid JSON"),
        (b"[]", "Must specify 'target' as string"),
        (b'{"target": 1}', "Must specify 'target' as string"),
        (b'{"target": "notaurl"}', "no target"),
    ],
)
async def test_what_is_no_route(body: bytes, says: str) -> None:
    async with served() as (client, core):
        answer = await client.post("/api/routes/x", data=body)
        assert answer.status == 400
        assert says in await answer.text()
        assert paths(core) == []


@pytest.mark.parametrize("given", ["token secret", "Token  secret", "Bearer secret", "bearer secret"])
async def test_tokens(given: str) -> None:
    async with served() as (client, _):
        assert (await client.get("/api/routes", headers={"Authorization": given})).status == 200


@pytest.mark.parametrize(
    "given", ["", "secret", "token", "xtoken secret", "token secret2", "token secret x", "Basic secret"]
)
async def test_what_is_no_token_is_refused_before_the_body_is_looked_at(given: str) -> None:
    async with served() as (client, core):
        for method in ("GET", "POST", "DELETE", "PUT"):
            answer = await client.request(
                method, "/api/routes/x", data=b"{", headers={"Authorization": given}
            )
            assert answer.status == 403
        assert core.counts["api", 403] == 4


async def test_without_a_token_the_api_is_open() -> None:
    async with served("") as (client, _):
        assert (await client.get("/api/routes", headers={"Authorization": ""})).status == 200


async def test_other_methods_and_paths() -> None:
    async with served() as (client, _):
        for method in ("PUT", "PATCH", "OPTIONS", "HEAD"):
            answer = await client.request(method, "/api/routes/x")
            assert (answer.status, answer.headers["Allow"]) == (405, "GET, POST, DELETE")
        for path in ("/", "/api/", "/api/routesx"):
            assert (await client.get(path)).status == 404


async def test_with_host_routing_the_host_is_told() -> None:
    async with served(host_routing=True) as (client, _):
        await client.post("/api/routes/ann.example/x", json={"target": TARGET})
        assert (await (await client.get("/api/routes/ann.example/x")).json())["host"] == "ann.example"


async def test_metrics() -> None:
    async def text() -> str:
        return "requests_web 1\n"

    page = MetricsPage(text).application()
    async with TestClient(TestServer(page)) as client:
        answer = await client.get("/metrics")
        assert (answer.status, await answer.text()) == (200, "requests_web 1\n")
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert (await client.get("/")).status == 404
