"""Executions that wait for those before them."""

from __future__ import annotations

import asyncio

import pytest

from moorage.kernel.turns import Turns

pytestmark = pytest.mark.anyio


async def soon(true):
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0)


async def test_one_after_the_other_in_the_order_they_came():
    turns, log = Turns(), []

    async def execution(name, end):
        async with turns.turn():
            log.append(name)
            await end.wait()

    ends = [asyncio.Event() for _ in range(3)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(execution(n, end)) for n, end in enumerate(ends)]
        await soon(lambda: log == [0])
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
        assert log == [0]
        ends[0].set()
        await soon(lambda: log == [0, 2])
        ends[2].set()


async def test_what_waits_when_a_kernel_fails_fails_too_and_what_comes_later_does_not():
    turns, end = Turns(), asyncio.Event()

    async def execution():
        async with turns.turn():
            await end.wait()

    running = asyncio.ensure_future(execution())
    waiting = [asyncio.ensure_future(execution()) for _ in range(2)]
    await asyncio.sleep(0)
    turns.fail(KeyError("first"))
    turns.fail(KeyError("second"))
    later = asyncio.ensure_future(execution())
    end.set()
    done = await asyncio.gather(running, *waiting, later, return_exceptions=True)
    assert [str(each) for each in done] == ["None", "'first'", "'first'", "None"]
