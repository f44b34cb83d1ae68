"""Turns of starting servers."""

from __future__ import annotations

import asyncio

import pytest

from moorage.temp import service as service_module
from moorage.temp.start_turns import FOR_EACH_PROCESSOR, StartTurns, starts_at_once
from temp.rig import service, toy

pytestmark = pytest.mark.anyio


def test_there_are_some_for_each_processor() -> None:
    assert starts_at_once() >= FOR_EACH_PROCESSOR


async def test_so_many_start_at_once_and_others_in_their_order() -> None:
    turns, begun = StartTurns(2), []
    ends = [asyncio.Event() for _ in range(5)]

    async def start(number: int) -> None:
        async with turns.turn() as ended:
            begun.append(number)
            await ends[number].wait()
            ended()
            ended()  # twice frees one

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(start(number)) for number in range(5)]
        await asyncio.sleep(0)
        assert begun == [0, 1]
        running[2].cancel()  # it waits, and leaves its turn to the next
        running[0].cancel()  # it starts
        await asyncio.wait(running[0:1])
        await asyncio.sleep(0)
        assert begun == [0, 1, 3]
        ends[1].set()
        await asyncio.wait(running[1:2])
        await asyncio.sleep(0)
        assert begun == [0, 1, 3, 4]
        for each in ends:
            each.set()


async def test_a_crowd_is_started_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "starts_at_once", lambda: 1)
    async with (
        service(toy("{socket} {base_path}"), env={"TOY": "mute"}, start_timeout=600.0) as rig,
        rig.browser() as ann,
        rig.browser() as bob,
    ):
        await ann.press()
        await bob.press()
        async with asyncio.timeout(60.0):
            while len(rig.left()) < 1:
                await asyncio.sleep(0.01)
        assert len(rig.service.visitors.census().servers) == 2
        assert len(rig.left()) == 1  # the second one has no directory before it is its turn
        first = rig.left()
        rig.service.end(next(iter(rig.service.visitors._owners.values())))
        async with asyncio.timeout(60.0):
            while rig.left() in ([], first):
                await asyncio.sleep(0.01)
