"""The front as browsers see it."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from moorage.temp.addresses import trusted_network
from moorage.temp.record import ServerRecord, read_record
from temp.rig import PATIENCE, TOY, Rig, service, toy

pytestmark = pytest.mark.anyio


async def test_a_press_of_the_button_leads_to_a_server_of_ones_own() -> None:
    async with service(landing="first") as rig, rig.browser() as ann:
        page = await ann.get("/")
        assert (page.status, page.headers["Cache-Control"]) == (200, "no-store")
        assert "HttpOnly; SameSite=Lax" in page.headers["Set-Cookie"]
        assert "script" not in page.text
        assert rig.left() == []
        arrived = await ann.follow(await ann.press())
        (name,) = rig.left()
        assert arrived.said["path"] == f"/user/{name}/first"
        assert arrived.said["cwd"] == str(rig.state / "servers" / name / "work")
        assert (await ann.get(f"/user/{name}")).said["path"] == f"/user/{name}"
        cookie = arrived.said["headers"].get("Cookie", "")
        assert "moorage-" not in cookie


async def test_the_same_visitor_comes_back_to_the_same_server() -> None:
    async with service() as rig, rig.browser() as ann:
        await ann.get("/")
        first, second = await asyncio.gather(ann.press(), ann.press())
        pids = {(await ann.follow(each)).said["pid"] for each in (first, second)}
        pids.add((await ann.follow(await ann.get("/"))).said["pid"])
        deep = await ann.follow(await ann.get("/spawn/lab/tree/a%20b.ipynb?x=1"))
        assert deep.said["path"].endswith("/lab/tree/a%20b.ipynb?x=1")
        assert len({*pids, deep.said["pid"]}) == 1
        assert len(rig.left()) == 1


async def test_two_tabs_that_come_at_the_same_instant_for_the_first_time_share_a_server() -> None:
    async with service() as rig, rig.browser() as ann:
        first, second = await ann.get("/"), None
        async with rig.browser() as tab:  # which has no cookie to send yet
            second = await tab.get("/")
            ann.session.cookie_jar.update_cookies(tab.session.cookie_jar.filter_cookies(URL(ann.origin)))
        forms = [dict(re.findall(r'name="(\w+)" value="([^"]*)"', each.text)) for each in (first, second)]
        assert forms[0] != forms[1]
        presses = await asyncio.gather(*(ann.ask("POST", "/start", form) for form in forms))
        assert len({(await ann.follow(each)).said["pid"] for each in presses}) == 1
        assert len(rig.left()) == 1


async def test_the_address_alone_opens_nothing() -> None:
    async with service() as rig, rig.browser() as ann, rig.browser() as bob:
        hers = (await ann.follow(await ann.press())).said
        his = (await bob.follow(await bob.press())).said
        assert hers["pid"] != his["pid"]
        there = await bob.get(hers["path"])
        assert (there.status, "There is no server for you" in there.text) == (404, True)
        assert (await bob.get(hers["path"], Sec_Fetch_Mode="cors")).status == 404
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await bob.session.ws_connect(bob.origin + hers["path"])
        assert refused.value.status == 404
        async with rig.browser() as stranger:
            assert (await stranger.get(hers["path"])).status == 404
            assert (await stranger.get("/user/nothing/")).status == 404


async def test_a_form_that_met_a_crowd_leads_to_its_button_again() -> None:
    async with service() as rig, rig.browser() as ann:
        await ann.follow(await ann.press())
        core = rig.service._proxy.core
        form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', (await ann.get("/server")).text))
        roomy, core.settings = core.settings, replace(core.settings, pages_at_once=0)
        core.backends.drop_idle(float("inf"))
        crowd = await ann.ask("POST", "/end", form)
        assert (crowd.status, "There is a crowd here" in crowd.text) == (503, True)
        assert 'http-equiv="refresh" content="5"' in crowd.text
        core.settings = roomy
        assert (await ann.get("/end")).location == "/server"
        assert len(rig.left()) == 1  # a GET ends nothing
        assert (await ann.press("/server", "/end")).status == 303
        await rig.emptied()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_no_bare_get_has_a_server_started(method: str) -> None:
    async with service() as rig, rig.browser() as ann:
        for path in (
            "/",
            "/spawn",
            "/spawn/lab/tree/a.ipynb",
            "/start",
            "/ready?to=x",
            "/server",
            "/user/a/b",
        ):
            await ann.ask(method, path)
        assert rig.left() == []


async def test_a_form_of_another_visitor_is_not_taken() -> None:
    async with service() as rig, rig.browser() as ann, rig.browser() as bob:
        page = await ann.get("/")
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
        assert (await bob.ask("POST", "/start", fields)).status == 403  # without a cookie
        await bob.get("/")
        assert (await bob.ask("POST", "/start", fields)).status == 403
        assert (await bob.ask("POST", "/start", {"token": "é"})).status == 403
        assert rig.left() == []


async def test_a_full_service_says_so_and_starts_nothing() -> None:
    async with service(capacity=1) as rig, rig.browser() as ann, rig.browser() as bob:
        await ann.follow(await ann.press())
        page = await bob.get("/")
        assert (page.status, page.headers["Retry-After"]) == (503, "60")
        assert "in use" in page.text
        await ann.ask("POST", "/end", {})  # no form of hers
        assert len(rig.left()) == 1
        assert "you ended it" in (await ann.follow(await ann.press("/server", "/end"))).text
        assert (await bob.follow(await bob.press())).said


async def test_a_visitor_waits_in_the_queue_and_comes_in_when_it_is_its_turn() -> None:
    async with service(capacity=1) as rig, rig.browser() as ann, rig.browser() as bob, rig.browser() as cy:
        await ann.follow(await ann.press())
        assert (await bob.press("/spawn/x")).location == "/queue?to=x"
        assert (await cy.press()).location == "/queue?to="
        for _ in range(2):  # a reload changes nothing
            page = await bob.get("/queue?to=x")
            assert (page.status, page.headers["Retry-After"]) == (503, "5")
            assert "<h1>Place 1 in the queue</h1>" in page.text
            assert 'http-equiv="refresh" content="5;url=/queue?to=x"' in page.text
        assert (await bob.get("/")).location == "/queue?to="
        assert (await bob.get("/start?to=x")).location == "/queue?to=x"
        assert (await bob.get("/ready?to=x")).location == "/queue?to=x"
        assert "Place 2 in the queue" in (await cy.get("/queue?to=")).text
        assert len(rig.left()) == 1
        await ann.press("/server", "/end")
        async with asyncio.timeout(PATIENCE):
            while (page := await bob.get("/queue?to=x")).status == 503:
                await asyncio.sleep(0.05)
        assert (await bob.follow(page)).said["path"].endswith("/x")
        assert "Place 1 in the queue" in (await cy.get("/queue")).text
        assert (await cy.press("/queue", "/end")).location == "/"
        assert (await cy.get("/queue")).location == "/"


async def test_an_address_has_no_more_servers_than_it_may() -> None:
    trusted = (trusted_network("127.0.0.1"),)
    async with service(per_address=1, trusted=trusted) as rig, rig.browser() as ann, rig.browser() as bob:
        home = {"X_Forwarded_For": "203.0.113.5"}
        await ann.follow(await ann.press(**home))
        page = await bob.press(**home)
        assert (page.status, page.headers["Retry-After"]) == (429, "60")
        assert "as many servers for your address" in page.text
        assert (await ann.get("/", **home)).location.startswith("/user/")
        assert (await bob.follow(await bob.press(X_Forwarded_For="203.0.113.6"))).said
        (record,) = [each for each in records(rig) if each.address == "203.0.113.6"]
        assert record.visitor


async def test_without_a_trusted_proxy_it_is_the_peer_whose_address_counts() -> None:
    async with service(per_address=1) as rig, rig.browser() as ann, rig.browser() as bob:
        await ann.follow(await ann.press(X_Forwarded_For="203.0.113.5"))
        assert (await bob.press(X_Forwarded_For="203.0.113.6")).status == 429


def records(rig: Rig) -> list[ServerRecord]:
    found = [read_record(rig.state / "servers" / name) for name in rig.left()]
    return [each for each in found if each is not None]


async def test_a_server_that_dies_while_it_starts_says_why_and_what_it_said() -> None:
    async with service(env={"TOY": "die"}) as rig, rig.browser() as ann:
        page = await ann.follow(await ann.press("/spawn/x"))
        assert "Your server could not be started: exit code 3." in page.text
        assert "no licence for x" in page.text
        assert "Try again" in page.text
        assert 'name="to" value="x"' in page.text


async def test_a_server_that_has_ended_is_told_and_another_can_be_had() -> None:
    async with service() as rig, rig.browser() as ann:
        first = (await ann.follow(await ann.press())).said
        page = await ann.get(first["path"] + "die")
        assert (page.status, "<h1>Your server does not answer</h1>" in page.text) == (503, True)
        assert 'http-equiv="refresh" content="2"' in page.text
        await rig.emptied()
        page = await ann.get(first["path"] + "deep/x?y=1")
        assert (page.status, 'name="to" value="deep/x?y=1"' in page.text) == (404, True)
        assert "Your last server has ended: exit code 3." in page.text
        async with rig.browser() as bob:
            assert "There is no server for you" in (await bob.get(first["path"] + "deep/x")).text
        page = await ann.follow(await ann.get("/ready"))
        assert "Your last server has ended: exit code 3." in page.text
        assert "told to die" in page.text
        second = (await ann.follow(await ann.press())).said
        assert second["pid"] != first["pid"]
        assert (await ann.get(first["path"])).status == 404


async def test_an_application_that_knows_nothing_of_its_path() -> None:
    async with service(toy("{port}"), landing="first") as rig, rig.browser() as ann:
        said = (await ann.follow(await ann.press())).said
        (name,) = rig.left()
        assert said["path"] == "/first"
        assert said["headers"]["X-Forwarded-Prefix"] == f"/user/{name}"
        moved = await ann.get(f"/user/{name}/moved")
        assert moved.location == f"/user/{name}/there"
        assert f"Path=/user/{name}/" in moved.headers["Set-Cookie"]


async def test_robots_stay_away() -> None:
    async with service() as rig, rig.browser() as ann:
        assert "Disallow: /spawn/" in (await ann.get("/robots.txt")).text
        assert (await ann.get("/else")).status == 404


# -- offers ----------------------------------------------------------------------------------------

BOTH = f"""
[temp.offers.physics]
title = "Physics & <more>"
description = "Waves."
command = "{sys.executable} {TOY} {{socket}} {{base_path}}"
content = "waves"
env = {{ TOPIC = "waves" }}
capacity = 1

[temp.offers.chemistry]
title = "Chemistry"
command = "{sys.executable} {TOY} {{socket}} {{base_path}}"
"""


@asynccontextmanager
async def both() -> AsyncIterator[Rig]:
    async with service(offers=BOTH.replace('"waves"', f'"{Path(__file__).parent}"', 1)) as rig:
        yield rig


async def test_a_visitor_chooses_among_offers_and_comes_back_to_the_same_server() -> None:
    async with both() as rig, rig.browser() as ann:
        page = await ann.get("/")
        assert "<h1>Temporary notebooks</h1>" in page.text
        assert '<button name="offer" value="physics" aria-describedby="about-0">' in page.text
        assert "<h2>Physics &amp; &lt;more&gt;</h2>" in page.text
        assert page.text.index("physics") < page.text.index("chemistry")
        said = (await ann.follow(await ann.press(offer="physics"))).said
        assert said["env"]["TOPIC"] == "waves"
        assert said["work"] == sorted(path.name for path in Path(__file__).parent.iterdir())
        again = (await ann.follow(await ann.get("/"))).said
        deep = (await ann.follow(await ann.get("/offer/physics/a/b?x=1&offer=server"))).said
        assert (again["pid"], deep["pid"]) == (said["pid"], said["pid"])
        assert deep["path"].endswith("/a/b?x=1&offer=server")


async def test_a_press_that_chooses_nothing_starts_nothing() -> None:
    async with both() as rig, rig.browser() as ann:
        assert (await ann.press()).location == "/"
        assert (await ann.press("/spawn/a/b.ipynb")).location == "/spawn/a/b.ipynb"
        assert rig.left() == []


@pytest.mark.parametrize(
    "link", ["/spawn/a%20b.ipynb?offer=chemistry&x=1", "/offer/chemistry/a%20b.ipynb?x=1"]
)
async def test_a_link_names_an_offer_and_what_opens(link: str) -> None:
    async with both() as rig, rig.browser() as ann:
        page = await ann.get(link)
        assert "<h1>Open a b.ipynb</h1>" in page.text
        assert "Physics" not in page.text
        said = (await ann.follow(await ann.press(link))).said
        assert said["path"].endswith("/a%20b.ipynb?x=1")
        assert "TOPIC" not in said["env"]


async def test_a_link_to_nothing_is_told() -> None:
    async with both() as rig, rig.browser() as ann:
        for link in ("/spawn/?offer=biology", "/offer/biology", "/offer/%3Cb%3E/c"):
            page = await ann.get(link)
            assert (page.status, "It may have been taken away" in page.text) == (404, True)
            assert "<b>" not in page.text
        fields = {"token": re.search('value="([^"]+)"', (await ann.get("/")).text)[1], "offer": "biology"}
        assert (await ann.ask("POST", "/start", fields)).status == 404
        assert rig.left() == []


async def test_an_offer_that_is_full_says_so_and_the_others_go_on() -> None:
    async with both() as rig, rig.browser() as ann, rig.browser() as bob:
        await ann.follow(await ann.press(offer="physics"))
        page = await bob.get("/")
        assert page.status == 200
        assert page.text.count("All servers of it are in use now.") == 1
        assert (await bob.get("/offer/physics")).status == 503
        assert (await bob.press(offer="physics")).location == "/queue?to=&offer=physics"
        await bob.press("/queue", "/end")
        assert (await bob.follow(await bob.press(offer="chemistry"))).said


async def test_a_visitor_that_follows_a_link_to_another_offer_is_asked_first() -> None:
    async with both() as rig, rig.browser() as ann:
        first = (await ann.follow(await ann.press(offer="physics"))).said
        page = await ann.get("/offer/chemistry/x")
        assert "It is for “Physics &amp; &lt;more&gt;”" in page.text
        assert "to get one for “Chemistry”" in page.text
        assert (await ann.follow(await ann.get("/offer/physics/x"))).said["pid"] == first["pid"]
        button = await ann.follow(await ann.press("/offer/chemistry/x", "/end"))
        assert "you ended it" in button.text
        assert 'name="offer" value="chemistry"' in button.text
        second = (await ann.follow(await ann.press("/offer/chemistry/x"))).said
        assert (second["pid"] != first["pid"], second["path"].endswith("/x")) == (True, True)


async def test_the_page_of_ones_own_server_names_it() -> None:
    async with both() as rig, rig.browser() as ann:
        await ann.follow(await ann.press(offer="physics"))
        assert f"Go to your {Path(sys.executable).name}" in (await ann.get("/server")).text
