"""What the warden has told about one launch."""

from __future__ import annotations

import asyncio

import pytest

from moorage.errors import WardenLost
from moorage.process.base import ExitStatus, ProcessId
from moorage.process.warden.launched import (
    ChildEnded,
    ChildLaunch,
    ChildPending,
    ChildRefused,
    ChildRunning,
    outlast,
)

pytestmark = pytest.mark.anyio
EXITED = {"tell": "exited", "code": 3, "signal": None, "oom": False, "maxrss": 9}


async def test_a_launch_goes_from_pending_to_gone():
    ends = []
    one = ChildLaunch(ProcessId("x.1"), lambda: ends.append(one.state))
    assert one.state == ChildPending()
    one.told({"tell": "started", "pid": 7})
    assert one.state == ChildRunning(7)
    one.told(EXITED)
    assert one.state == ChildEnded(7, ExitStatus(3, None, False, 9))
    assert ends == [one.state]
    assert not one.gone
    one.told({"tell": "gone", "left": 0})
    assert one.gone


async def test_a_refused_launch():
    one = ChildLaunch(ProcessId("x.1"), lambda: None)
    one.told({"tell": "failed", "stage": "exec", "errno": 2})
    assert one.state == ChildRefused("exec", 2)


async def test_a_lost_launch_still_knows_its_exit():
    one = ChildLaunch(ProcessId("x.1"), lambda: None)
    one.told({"tell": "started", "pid": 7})
    one.told(EXITED)
    one.lose("somebody killed it")
    await one.until(lambda: isinstance(one.state, ChildEnded))
    with pytest.raises(WardenLost, match="somebody killed it"):
        await one.until(lambda: one.gone)


async def test_outlast_waits_on_though_cancelled():
    done = asyncio.Event()
    seen = []

    async def run():
        seen.append(await outlast(done.wait, 10))

    async with asyncio.TaskGroup() as group:
        task = group.create_task(run())
        for _ in range(3):
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        done.set()
    finished, cancelled = seen[0]
    assert finished
    assert isinstance(cancelled, asyncio.CancelledError)


async def test_outlast_gives_up_in_time():
    assert await outlast(asyncio.Event().wait, 0.01) == (False, None)
