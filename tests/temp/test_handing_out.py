"""Spares: kept ready, handed out, replaced; those that are dead or deaf reach no visitor."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager, suppress

import pytest

from moorage.temp import handing_out
from temp.rig import PATIENCE, service

pytestmark = pytest.mark.anyio


@contextmanager
def stopped(pid: int):
    """Have a process take no step; to the system it lives, and connections to it open."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


async def test_a_spare_is_there_at_once_and_another_one_is_started() -> None:
    async with service(spares=1) as rig, rig.browser() as ann:
        (spare,) = await rig.with_spares(1)
        assert (await ann.press("/spawn/x")).location == f"/user/{spare}/x"
        assert (await ann.get(f"/user/{spare}/x")).said["path"] == f"/user/{spare}/x"
        (second,) = await rig.with_spares(1)
        assert second != spare
        assert (await ann.get("/")).location == f"/user/{spare}/"
        async with rig.browser() as bob:
            assert (await bob.get(f"/user/{second}/")).status == 404  # a spare is open to no visitor
            assert (await bob.press()).location == f"/user/{second}/"
            assert (await bob.get(f"/user/{spare}/")).status == 404


async def test_the_capacity_holds_for_spares_too() -> None:
    async with service(spares=2, capacity=2) as rig, rig.browser() as ann, rig.browser() as bob:
        spares = await rig.with_spares(2)
        places = {(await each.press()).location.split("/")[2] for each in (ann, bob)}
        assert places == set(spares)
        async with rig.browser() as cy:
            assert (await cy.press()).location.startswith("/queue")
        assert len(rig.left()) == 2


async def test_a_spare_that_starts_is_waited_for() -> None:
    async with service(spares=1, capacity=1) as rig, rig.browser() as ann:
        (spare,) = rig.left() or await rig.with_spares(1)
        assert (await ann.follow(await ann.press())).said["path"] == f"/user/{spare}/"


async def test_a_dead_spare_is_replaced() -> None:
    async with service(spares=1) as rig, rig.browser() as ann:
        (spare,) = await rig.with_spares(1)
        os.kill(await rig.pid_of(spare), signal.SIGKILL)
        said = (await ann.follow(await ann.press())).said
        assert spare not in said["path"]
        (other,) = await rig.with_spares(1)
        assert other not in {spare, said["path"].split("/")[2]}


async def test_a_deaf_spare_reaches_no_visitor(monkeypatch) -> None:
    monkeypatch.setattr(handing_out, "CHECK", 0.3)
    async with service(spares=2) as rig, rig.browser() as ann:
        first, second = await rig.with_spares(2)
        with stopped(await rig.pid_of(first)):
            assert (await ann.follow(await ann.press())).said["path"] == f"/user/{second}/"
        assert first not in await rig.with_spares(2)


async def test_deaf_spares_are_found_before_a_visitor_wants_one(monkeypatch) -> None:
    monkeypatch.setattr(handing_out, "CHECK", 0.3)
    async with service(spares=1) as rig:
        (first,) = await rig.with_spares(1)
        with stopped(await rig.pid_of(first)):
            rig.service.watch.check_spares()
            rig.service.watch.check_spares()
            await rig.with_spares(0)
        (second,) = await rig.with_spares(1)
        rig.service.watch.check_spares()
        assert await rig.with_spares(1) == [second] != [first]


async def test_a_spare_of_which_cannot_be_written_whose_it_is_reaches_no_visitor(caplog) -> None:
    async with service(spares=1) as rig, rig.browser() as ann:
        (spare,) = await rig.with_spares(1)
        (rig.state / "servers" / spare / "record.json.new").mkdir()
        assert spare not in (await ann.follow(await ann.press())).said["path"]
        assert "record.json cannot be written" in caplog.text


async def test_spares_that_cannot_be_started_leave_room_for_visitors() -> None:
    async with service(spares=1, capacity=1, env={"TOY": "die"}) as rig, rig.browser() as ann:
        page = await ann.follow(await ann.press())
        assert "Your server could not be started: exit code 3." in page.text


async def test_spares_are_not_idle() -> None:
    async with service(spares=1, capacity=2, idle=0.4) as rig, rig.browser() as ann:
        await rig.with_spares(1)
        await ann.follow(await ann.press())
        (spare,) = await rig.with_spares(1)
        async with asyncio.timeout(PATIENCE):
            while len(rig.left()) > 1:  # hers is ended; nothing tells
                await asyncio.sleep(0.01)
        rig.service.watch.end_idle()
        assert rig.left() == [spare] == await rig.with_spares(1)
