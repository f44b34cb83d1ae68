"""The admin page, and which requests reach the interface behind it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from moorage.temp.admin_page import AdminPage, guard
from temp.rig import Answer, service
from temp.test_admin import operator

pytestmark = pytest.mark.anyio

TOKEN = "t" * 43


async def asked(request: web.Request) -> web.Response:
    return web.Response(text="asked")


@asynccontextmanager
async def guarded(token: str = "") -> AsyncIterator[str]:
    application = web.Application(middlewares=[guard(token)])
    AdminPage().add_to(application.router)
    application.router.add_route("*", "/api/x", asked)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def ask(url: str, method: str = "GET", **headers: str) -> Answer:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=headers, allow_redirects=False) as answer,
    ):
        return Answer(answer.status, answer.headers, await answer.text())


async def test_the_page_needs_nothing_from_elsewhere_and_no_token() -> None:
    async with guarded(TOKEN) as origin:
        assert (await ask(f"{origin}/")).location == "/admin"
        page, script = await ask(f"{origin}/admin"), await ask(f"{origin}/admin.js")
        assert (page.status, script.status) == (200, 200)
        assert script.headers["Content-Type"].startswith("text/javascript")
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
        assert not re.search(r"https?://|url\(|\son\w+=", page.text)
        assert "innerHTML" not in script.text  # what visitors have named is text
        assert TOKEN not in page.text + script.text


@pytest.mark.parametrize("given", ["", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer é", TOKEN])
async def test_the_port_asks_for_its_token(given: str) -> None:
    async with guarded(TOKEN) as origin:
        headers = {"Authorization": given} if given else {}
        for method in ("GET", "POST", "OPTIONS"):
            assert (await ask(f"{origin}/api/x", method, **headers)).status == 401
        assert (await ask(f"{origin}/api/x?token={TOKEN}")).status == 401  # an address is no place for it
        for word in ("Bearer", "token"):
            assert (
                await ask(f"{origin}/api/x", Authorization=f"{word} {TOKEN}", Host="any.example")
            ).status == 200


async def test_pages_of_other_sites_reach_neither() -> None:
    for token in ("", TOKEN):
        async with guarded(token) as origin:
            headers = {"Authorization": f"Bearer {token}"}
            for evil in ("https://evil.example", "null", "http://127.0.0.1:1"):
                assert (await ask(f"{origin}/api/x", "POST", Origin=evil, **headers)).status == 403
            assert (await ask(f"{origin}/api/x", "POST", Origin=origin, **headers)).status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("x", 200), ("moorage", 200), ("localhost:9000", 200), ("127.0.0.1:9000", 200), ("[::1]:9000", 200),
        ("evil.example", 421), ("evil.example:9000", 421), ("127.0.0.1.evil.example", 421), ("10.0.0.1", 421),
    ],
)  # fmt: skip
async def test_the_socket_answers_to_no_name_of_another_site(host: str, status: int) -> None:
    async with guarded() as origin:
        assert (await ask(f"{origin}/api/x", Host=host)).status == status


async def test_it_is_on_the_socket_and_never_for_visitors() -> None:
    async with service() as rig, rig.browser() as ann, operator(rig) as op:
        assert "Visitors and their servers" in (await op.ask("GET", "/admin")).text
        hers = (await ann.follow(await ann.press())).said["path"]
        for path in (
            "/admin", "/admin.js", "/admin/", "/api/stats", "/api/events", "/api/routes", "/api/invitations",
            "/./admin", "/x/../admin", "/%61dmin", "/user/x/../../admin",
        ):  # fmt: skip
            for method in ("GET", "POST", "DELETE"):
                answer = await ann.ask(method, path)
                assert answer.status in {400, 403, 404, 405}, (method, path, answer.status)
                assert "Visitors and their servers" not in answer.text
        assert (await ann.get(hers)).status == 200
