"""Servers that pages of other sites have started."""

from __future__ import annotations

import json

import pytest

from moorage.errors import UsageError
from moorage.temp import spawning
from moorage.temp.spawning import checked_origin
from temp.rig import Answer, Browser, service

pytestmark = pytest.mark.anyio

SITE = "https://docs.example.org"
SPAWN_FROM = frozenset({SITE})


async def spawn(browser: Browser, origin: str | None = SITE, **wanted: str | bool) -> Answer:
    fields = {} if origin is None else {"Origin": origin}
    return await browser.ask("POST", "/api/spawn", json.dumps(wanted), **fields)


def path_of(browser: Browser, url: str) -> str:
    assert url.startswith(browser.origin)
    return url.removeprefix(browser.origin)


async def test_a_page_of_another_site_gets_a_link_that_opens_a_server_once() -> None:
    async with service(spawn_from=SPAWN_FROM) as rig, rig.browser() as page, rig.browser() as ann:
        answer = await spawn(page, path="lab/tree/a b.ipynb")
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (202, SITE)
        assert (answer.headers["Vary"], answer.headers["Cache-Control"]) == ("Origin", "no-store")
        assert "Set-Cookie" not in answer.headers
        link = path_of(page, answer.said["link"])
        arrived = await ann.follow(await ann.get(link))
        assert arrived.said["path"].endswith("/lab/tree/a%20b.ipynb")
        assert path_of(page, answer.said["url"]) == arrived.said["path"]
        assert (await ann.follow(await ann.get("/"))).said["pid"] == arrived.said["pid"]
        again = await page.get(link)
        assert (again.status, "leads nowhere any more" in again.text) == (410, True)
        assert (await page.get(arrived.said["path"])).status == 404  # the page itself has no server
        assert len(rig.left()) == 1


async def test_it_is_off_unless_an_origin_is_named() -> None:
    async with service() as rig, rig.browser() as page:
        assert (await spawn(page, None)).status == 404
        assert (await spawn(page)).status == 403
        assert (await page.ask("OPTIONS", "/api/spawn", Origin=SITE)).status == 403
        assert (await page.get("/enter/x")).status == 404
        assert rig.left() == []


async def test_other_sites_may_not_ask() -> None:
    async with service(spawn_from=SPAWN_FROM) as rig, rig.browser() as page:
        for origin in ("https://evil.example", "http://docs.example.org", "null"):
            refused = await spawn(page, origin)
            assert refused.status == 403
            assert "Access-Control-Allow-Origin" not in refused.headers
            assert (await page.ask("OPTIONS", "/api/spawn", Origin=origin)).status == 403
        assert (await page.press(Origin=SITE)).status == 403  # the form is for pages of the service alone
        assert rig.left() == []


async def test_a_browser_asks_before_it_asks() -> None:
    async with service(spawn_from=SPAWN_FROM) as rig, rig.browser() as page:
        answer = await page.ask("OPTIONS", "/api/spawn", Origin=SITE)
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == SITE
        assert answer.headers["Access-Control-Allow-Methods"] == "POST"
        assert answer.headers["Access-Control-Allow-Headers"] == "Content-Type"
        assert rig.left() == []


async def test_neither_a_preview_nor_a_prefetch_uses_a_link_up() -> None:
    async with service(spawn_from=SPAWN_FROM) as rig, rig.browser() as page, rig.browser() as ann:
        link = path_of(page, (await spawn(page, None)).said["link"])
        assert (await ann.ask("HEAD", link)).status in {404, 405}
        assert (await ann.get(link, Sec_Purpose="prefetch;prerender")).status == 503
        assert (await ann.follow(await ann.get(link))).said["pid"]


async def test_a_browser_with_a_server_keeps_to_it() -> None:
    async with service(spawn_from=SPAWN_FROM) as rig, rig.browser() as page, rig.browser() as ann:
        mine = (await ann.follow(await ann.press())).said["pid"]
        link = path_of(page, (await spawn(page)).said["link"])
        assert (await ann.follow(await ann.get(link))).said["pid"] == mine
        await ann.press("/server", "/end")
        await rig.emptied()
        link = path_of(page, (await spawn(page)).said["link"])
        arrived = await ann.follow(await ann.get(link))  # it is a visitor of before, and this one
        assert arrived.said["pid"] != mine


async def test_what_is_not_followed_in_time_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawning, "LINK_SECONDS", 0.05)
    async with service(spawn_from=SPAWN_FROM) as rig, rig.browser() as page:
        link = path_of(page, (await spawn(page)).said["link"])
        await rig.emptied()
        assert (await page.get(link)).status == 410


async def test_the_queue_is_entered_by_a_link_too() -> None:
    async with (
        service(capacity=1, spawn_from=SPAWN_FROM) as rig,
        rig.browser() as page,
        rig.browser() as ann,
        rig.browser() as bob,
    ):
        await ann.follow(await ann.press())
        answer = await spawn(page)
        assert (answer.status, answer.said["url"]) == (202, None)
        waits = await bob.follow(await bob.get(path_of(page, answer.said["link"])))
        assert (waits.status, "Place 1 in the queue" in waits.text) == (503, True)


OFFERS = "".join(f'[temp.offers.{name}]\ncommand = "sleep {{socket}}"\n' for name in ("one", "two"))


async def test_what_is_refused() -> None:
    async with service(spawn_from=SPAWN_FROM, per_address=1) as rig, rig.browser() as page:
        for body in ("[]", '{"paht": ""}', "x"):
            assert (await page.ask("POST", "/api/spawn", body, Origin=SITE)).status == 400
        assert (await spawn(page, offer="x")).status == 404
        assert (await spawn(page)).status == 202
        many = await spawn(page)
        assert (many.status, many.headers["Retry-After"]) == (429, "60")
        assert many.headers["Access-Control-Allow-Origin"] == SITE  # so that the page can say why
        rig.service.visitors.draining = True
        assert (await spawn(page)).status == 503
    async with service(spawn_from=SPAWN_FROM, offers=OFFERS) as rig, rig.browser() as page:
        assert "choose an offer: one, two" in (await spawn(page)).said["error"]
        assert rig.left() == []


def test_origins() -> None:
    assert checked_origin("HTTPS://Docs.example.org/") == SITE
    assert checked_origin("http://[::1]:8000") == "http://[::1]:8000"
    for wrong in ("*", "docs.example.org", "https://a/b", "https://a:b", "null", ""):
        with pytest.raises(UsageError, match="--spawn-from"):
            checked_origin(wrong)


async def test_a_page_that_runs_cells_gets_an_address_and_a_key() -> None:
    async with service(spawn_from=SPAWN_FROM) as rig, rig.browser() as page:
        answer = await spawn(page, embed=True)
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, SITE)
        settings = answer.said["serverSettings"]
        base, key = path_of(page, settings["baseUrl"]), {"Authorization": f"token {settings['token']}"}
        assert settings["wsUrl"] == settings["baseUrl"].replace("http://", "ws://")
        ahead = await page.ask("OPTIONS", f"{base}api/kernels", Origin=SITE)
        assert (ahead.status, ahead.headers["Access-Control-Allow-Origin"]) == (204, SITE)
        assert "Authorization" in ahead.headers["Access-Control-Allow-Headers"]
        told = await page.ask("POST", base, "x", Origin=SITE, **key)
        assert (told.status, told.headers["Access-Control-Allow-Origin"]) == (200, SITE)
        assert (await page.ask("GET", base, **key)).status == 404
        assert (await page.ask("GET", base, Origin="https://evil.example", **key)).status == 404
        assert (await page.ask("OPTIONS", base, Origin="https://evil.example")).status in {403, 404}
        assert len(rig.left()) == 1


async def test_a_page_that_finds_all_servers_in_use_keeps_no_place() -> None:
    async with (
        service(capacity=1, spawn_from=SPAWN_FROM) as rig,
        rig.browser() as page,
        rig.browser() as ann,
    ):
        await ann.follow(await ann.press())
        full = await spawn(page, embed=True)
        assert (full.status, full.said, full.headers["Retry-After"]) == (
            503,
            {"error": "all servers are in use"},
            "60",
        )
        assert (await spawn(page, None, embed=True)).status == 400
        assert rig.service.visitors.next_in_line is None


async def test_a_key_is_of_use_to_its_own_server_alone() -> None:
    async with service(spawn_from=SPAWN_FROM) as rig, rig.browser() as page, rig.browser() as ann:
        settings = (await spawn(page, embed=True)).said["serverSettings"]
        hers = (await ann.follow(await ann.press())).said["path"]
        key = {"Authorization": f"token {settings['token']}", "Origin": SITE}
        assert (await page.ask("GET", path_of(page, settings["baseUrl"]), **key)).status == 200
        assert (await page.ask("GET", hers, **key)).status == 404
