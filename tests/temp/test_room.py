"""For how many servers there is room: of a service that runs, with memory that a test gives it."""

from __future__ import annotations

import asyncio
import logging
import sys

import pytest

from moorage.plan.clock import Tick
from moorage.plan.memory import FEW, JUPYTER, LEAST_RESERVE, OTHERS
from moorage.plan.visits import UNNAMED, InQueue, ServerReady, Shortage, VisitorId
from moorage.temp.room import tell_room
from temp.rig import PATIENCE, Rig, service

pytestmark = pytest.mark.anyio
ANN, BOB = VisitorId("ann"), VisitorId("bob")
MUCH = 1 << 40


def give(rig: Rig, memory: int | None) -> None:
    """Have a service see so many bytes of memory as long as it runs."""
    rig.service._room._available = lambda: memory
    rig.service._room._total = memory or 0
    rig.service.handle(Tick())


async def measured(rig: Rig) -> None:
    """Have servers measured; to those outside nothing tells when that is done."""
    room = rig.service._room
    async with asyncio.timeout(PATIENCE):
        while room._measuring:
            await asyncio.sleep(0.01)
        room.measure()
        while room._measuring:
            await asyncio.sleep(0.01)


async def test_a_visitor_waits_until_there_is_memory(caplog: pytest.LogCaptureFixture) -> None:
    async with service(capacity=30) as rig:
        give(rig, MUCH)
        rig.service.ask(ANN, UNNAMED)
        assert isinstance(await rig.service.settled(ANN, PATIENCE), ServerReady)
        give(rig, LEAST_RESERVE)
        limits = rig.service.visitors.limits
        assert (limits.fit, limits.shortage) == (1, Shortage.MEMORY)
        assert isinstance(rig.service.ask(BOB, UNNAMED), InQueue)
        assert isinstance(rig.service.standing(ANN), ServerReady)
        with caplog.at_level(logging.WARNING):
            tell_room(limits, 1024)
        assert "Memory is enough for 1 of the 30 servers of --capacity: `--sleep`" in caplog.text
        give(rig, MUCH)
        assert isinstance(await rig.service.settled(BOB, PATIENCE), ServerReady)


async def test_descriptors_may_be_what_is_short(caplog: pytest.LogCaptureFixture) -> None:
    async with service(capacity=30) as rig:
        give(rig, None)
        with caplog.at_level(logging.WARNING):
            tell_room(rig.service.visitors.limits, 1024)
            assert not caplog.text
            rig.service._proxy.core.budget.limit = 256
            give(rig, MUCH)
            limits = rig.service.visitors.limits
            tell_room(limits, 256)
        assert (1 <= limits.most <= 8, limits.shortage) == (True, Shortage.DESCRIPTORS)
        assert f"Descriptors (256) are enough for {limits.most} of the 30 servers" in caplog.text


async def test_servers_of_other_programs_are_expected_to_be_small() -> None:
    async with service() as rig:
        give(rig, LEAST_RESERVE + JUPYTER)
        assert rig.service.visitors.limits.fit == JUPYTER // OTHERS


@pytest.mark.skipif(sys.platform != "linux", reason="memory of processes is known on Linux")
async def test_servers_that_have_grown_say_what_one_takes() -> None:
    async with service(capacity=30) as rig:
        room = rig.service._room
        give(rig, MUCH)
        visitors = [VisitorId(str(number)) for number in range(FEW)]
        for each in visitors:
            rig.service.ask(each, UNNAMED)
        for each in visitors:
            assert isinstance(await rig.service.settled(each, PATIENCE), ServerReady)
        rig.service.handle(Tick())
        await measured(rig)
        assert (room._young_have > 0, room._taken) == (True, {})
        room._since = dict.fromkeys(room._since, float("-inf"))
        await measured(rig)
        assert (room._young_have, len(room._taken)) == (0, FEW)
        taken = sorted(room._taken.values())
        give(rig, LEAST_RESERVE + 6 * taken[-1])
        assert FEW + 5 <= rig.service.visitors.limits.fit <= FEW + 6 * taken[-1] // taken[0]


async def test_a_spare_is_young_until_it_is_handed_out() -> None:
    async with service(capacity=30, spares=1) as rig:
        await rig.with_spares(1)
        room = rig.service._room
        room._since = dict.fromkeys(room._since, float("-inf"))
        give(rig, LEAST_RESERVE + 2 * OTHERS)
        assert rig.service.visitors.limits.fit == 1 + 1  # the spare's own growth is set aside
