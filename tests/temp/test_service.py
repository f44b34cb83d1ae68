"""The service without its front."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from moorage.plan.visits import UNNAMED, InQueue, ServerGone, ServerReady, ServerStarting, VisitorId
from moorage.temp.server import run_server
from moorage.temp.service import Service
from temp.rig import service, toy

pytestmark = pytest.mark.anyio


async def test_files_that_all_servers_share_are_not_asked_of_them() -> None:
    pytest.importorskip("jupyter_server", reason="jupyter_server is not installed here")
    async with service(replace(toy(), jupyter=True)) as rig, rig.browser() as browser:
        page = await browser.follow(await browser.press())
        base = page.said["path"].rstrip("/")
        icon = await browser.ask("HEAD", f"{base}/static/favicons/favicon.ico")
        assert (icon.status, icon.headers["Content-Type"]) == (200, "image/x-icon")
        assert (await browser.get(f"{base}/static/lab/none.0123456789abcdef.js")).said["path"].endswith(".js")
        async with rig.browser() as other:
            assert (await other.get(f"{base}/static/favicons/favicon.ico")).status == 404


ANN, BOB = VisitorId("ann"), VisitorId("bob")


async def test_a_server_is_waited_for_and_ended() -> None:
    async with service(capacity=1) as rig:
        running = rig.service
        assert running.standing(ANN) is None
        assert isinstance(running.ask(ANN, UNNAMED), ServerStarting)
        assert isinstance(await running.settled(ANN, 0.0), ServerStarting)
        assert isinstance(await running.settled(ANN, 60.0), ServerReady)
        assert not running.visitors.has_room(UNNAMED)
        assert isinstance(running.ask(BOB, UNNAMED), InQueue)
        running.end(BOB)
        assert running.standing(BOB) is None
        running.end(ANN)
        gone = await running.settled(ANN, 60.0)
        assert isinstance(gone, ServerGone)
        assert gone.why == "you ended it"
        assert rig.left() == []


async def test_a_server_that_is_ended_before_it_has_begun() -> None:
    async with service() as rig:
        rig.service.ask(ANN, UNNAMED)
        rig.service.end(ANN)
        assert isinstance(await rig.service.settled(ANN, 60.0), ServerGone)
        assert rig.service.visitors.has_room(UNNAMED)


async def test_what_goes_wrong_unexpectedly_ends_one_server_alone(monkeypatch, caplog) -> None:
    async with service() as rig:
        rig.service.ask(ANN, UNNAMED)
        await rig.service.settled(ANN, 60.0)
        monkeypatch.setitem(run_server.__globals__, "make_home", None)
        rig.service.ask(BOB, UNNAMED)
        gone = await rig.service.settled(BOB, 60.0)
        assert isinstance(gone, ServerGone)
        assert "unexpectedly" in gone.why
        assert "Traceback" in caplog.text
        assert isinstance(rig.service.standing(ANN), ServerReady)


async def test_a_server_without_use_is_ended() -> None:
    async with service(idle=0.4) as rig:
        rig.service.ask(ANN, UNNAMED)
        await rig.emptied()
        gone = rig.service.standing(ANN)
        assert isinstance(gone, ServerGone)
        assert gone.why == "it was not used for 0.4 s"
        assert gone.answered


async def test_a_service_that_ends_cancels_nothing_twice(monkeypatch) -> None:
    """What is being ended has to come to its end: a second cancellation would break that off."""
    cancelled = []

    async def ends_slowly(*_: object) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append(1)
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                cancelled.append(2)
            raise

    async with service() as rig:
        monkeypatch.setitem(Service.handle.__globals__, "run_server", ends_slowly)
        rig.service.ask(ANN, UNNAMED)
        await asyncio.sleep(0)  # a turn of the loop: it has begun
        rig.service.end(ANN)
        await asyncio.sleep(0)
    assert cancelled == [1]
