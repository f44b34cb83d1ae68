"""The admin interface, over its socket."""

from __future__ import annotations

import asyncio
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from moorage.temp import steering
from temp.rig import PATIENCE, TOY, Answer, Rig, service

pytestmark = pytest.mark.anyio

OFFERS = "".join(
    f'[temp.offers.{name}]\ncommand = "{sys.executable} {TOY} {{socket}} {{base_path}}"\n'
    for name in ("physics", "chemistry")
)


class Operator:
    """Asks the admin interface."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask(self, method: str, path: str, body: Any = None) -> Answer:
        async with self._session.request(method, f"http://x{path}", json=body) as answer:
            return Answer(answer.status, answer.headers, await answer.text())

    async def get(self, path: str) -> Any:
        answer = await self.ask("GET", path)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
        return answer.said

    async def until(self, path: str, true: Callable[[Any], bool]) -> Any:
        """Ask until an answer is as it shall be; to those outside nothing tells."""
        async with asyncio.timeout(PATIENCE):
            while not true(found := await self.get(path)):
                await asyncio.sleep(0.01)
        return found


@asynccontextmanager
async def operator(rig: Rig) -> AsyncIterator[Operator]:
    connector = aiohttp.UnixConnector(str(rig.state / "admin"))
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Operator(session)


async def test_how_things_stand() -> None:
    async with service(spares=1, capacity=3) as rig, rig.browser() as ann, operator(rig) as op:
        await rig.with_spares(1)
        arrived = await ann.follow(await ann.press())
        stats = await op.until("/api/stats", lambda found: found["spares"]["ready"] == 1)
        assert stats["servers"] == {
            "running": 2,
            "starting": 0,
            "ready": 2,
            "ending": 0,
            "asleep": 0,
            "braked": 0,
        }
        assert (stats["visitors"], stats["queue"], stats["capacity"]) == (1, 0, 3)
        assert (stats["draining"], stats["spares"]["wanted"]) == (False, 1)
        assert 3 < stats["fit"] < 1 << 30
        assert stats["counts"] == {
            "started": 0, "spares_started": 2, "adopted": 0, "handed_out": 1, "failed": 0, "ended": 0,
        }  # fmt: skip
        assert 0 < stats["uptime"] < PATIENCE * 5
        assert stats["memory"] > 1_000_000
        assert stats["descriptors"]["visitors"] >= 1
        assert 10 < stats["descriptors"]["open"] < stats["descriptors"]["limit"]
        (hers, spare) = (await op.get("/api/servers"))["servers"]
        assert arrived.said["path"].startswith(hers["path"])
        assert hers["path"] == f"/user/{hers['id']}/"
        assert hers["brake"] is None
        rig.ask_of(hers["id"])
        (hers, spare) = (await op.get("/api/servers"))["servers"]
        assert (hers["brake"]["after"], hers["brake"]["state"]) == (1200.0, "asked")
        assert hers["brake"]["alone"] > 1200
        assert (await op.get("/api/stats"))["servers"]["braked"] == 1
        assert (hers["state"], hers["spare"], hers["pid"]) == ("ready", False, arrived.said["pid"])
        assert 0 <= hers["unused"] <= hers["age"] + 1
        assert (hers["left"], spare["spare"], spare["age"], spare["unused"]) == (None, True, None, None)
        assert hers["memory"] + spare["memory"] >= stats["memory"] / 2


async def test_the_socket_is_for_its_user_alone_and_goes_with_the_service() -> None:
    async with service() as rig:
        path = rig.state / "admin"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE((rig.state / "front").stat().st_mode) == 0o600
    assert not path.exists()


async def test_nothing_of_it_is_open_to_visitors() -> None:
    async with service() as rig, rig.browser() as ann:
        for path in ("/api/stats", "/api/servers", "/metrics"):
            assert (await ann.get(path)).status == 404
        assert (await ann.ask("POST", "/api/drain")).status == 404
        assert not rig.service.visitors.draining


async def test_a_server_is_ended_and_its_visitor_told() -> None:
    async with service(max_age=3600.0) as rig, rig.browser() as ann, operator(rig) as op:
        path = (await ann.follow(await ann.press())).said["path"]
        (server,) = (await op.get("/api/servers"))["servers"]
        assert 3000 < server["left"] <= 3600
        assert (await op.ask("DELETE", f"/api/servers/{server['id']}")).status == 202
        await op.until("/api/servers", lambda found: not found["servers"])
        assert "ended: the operator of this service ended it." in (await ann.get(path)).text
        assert (await op.get("/api/stats"))["counts"]["ended"] == 1
        again = await op.ask("DELETE", f"/api/servers/{server['id']}")
        assert (again.status, again.said) == (404, {"error": f"there is no server {server['id']}"})


async def test_what_never_answered_is_a_failure() -> None:
    async with service(env={"TOY": "die"}) as rig, rig.browser() as ann, operator(rig) as op:
        await ann.follow(await ann.press())
        counts = (await op.until("/api/stats", lambda found: found["counts"]["failed"]))["counts"]
        assert (counts["started"], counts["failed"], counts["ended"]) == (1, 1, 0)
        assert (await op.get("/api/stats"))["memory"] == 0


async def test_more_capacity_lets_the_queue_in_and_spares_are_started() -> None:
    async with service(capacity=1) as rig, rig.browser() as ann, rig.browser() as bob, operator(rig) as op:
        await ann.follow(await ann.press())
        await bob.press()
        assert "Place 1" in (await bob.get("/queue?to=")).text
        assert (await op.get("/api/stats"))["queue"] == 1
        answer = await op.ask("PATCH", "/api/settings", {"capacity": 4})
        assert (answer.status, answer.said["capacity"]) == (200, 4)
        assert (await bob.follow(await bob.get("/queue?to="))).said["path"]
        answer = await op.ask("PATCH", "/api/settings", {"spares": 2})
        assert (answer.said["capacity"], answer.said["spares"]["wanted"]) == (4, 2)
        await rig.with_spares(2)
        await op.ask("PATCH", "/api/settings", {"capacity": 1})
        await op.until("/api/stats", lambda found: found["servers"]["running"] == 2)
        assert (await op.get("/api/stats"))["visitors"] == 2  # what visitors have stays


async def test_spares_that_were_asked_for_outlive_a_change_of_offers() -> None:
    async with service(spares=1) as rig, operator(rig) as op:
        await op.ask("PATCH", "/api/settings", {"spares": 0})
        rig.service.offers = rig.service.offers
        assert (await op.get("/api/stats"))["spares"]["wanted"] == 0


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"capacity": 0}, "capacity 0 cannot be: it must be 1 or more"),
        ({"spares": -1}, "spares -1 cannot be: it must be 0 or more, and no more than the capacity, 2"),
        ({"spares": 3}, "no more than the capacity, 2"),
        ({"capacity": 5, "spares": 6}, "no more than the capacity, 5"),
        ({"capacity": "x"}, "Expected `int | null`"),
        ({"capcity": 3}, "unknown field `capcity`"),
    ],
)
async def test_settings_that_cannot_be(body: dict[str, Any], why: str) -> None:
    async with service(capacity=2) as rig, operator(rig) as op:
        answer = await op.ask("PATCH", "/api/settings", body)
        assert (answer.status, why in answer.said["error"]) == (400, True)
        assert rig.service.visitors.limits.capacity == 2


async def test_while_it_drains_no_new_visitors_are_let_in() -> None:
    async with (
        service(capacity=2, spares=1) as rig,
        rig.browser() as ann,
        rig.browser() as bob,
        operator(rig) as op,
    ):
        path = (await ann.follow(await ann.press())).said["path"]
        await bob.get("/")
        answer = await op.ask("POST", "/api/drain")
        assert (answer.status, answer.said) == (200, {"draining": True})
        page = await bob.get("/spawn/x")
        assert (page.status, page.headers["Retry-After"]) == (503, "60")
        assert "No new visitors are let in at the moment." in page.text
        assert 'content="60;url=/spawn/x"' in page.text
        assert "<form" not in page.text
        await op.until("/api/servers", lambda found: len(found["servers"]) == 1)  # no spare is kept
        assert (await ann.get(path)).said["path"] == path
        assert (await ann.get("/")).location == path
        async with rig.browser() as cy:
            assert (await cy.get("/")).status == 503
        assert (await op.get("/api/drain")) == {"draining": True}
        assert (await op.ask("DELETE", "/api/drain")).said == {"draining": False}
        assert (await bob.follow(await bob.press("/spawn/x"))).said["path"].endswith("/x")


async def test_a_form_of_before_is_not_taken_while_it_drains_and_the_queue_stands_still() -> None:
    async with (
        service(capacity=1) as rig,
        rig.browser() as ann,
        rig.browser() as bob,
        rig.browser() as cy,
        operator(rig) as op,
    ):
        await ann.follow(await ann.press())
        await bob.press()
        await cy.get("/")
        token = rig_token(await cy.get("/"))
        await op.ask("POST", "/api/drain")
        refused = await cy.ask("POST", "/start", {"token": token, "to": ""})
        assert (refused.status, refused.location) == (303, "/")
        await ann.press("/server", "/end")
        await rig.emptied()
        page = await bob.get("/queue?to=")
        assert (page.status, "You keep your place, and" in page.text) == (503, True)
        page = await ann.get("/")
        assert (page.status, "you ended it. No new visitors" in page.text) == (503, True)
        await op.ask("DELETE", "/api/drain")
        assert (await bob.follow(await bob.get("/queue?to="))).said["path"]


def rig_token(page: Answer) -> str:
    return page.text.split('name="token" value="')[1].split('"')[0]


async def test_metrics_of_the_service_and_of_its_proxy() -> None:
    async with service() as rig, rig.browser() as ann, operator(rig) as op:
        await ann.follow(await ann.press())
        answer = await op.ask("GET", "/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        for line in (
            "moorage_routes 2",
            'moorage_temp_servers{state="ready",kind="visitor"} 1',
            'moorage_temp_started_total{kind="visitor"} 1',
        ):
            assert f"{line}\n" in answer.text
        names = [line.split()[2] for line in answer.text.splitlines() if line.startswith("# TYPE")]
        assert len(names) == len(set(names))


async def test_what_there_is_not() -> None:
    async with service() as rig, operator(rig) as op:
        nothing = await op.ask("GET", "/api/nothing")
        assert (nothing.status, nothing.said) == (404, {"error": "GET /api/nothing: Not Found"})
        wrong = await op.ask("PUT", "/api/drain")
        assert (wrong.status, wrong.headers["Allow"]) == (405, "DELETE,GET,HEAD,POST")
        large = await op.ask("PATCH", "/api/settings", {"x": "y" * 70_000})
        assert large.status == 413


async def test_what_a_server_has_open_is_told_by_kind() -> None:
    async with service() as rig, rig.browser() as ann, operator(rig) as op:
        await ann.follow(await ann.press())
        (server,) = (await op.get("/api/servers"))["servers"]
        assert server["connections"] == {"websockets": 0, "requests": 0, "unused": 1}
        assert server["open_files"]["sockets"] >= 1
        assert set(server["open_files"]) == {"sockets", "pipes", "files", "others"}


async def test_routes_are_listed() -> None:
    async with service() as rig, rig.browser() as ann, operator(rig) as op:
        path = (await ann.follow(await ann.press())).said["path"]
        front, hers = (await op.get("/api/routes"))["routes"]
        assert (front["path"], front["target"]) == ("/", f"unix:{rig.state / 'front'}")
        assert (hers["path"] + "/", hers["connections"]["unused"]) == (path, 1)
        assert 0 <= hers["active"] < PATIENCE


async def test_the_last_lines_of_the_log_are_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="moorage.temp")
    async with service() as rig, rig.browser() as ann, operator(rig) as op:
        await ann.follow(await ann.press())
        (server,) = rig.left()
        events = (await op.get("/api/events"))["events"]
        assert [each["text"] for each in events] == [
            f"Server {server} starts (1 of 20)",
            f"Server {server} answers",
        ]
        assert [each["number"] for each in events] == [1, 2]
        assert (await op.get("/api/events?after=1"))["events"] == events[1:]
        for wrong in ("x", "-1", "1e3", "9" * 30, "%C2%B2"):
            assert (await op.ask("GET", f"/api/events?after={wrong}")).status == 400


async def test_how_many_spares_of_each_offer_are_kept() -> None:
    async with service(spares=1, capacity=3) as rig, operator(rig) as op:
        assert (await op.get("/api/stats"))["spares"]["each"] == 1
        await rig.with_spares(1)


async def test_spares_of_one_offer_are_changed_alone() -> None:
    async with service(offers=OFFERS) as rig, operator(rig) as op:
        answer = await op.ask("PATCH", "/api/settings", {"spares": 1, "offer": "chemistry"})
        assert (answer.status, answer.said["spares"]["wanted"], answer.said["spares"]["each"]) == (
            200,
            1,
            None,
        )
        await rig.with_spares(1)
        (spare,) = (await op.get("/api/servers"))["servers"]
        assert spare["offer"] == "chemistry"
        answer = await op.ask("PATCH", "/api/settings", {"spares": 1})
        assert (answer.said["spares"]["wanted"], answer.said["spares"]["each"]) == (2, 1)
        for wrong in ({"spares": 1, "offer": "biology"}, {"capacity": 3, "offer": "physics"}):
            assert (await op.ask("PATCH", "/api/settings", wrong)).status == 400
        await rig.with_spares(2)


async def test_what_cannot_be_written_down_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(steering, "write_private", full)
    async with service() as rig, operator(rig) as op:
        for method, path, body in (("POST", "/api/drain", None), ("PATCH", "/api/settings", {"capacity": 3})):
            answer = await op.ask(method, path, body)
            assert (answer.status, "No space left" in answer.said["error"]) == (507, True)
        stats = await op.get("/api/stats")
        assert (stats["draining"], stats["capacity"]) == (False, 20)
