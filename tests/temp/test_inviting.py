"""Invitations as browsers meet them, on every path by which a server can be had."""

from __future__ import annotations

import json
import re
import sys

import aiohttp
import pytest

from moorage.plan.visits import InQueue, LimitsChanged, OfferName, ServerReady, VisitorId
from moorage.temp import invitation_book
from moorage.temp.running import read_again
from temp.rig import TOY, Answer, Browser, Rig, service

pytestmark = pytest.mark.anyio

OFFERS = f"""
[temp.offers.physics]
title = "Physics"
command = "{sys.executable} {TOY} {{socket}} {{base_path}}"
invited-only = true

[temp.offers.chemistry]
title = "Chemistry"
command = "{sys.executable} {TOY} {{socket}} {{base_path}}"
"""


def link(rig: Rig, offer: str = "", seats: int = 1, seconds: float = 600.0) -> str:
    book = rig.service._invitations
    return f"/invitation/{book.token(book.issue(offer, seats, seconds).invitation)}"


def taken(rig: Rig) -> list[int]:
    return [len(each.seated) for each in rig.service._invitations]


async def arrive(browser: Browser, path: str) -> Answer:
    return await browser.follow(await browser.press(path))


async def test_a_link_is_a_page_with_a_button_and_nothing_is_taken_before_it_is_pressed() -> None:
    async with service(invited_only=True) as rig, rig.browser() as ann, rig.browser() as bob:
        path = link(rig)
        for method in ("GET", "HEAD", "GET"):
            answer = await ann.ask(method, path)
            assert answer.status == 200
        assert "<button>Open" in (await ann.get(path)).text
        assert (rig.left(), taken(rig)) == ([], [0])
        arrived = await arrive(ann, f"{path}/lab/tree/a%20b.ipynb?x=1")
        assert arrived.said["path"].endswith("/lab/tree/a%20b.ipynb?x=1")
        assert taken(rig) == [1]
        page = await bob.get(path)
        assert (page.status, "All seats of this invitation are taken" in page.text) == (403, True)
        assert "<form" not in page.text
        assert len(rig.left()) == 1


async def test_a_browser_that_comes_back_keeps_its_seat() -> None:
    async with service(invited_only=True) as rig, rig.browser() as ann:
        path = link(rig)
        first = (await arrive(ann, path)).said["pid"]
        assert (await ann.follow(await ann.get(path))).said["pid"] == first
        await ann.press("/server", "/end")
        await rig.emptied()
        assert (await arrive(ann, path)).said["pid"] != first
        await ann.press("/server", "/end")
        await rig.emptied()
        assert (await arrive(ann, "/")).said["pid"]  # the front page has a button for it, too
        assert taken(rig) == [1]


async def test_without_an_invitation_there_is_no_button_and_no_request_gets_a_server() -> None:
    site = "https://docs.example.org"
    async with service(invited_only=True, spawn_from=frozenset({site})) as rig, rig.browser() as ann:
        page = await ann.get("/spawn/lab/tree/a.ipynb")
        assert (page.status, "By invitation only" in page.text, "<form" in page.text) == (200, True, False)
        valid = link(rig)
        token = re.search('name="token" value="([^"]+)"', (await ann.get(valid)).text)[1]
        for fields in ({}, {"to": "x"}, {"offer": ""}, {"invitation": ""}):
            refused = await ann.ask("POST", "/start", {"token": token, **fields})
            assert (refused.status, "by invitation only" in refused.text) == (403, True)
        for fields in (
            {"invitation": "x"},
            {"invitation": valid},
            {"invitation": "a~1~9999999999~~" + "0" * 32},
        ):
            refused = await ann.ask("POST", "/start", {"token": token, **fields})
            assert (refused.status, "no invitation of this page" in refused.text) == (404, True)
        for wanted in ({}, {"path": "x"}, {"invitation": ""}):
            refused = await ann.ask("POST", "/api/spawn", json.dumps(wanted), Origin=site)
            assert (refused.status, refused.said) == (403, {"error": "This is by invitation only"})
        refused = await ann.ask("POST", "/api/spawn", '{"invitation": "x"}')
        assert (refused.status, refused.said["error"]) == (404, "This is no invitation of this page")
        for path in ("/start", "/ready", "/queue", "/enter/x", "/server"):
            await ann.follow(await ann.get(path))
        assert (rig.left(), taken(rig)) == ([], [0])


async def test_forged_links_all_get_the_same_page() -> None:
    async with service(invited_only=True) as rig, rig.browser() as ann:
        name, seats, until, offer, signature = link(rig).removeprefix("/invitation/").split("~")
        forged = [
            f"{name}~{seats}0~{until}~{offer}~{signature}",
            f"{name}~{seats}~{until}0~{offer}~{signature}",
            f"{name}~{seats}~1~{offer}~{signature}",  # were it not forged it would have expired
            f"{name}~{seats}~{until}~physics~{signature}",
            f"x~{seats}~{until}~{offer}~{signature}",
            f"{name}~{seats}~{until}~{offer}~{'0' * 32}",
            f"{name}~{seats}~{until}~{offer}~",
            name, "~~~~", "%C3%A9", "x" * 3000,
        ]  # fmt: skip
        answers = [await ann.get(f"/invitation/{each}") for each in forged]
        assert {each.status for each in answers} == {404}
        pages = {each.text for each in answers}
        assert len(pages) == 1
        assert "A part of the link may be missing" in pages.pop()


async def test_what_has_expired_or_was_withdrawn_says_so_and_its_visitor_keeps_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with service(invited_only=True) as rig, rig.browser() as ann, rig.browser() as bob:
        path = link(rig, seats=3)
        pid = (await arrive(ann, path)).said["pid"]
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', (await bob.get(path)).text))
        rig.service._invitations.withdraw(next(iter(rig.service._invitations)).invitation.id)
        refused = [await bob.get(path), await bob.ask("POST", "/start", fields)]
        assert {(each.status, "was withdrawn" in each.text) for each in refused} == {(410, True)}
        until = next(iter(rig.service._invitations)).invitation.until
        monkeypatch.setattr(invitation_book.time, "time", lambda: float(until))
        refused = [await bob.get(path), await bob.ask("POST", "/start", fields)]
        assert {(each.status, "has expired" in each.text) for each in refused} == {(410, True)}
        assert (await ann.follow(await ann.get(path))).said["pid"] == pid  # back to her own
        await ann.press("/server", "/end")
        assert "By invitation only" in (await ann.follow(await ann.get("/"))).text
        assert (await ann.get(path)).status == 410
        await rig.emptied()


async def test_an_invitation_is_for_its_offer_alone() -> None:
    async with service(offers=OFFERS) as rig, rig.browser() as ann, rig.browser() as bob:
        path = link(rig, "physics")
        page = await ann.get("/")
        assert page.text.count("By invitation only") == 1
        assert 'value="physics"' not in page.text
        assert "By invitation only" in (await ann.get("/offer/physics/x")).text
        assert (await ann.press("/", offer="physics")).status == 403
        page = await ann.get(path)
        assert "<h1>Physics</h1>" in page.text
        assert "Chemistry" not in page.text
        wrong = await ann.press(path, offer="chemistry")
        assert (wrong.status, "is for physics, not for chemistry" in wrong.text) == (403, True)
        assert (rig.left(), taken(rig)) == ([], [0])
        record = (await arrive(ann, path)).said
        assert record["pid"]
        await ann.press("/server", "/end")
        await rig.emptied()
        assert 'value="physics"' in (await ann.get("/")).text  # she has a seat
        gone = link(rig, "biology")
        page = await bob.get(gone)
        assert (page.status, "biology, which is not offered now" in page.text) == (404, True)


async def test_a_visitor_with_another_server_is_asked_first_and_takes_no_seat() -> None:
    async with service(offers=OFFERS) as rig, rig.browser() as ann:
        path = link(rig, "physics")
        await ann.get("/")
        pid = (await ann.follow(await ann.press(offer="chemistry"))).said["pid"]
        page = await ann.get(f"{path}/x")
        assert "You have a server already" in page.text
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
        assert (await ann.follow(await ann.ask("POST", "/start", fields))).said["pid"] == pid
        assert (await ann.follow(await ann.get("/"))).said["pid"] == pid
        assert taken(rig) == [0]
        page = await ann.follow(await ann.ask("POST", "/end", fields))
        assert "<button>Open" in page.text  # of the invitation
        await rig.emptied()
        assert (await arrive(ann, f"{path}/x")).said["path"].endswith("/x")
        assert taken(rig) == [1]


async def test_a_visitor_that_is_not_let_in_takes_no_seat() -> None:
    async with service(invited_only=True, per_address=1) as rig, rig.browser() as ann, rig.browser() as bob:
        path = link(rig, seats=5)
        await arrive(ann, path)
        refused = await bob.press(path)
        assert (refused.status, "for your address" in refused.text) == (429, True)
        assert taken(rig) == [1]
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', (await bob.get(path)).text))
        rig.service.visitors.draining = True
        drained = await bob.follow(await bob.ask("POST", "/start", fields))
        assert (drained.status, "No new visitors are let in" in drained.text) == (503, True)
        assert taken(rig) == [1]


async def test_a_seat_leads_into_the_queue_where_all_is_full() -> None:
    async with service(capacity=1, invited_only=True) as rig, rig.browser() as ann, rig.browser() as bob:
        path = link(rig, seats=2)
        await arrive(ann, path)
        page = await bob.get(path)
        assert (page.status, "Join the queue" in page.text) == (503, True)
        assert "Place 1 in the queue" in (await bob.follow(await bob.press(path))).text
        assert taken(rig) == [2]
        assert "Place 1 in the queue" in (await bob.follow(await bob.get(path))).text
        await bob.press("/queue", "/end")
        assert "Place 1 in the queue" in (await bob.follow(await bob.press(path))).text
        assert taken(rig) == [2]


async def test_pages_of_other_sites_have_a_server_started_by_an_invitation() -> None:
    site = "https://docs.example.org"
    origins = frozenset({site})
    async with (
        service(invited_only=True, spawn_from=origins) as rig,
        rig.browser() as page,
        rig.browser() as ann,
    ):
        token = link(rig, seats=1).removeprefix("/invitation/")

        async def spawn() -> Answer:
            return await page.ask("POST", "/api/spawn", json.dumps({"invitation": token}), Origin=site)

        said = (await spawn()).said
        assert taken(rig) == [1]
        refused = await spawn()
        assert (refused.status, refused.said["error"]) == (403, "All seats of this invitation are taken")
        arrived = await ann.follow(await ann.get(said["link"].removeprefix(page.origin)))
        assert arrived.said["pid"]
        await ann.press("/server", "/end")
        await rig.emptied()
        assert (await arrive(ann, f"/invitation/{token}")).said["pid"]  # the seat is the browser's
        assert taken(rig) == [1]


async def test_a_link_of_another_site_that_is_not_needed_gives_its_seat_back() -> None:
    site = "https://docs.example.org"
    origins = frozenset({site})
    async with (
        service(invited_only=True, spawn_from=origins) as rig,
        rig.browser() as page,
        rig.browser() as ann,
    ):
        token = link(rig, seats=2).removeprefix("/invitation/")
        body = json.dumps({"invitation": token})
        pid = (await arrive(ann, f"/invitation/{token}")).said["pid"]
        for _ in range(3):
            said = (await page.ask("POST", "/api/spawn", body, Origin=site)).said
            assert taken(rig) == [2]
            entered = await ann.get(said["link"].removeprefix(page.origin))
            assert (await ann.follow(entered)).said["pid"] == pid
            assert taken(rig) == [1]
        await ann.press("/server", "/end")
        await rig.emptied()
        said = (await page.ask("POST", "/api/spawn", body, Origin=site)).said
        entered = await ann.get(said["link"].removeprefix(page.origin))
        assert (await ann.follow(entered)).said["pid"] != pid
        assert taken(rig) == [1]  # a browser has one, whichever of its names


async def test_a_seat_that_cannot_be_written_down_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with service(invited_only=True, spawn_from=frozenset({"https://a.b"})) as rig, rig.browser() as ann:
        path = link(rig)
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', (await ann.get(path)).text))

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(invitation_book, "write_private", full)
            page = await ann.ask("POST", "/start", fields)
            said = await ann.ask("POST", "/api/spawn", json.dumps({"invitation": path.split("/")[-1]}))
        assert (page.status, page.headers["Retry-After"]) == (503, "60")
        assert f'href="{path}"' in page.text
        assert (said.status, "could not be written" in said.text) == (503, True)
        assert rig.left() == []
        assert (await arrive(ann, path)).said["pid"]


async def test_an_invitation_to_what_is_open_has_seats_all_the_same() -> None:
    async with service() as rig, rig.browser() as ann, rig.browser() as bob:
        path = link(rig)
        await arrive(ann, path)
        assert (await bob.get(path)).status == 403
        assert (await arrive(bob, "/")).said["pid"]


async def test_a_link_leads_to_its_visitors_server_when_the_offer_is_gone() -> None:
    async with service(offers=OFFERS) as rig, rig.browser() as ann:
        path = link(rig, "physics")
        arrived = await arrive(ann, path)
        rig.file.write_text(OFFERS[OFFERS.index("[temp.offers.chemistry]") :])
        await read_again(rig.offering, rig.service)
        assert list(rig.service.offers) == ["chemistry"]
        assert (await ann.follow(await ann.get(path))).said["run"] == arrived.said["run"]


# -- clients that choose which of their names they send --------------------------------------------

FULL = VisitorId("full")


class Name:
    """One of the names of a client, and the token of its forms."""

    def __init__(self, rig: Rig, page: Answer) -> None:
        self.rig = rig
        self.cookie = page.headers["Set-Cookie"].partition(";")[0]
        self.visitor = VisitorId(self.cookie.partition("=")[2].partition(".")[0])
        self.token = rig.service._identity.form_token(self.visitor)  # pages with a button have it

    async def send(self, path: str, *others: Name, **fields: str) -> Answer:
        """Send a form, with the cookies of this name and of others."""
        headers = {"Cookie": "; ".join(each.cookie for each in (self, *others))}
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.post(
                f"http://127.0.0.1:{self.rig.port}{path}",
                headers=headers,
                data={"token": self.token, **fields},
                allow_redirects=False,
            ) as answer,
        ):
            return Answer(answer.status, answer.headers, await answer.text())

    async def start(self, *others: Name, offer: str = "", invitation: str = "") -> Answer:
        answer = await self.send(
            "/start", *others, offer=offer, invitation=invitation.removeprefix("/invitation/")
        )
        await self.rig.service.settled(self.visitor, 60.0)
        return answer

    async def end(self) -> None:
        await self.send("/end")
        await self.rig.service.settled(self.visitor, 60.0)

    def has(self) -> str | None:
        serving = self.rig.service.serving(self.visitor)
        return None if serving is None else serving.record.offer


async def names(rig: Rig, number: int) -> list[Name]:
    """Return names in the order in which a service takes them."""
    made = []
    for _ in range(number):
        async with rig.browser() as browser:
            made.append(Name(rig, await browser.get("/")))
    return sorted(made, key=lambda name: name.visitor)


async def fill(rig: Rig, offer: str = "") -> None:
    """Have a visitor take the only place."""
    book = rig.service._invitations
    by = book.issue(OfferName(offer), 1, 600.0).invitation if rig.service.offers[offer].invited_only else None
    rig.service.ask(FULL, OfferName(offer), invitation=by)
    assert isinstance(await rig.service.settled(FULL, 60.0), ServerReady)


async def test_a_seat_gives_one_server_though_a_client_has_other_names_with_it() -> None:
    async with service(offers=OFFERS) as rig:
        path = link(rig, "physics")
        *others, seated = await names(rig, 4)
        await seated.start(offer="physics", invitation=path)
        assert seated.has() == "physics"
        await seated.end()
        for name in others:
            await name.start(offer="chemistry")
            await name.end()
        refused = 0
        for name in others:  # each sorts before the one with the seat, and had a server
            refused += (await name.start(seated, offer="physics")).status == 403
        refused += (await seated.start(offer="physics")).status == 403
        assert [each.has() for each in (*others, seated)] == ["physics", None, None, None]
        assert (refused, taken(rig)) == (3, [1])


async def test_a_seat_gives_one_server_though_its_name_left_the_queue() -> None:
    async with service(invited_only=True, capacity=1) as rig:
        await fill(rig)
        path = link(rig)
        *others, seated = await names(rig, 4)
        await seated.start(invitation=path)
        assert isinstance(rig.service.standing(seated.visitor), InQueue)
        await seated.end()
        assert rig.service.standing(seated.visitor) is None
        rig.service.handle(LimitsChanged(10))
        for name in others:
            await name.start(seated)
        await seated.start()
        assert [each.has() is not None for each in (*others, seated)] == [True, False, False, False]
        assert taken(rig) == [1, 1]


async def test_a_place_in_the_queue_takes_no_seat_away_from_a_server_that_runs() -> None:
    async with service(offers=OFFERS, capacity=2) as rig:
        await fill(rig, "chemistry")
        path = link(rig, "physics")
        *others, seated = await names(rig, 3)
        await seated.start(offer="physics", invitation=path)
        assert seated.has() == "physics"
        for name in others:
            await name.start(offer="chemistry")
            assert isinstance(rig.service.standing(name.visitor), InQueue)
            answer = await name.start(seated, offer="physics", invitation=path)
            assert answer.location.startswith(f"/user/{rig.service.serving(seated.visitor).server}/")
        assert [rig.service.visitors.offer(each.visitor) for each in others] == ["chemistry"] * 2
        assert next(iter(rig.service._invitations)).seated == (seated.visitor,)
        rig.service.handle(LimitsChanged(10))
        for name in others:
            await rig.service.settled(name.visitor, 60.0)
        assert [each.has() for each in (*others, seated)] == ["chemistry", "chemistry", "physics"]


async def test_a_seat_stays_with_a_name_that_waits_for_its_offer() -> None:
    async with service(offers=OFFERS, capacity=1) as rig:
        await fill(rig, "chemistry")
        path = link(rig, "physics")
        *others, seated = await names(rig, 3)
        await seated.start(offer="physics", invitation=path)
        for name in others:
            await name.start(offer="chemistry")
            for by in (path, ""):
                answer = await name.start(seated, offer="physics", invitation=by)
                assert answer.location.startswith("/queue?")
        rig.service.handle(LimitsChanged(10))
        for name in (*others, seated):
            await rig.service.settled(name.visitor, 60.0)
        assert [each.has() for each in (*others, seated)] == ["chemistry", "chemistry", "physics"]
        assert taken(rig) == [1]


# -- what becomes of the queue ---------------------------------------------------------------------


async def test_a_visitor_that_waits_loses_its_place_when_the_offer_becomes_invited_only() -> None:
    offers = f'[temp.offers.lab]\ncommand = "{sys.executable} {TOY} {{socket}} {{base_path}}"\n'
    async with service(offers=offers, capacity=1) as rig, rig.browser() as ann, rig.browser() as bob:
        await fill(rig, "lab")
        waits = [await each.follow(await each.press("/")) for each in (ann, bob)]
        assert [each.status for each in waits] == [503, 503]
        rig.file.write_text(offers + "invited-only = true\n")
        await read_again(rig.offering, rig.service)
        page = await bob.get(bob.at)
        assert (page.status, "lost your place" in page.text) == (403, True)
        assert "by invitation only" in page.text
        assert len(rig.service.visitors._line) == 1
        rig.service.end(FULL)  # and the turn of the other one comes, whose page has not asked
        await rig.emptied()
        assert len(rig.service.visitors._line) == 0
        assert rig.left() == []
        assert "lost your place" in (await ann.get(ann.at)).text
        assert (await arrive(ann, link(rig, "lab"))).said["pid"]


@pytest.mark.parametrize("how", ["was withdrawn", "has expired"])
async def test_a_visitor_that_waits_loses_its_place_with_its_invitation(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    async with service(invited_only=True, capacity=1) as rig, rig.browser() as ann, rig.browser() as bob:
        await fill(rig)
        path = link(rig, seats=2, seconds=300.0)
        for each in (ann, bob):
            assert (await each.follow(await each.press(path))).status == 503
        made = list(rig.service._invitations)[-1].invitation
        if how == "was withdrawn":
            rig.service._invitations.withdraw(made.id)
        else:
            monkeypatch.setattr(invitation_book.time, "time", lambda: float(made.until))
        page = await bob.get(bob.at)
        assert (page.status, "lost your place" in page.text, how in page.text) == (410, True, True)
        rig.service.end(FULL)
        await rig.emptied()
        assert rig.left() == []
        page = await ann.get(ann.at)
        assert (page.status, "lost your place" in page.text, how in page.text) == (410, True, True)


async def test_those_with_a_seat_come_in_where_those_before_them_have_lost_their_places() -> None:
    async with service(invited_only=True, capacity=1) as rig:
        await fill(rig)
        withdrawn, valid = link(rig, seats=9), link(rig)
        for name in await names(rig, 5):
            await name.start(invitation=withdrawn)
        (last,) = await names(rig, 1)
        await last.start(invitation=valid)
        assert rig.service.visitors.place(last.visitor) == (6, 6)
        rig.service._invitations.withdraw(list(rig.service._invitations)[1].invitation.id)
        rig.service.end(FULL)
        await rig.service.settled(FULL, 60.0)
        assert not isinstance(rig.service.standing(last.visitor), InQueue)
        await rig.service.settled(last.visitor, 60.0)
        assert last.has() == ""
        assert len(rig.service.visitors._line) == 0
