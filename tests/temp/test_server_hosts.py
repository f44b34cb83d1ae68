"""Servers with a host name of their own each."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from moorage.temp import server_hosts
from moorage.temp.urls import urls_of
from temp.rig import Browser, Rig, service, toy

pytestmark = pytest.mark.anyio
HOSTS = frozenset({"localhost", "127.0.0.1"})
HTTPS = {"X_Forwarded_Proto": "https"}


@asynccontextmanager
async def by_host(**more: Any) -> AsyncIterator[Rig]:
    async with service(urls=urls_of("localhost", []), hosts=HOSTS, **more) as rig:
        yield rig


async def entered(browser: Browser, path: str = "/") -> str:
    """Press the button, and return host and port of the server."""
    answer = await browser.follow(await browser.press(path))
    assert answer.status == 200, answer.text
    return urlsplit(browser.at).netloc


async def test_each_visitor_has_a_host_and_the_application_knows_no_path() -> None:
    async with by_host(command=toy("{socket}")) as rig, rig.browser("localhost") as ann:
        host = await entered(ann, "/spawn/some/page?x=1")
        assert re.fullmatch(rf"[0-9a-f]{{16}}\.localhost:{rig.port}", host)
        assert urlsplit(ann.at)[2:4] == ("/some/page", "x=1")
        said = (await ann.get(f"//{host}/a%20b?c")).said
        assert said["path"] == "/a%20b?c"
        assert "moorage" not in str(said["headers"])
        assert said["headers"]["Host"] == host
        assert (await ann.get("/")).location == f"//{host}/"
        async with rig.browser("localhost") as bob:
            assert await entered(bob) != host


async def test_a_base_path_is_none_where_the_server_asks_for_one() -> None:
    async with by_host() as rig, rig.browser("localhost") as ann:
        host = await entered(ann)
        assert (await ann.get(f"//{host}/x")).said["argv"][2:] == [""]


async def test_addresses_open_nothing_for_others() -> None:
    async with by_host() as rig, rig.browser("localhost") as ann, rig.browser("localhost") as bob:
        hers, his = await entered(ann), await entered(bob)
        async with rig.browser("localhost") as eve:
            answer = await eve.follow(await eve.get(f"//{hers}/"))
            assert (answer.status, urlsplit(eve.at).netloc) == (404, f"localhost:{rig.port}")
        assert (await bob.follow(await bob.get(f"//{hers}/"))).status == 404
        # Bob has a ticket for his own server, and gives it to Ann; and one for a word of his own choice.
        bob.session.cookie_jar.clear_domain(his.partition(":")[0])
        asks = await bob.get(f"//{his}/")
        ticket = (await bob.get(asks.location)).location
        assert ticket.startswith(f"//{his}/.moorage/open?ticket=")
        assert (await ann.get(ticket)).status == 403
        await ann.get(f"//{his}/")  # now she has a word, which is another one
        assert (await ann.get(ticket)).status == 403
        assert (await bob.get(ticket)).status == 303
        assert (await ann.get(ticket.replace(his, hers))).location == "/"  # she is in hers already
        async with rig.browser("localhost") as eve:
            await eve.get(f"//{hers}/")
            assert (await eve.get(ticket.replace(his, hers))).status == 403
        assert (await bob.get(f"//{his}/")).status == 200


async def test_a_ticket_is_good_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    async with by_host() as rig, rig.browser("localhost") as ann:
        host = await entered(ann)
        ann.session.cookie_jar.clear_domain(host.partition(":")[0])
        ticket = (await ann.get((await ann.get(f"//{host}/")).location)).location
        monkeypatch.setattr(server_hosts, "time", SimpleNamespace(time=lambda: 1e11))
        assert (await ann.get(ticket)).status == 403


async def test_two_tabs_that_come_at_once_are_both_let_in() -> None:
    async with by_host() as rig, rig.browser("localhost") as ann:
        host = await entered(ann)
        ann.session.cookie_jar.clear_domain(host.partition(":")[0])
        asked = [await ann.get(f"//{host}/{name}") for name in ("a", "b")]
        tickets = [await ann.get(each.location) for each in asked]
        led = [await ann.get(each.location) for each in tickets]
        assert [each.location for each in led] == ["/a", "/b"]


async def test_a_server_sets_cookies_for_its_host_alone() -> None:
    async with by_host(command=toy("{socket}")) as rig, rig.browser("localhost") as ann:
        host = await entered(ann)
        fields = (await ann.get(f"//{host}/tossing")).headers
        assert fields.getall("Set-Cookie") == ["a=b; Path=/; Secure", "c=d"]
        assert "Clear-Site-Data" not in fields


async def test_pages_of_other_hosts_get_nothing_of_a_server() -> None:
    async with by_host() as rig, rig.browser("localhost") as ann:
        host = await entered(ann)
        sibling = f"http://0123456789abcdef.localhost:{rig.port}"
        assert (await ann.ask("POST", f"//{host}/x", b"", Origin=sibling)).status == 404
        assert (await ann.ask("POST", f"//{host}/x", b"", Origin=f"http://{host}")).status == 200
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
        assert (await ann.get(f"//{host}/x", Origin=sibling, **upgrade)).status == 404
        for site in ("same-site", "cross-site"):
            asked = {"Sec_Fetch_Site": site, "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "script"}
            assert (await ann.get(f"//{host}/x", **asked)).status == 404
            framed = {**asked, "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"}
            assert (await ann.get(f"//{host}/x", **framed)).status == 404
            for path in ("download", "time-left"):
                assert (await ann.get(f"//{host}/.moorage/{path}", **asked)).status == 404
            linked = {**framed, "Sec_Fetch_Dest": "document"}
            assert (await ann.get(f"//{host}/x", **linked)).status == 200
        own = {"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"}
        assert (await ann.get(f"//{host}/x", **own)).status == 200
        # Nor may they have the service do something.
        page = await ann.get("/server")
        token = re.search(r'name="token" value="(\w+)"', page.text)[1]
        assert (await ann.ask("POST", "/end", {"token": token}, Origin=sibling)).status == 403
        assert (await ann.get(f"//{host}/x")).status == 200


async def test_hosts_without_a_server_are_answered_for_by_the_service() -> None:
    async with by_host() as rig, rig.browser("localhost") as ann:
        host = await entered(ann)
        await ann.press("/server", "/end")
        answer = await ann.follow(await ann.get(f"//{host}/lab/tree/x.ipynb"))
        assert answer.status == 404
        assert "you ended it" in answer.text
        assert 'value="lab/tree/x.ipynb"' in answer.text
        script = {"Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"}
        assert (await ann.get(f"//{host}/api/kernels", **script)).status == 404
        assert (await ann.ask("POST", f"//{host}/x", b"")).status == 404
        for name in ("x", "a.b", "0123456789abcdef.x", "www.0123456789abcdef"):
            assert (await ann.get(f"//{name}.localhost:{rig.port}/")).status == 404
        unknown = await ann.follow(await ann.get(f"//0123456789abcdef.localhost:{rig.port}/"))
        assert unknown.status == 404
        assert (await ann.get("/", Host="example.org")).status == 421
        assert (await ann.get("/", Host="0123456789abcdef.localhost.example.org")).status == 421


async def test_pages_are_at_one_host() -> None:
    async with by_host() as rig, rig.browser() as ann:
        assert (await ann.get("/spawn/x?y")).location == f"//localhost:{rig.port}/spawn/x?y"
        assert "Set-Cookie" not in (await ann.get("/")).headers


async def test_a_form_may_lead_to_servers() -> None:
    async with by_host() as rig, rig.browser("localhost") as ann:
        policy = (await ann.get("/")).headers["Content-Security-Policy"]
        assert f"form-action 'self' *.localhost:{rig.port};" in policy


async def test_by_https_no_other_host_can_have_set_a_cookie() -> None:
    async with by_host() as rig, rig.browser("localhost") as ann:
        page = await ann.get("/", **HTTPS)
        (field,) = page.headers.getall("Set-Cookie")
        pair = field.partition(";")[0]
        assert re.match(r"__Host-moorage-visitor-\w+-\w+=", pair)
        assert "; Path=/; " in field
        assert field.endswith("; Secure")
        assert "domain" not in field.lower()
        token = re.search(r'name="token" value="(\w+)"', page.text)[1]
        plain = pair.removeprefix("__Host-")
        for cookie, status in ((plain, 403), (pair, 303)):
            asked = await ann.ask("POST", "/start", {"token": token, "to": ""}, Cookie=cookie, **HTTPS)
            assert asked.status == status
        while not asked.location.startswith("//"):
            asked = await ann.get("/ready?to=", Cookie=pair, **HTTPS)
        host = urlsplit(asked.location).netloc
        word = await ann.get(f"//{host}/", **HTTPS)
        own = word.headers["Set-Cookie"].partition(";")[0]
        ticket = await ann.get(word.location, Cookie=pair, **HTTPS)
        assert (await ann.get(ticket.location, Cookie=own.removeprefix("__Host-"), **HTTPS)).status == 403
        opened = await ann.get(ticket.location, Cookie=own, **HTTPS)
        server = opened.headers.getall("Set-Cookie")[0].partition(";")[0]
        assert server.startswith("__Host-moorage-server-")
        said = (await ann.get(f"//{host}/x", Cookie=f"a=b; {server}", **HTTPS)).said
        assert said["headers"]["Cookie"] == "a=b"
        tossed = await ann.get(f"//{host}/x", Cookie=server.removeprefix("__Host-"), **HTTPS)
        assert tossed.status == 303


async def test_a_server_page_asks_its_own_host_for_what_is_left() -> None:
    async with by_host(max_age=3600.0) as rig, rig.browser("localhost") as ann:
        host = await entered(ann)
        left = (await ann.get(f"//{host}/.moorage/time-left")).said
        assert 0 < left["seconds"] <= 3600
        assert (await ann.get(f"//{host}/.moorage/download")).headers["Content-Type"] == "application/zip"
        assert (await ann.get(f"//{host}/.moorage/front")).location == f"//localhost:{rig.port}/"
        assert (await ann.get(f"//{host}/.moorage/x")).status == 404
        async with rig.browser("localhost") as bob:
            assert (await bob.get(f"//{host}/.moorage/time-left")).status == 404
            assert (await bob.get(f"//{host}/.moorage/download")).status == 303
        await ann.press("/server", "/end")
        await rig.emptied()
        assert (await ann.get(f"//{host}/.moorage/time-left")).said["ended"] == "you ended it"


async def test_a_server_page_has_it_go_on_and_no_other_page_does() -> None:
    async with by_host() as rig, rig.browser("localhost") as ann, rig.browser("localhost") as bob:
        host = await entered(ann)
        sibling = await entered(bob)
        weight = rig.ask_of(host.partition(".")[0]) / "cpu.weight"
        path = f"//{host}/.moorage/whole-share"
        assert (await ann.get(f"//{host}/.moorage/time-left")).said["brake"]["asked"]
        assert (await ann.get(path)).status == 404
        for origin in (f"http://{sibling}", f"http://localhost:{rig.port}", "null"):
            assert (await ann.ask("POST", path, Origin=origin)).status == 404
        assert (await ann.ask("POST", path, Sec_Fetch_Site="same-site")).status == 404
        assert (await bob.ask("POST", path, Origin=f"http://{host}")).status == 404
        assert weight.read_text() == "10\n"
        assert (await ann.ask("POST", path, Origin=f"http://{host}")).status == 204
        assert weight.read_text() == "100\n"


async def test_a_page_of_another_site_is_told_the_host() -> None:
    origin = "https://docs.example.org"
    async with by_host(spawn_from=frozenset({origin})) as rig, rig.browser("127.0.0.1") as ann:
        said = (await ann.ask("POST", "/api/spawn", b'{"path": "x"}', Origin=origin)).said
        assert re.fullmatch(rf"http://[0-9a-f]{{16}}\.localhost:{rig.port}/x", said["url"])
        assert said["link"].startswith(f"http://localhost:{rig.port}/enter/")
        assert (await ann.follow(await ann.get(said["link"]))).status == 200
        assert ann.at == said["url"]
