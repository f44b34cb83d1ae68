"""One kept process, seen from here."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from moorage.errors import DeadlineExceeded, KeeperLost, StartDeath, UsageError
from moorage.keeper.found import kill
from moorage.keeper.process import record
from moorage.keeper.start import start

pytestmark = pytest.mark.anyio


def keeper_of(kept) -> int:
    found = record.read(str(kept.directory))
    assert found is not None
    return found["keeper"]["pid"]


async def test_closing_leaves_it_running(place, exists):
    async with await start(["sleep", "1000"], directory=place) as kept:
        pid = kept.pid
    assert exists(pid)
    await kill(kept.directory)
    assert not exists(pid)


async def test_it_is_watched_to_its_end(place):
    kept = await start(["sh", "-c", "read x < /dev/null; sleep 0.2; exit 4"], directory=place)
    seen = [status async for status in kept.watch()]
    assert seen[0].state == "running"
    assert (seen[-1].ended, seen[-1].describe()) == (True, "exit code 4")
    assert (await kept.status()).exit_status.code == 4, "it is known afterwards, too"
    assert [status async for status in kept.watch()] == [seen[-1]]
    await kept.aclose()
    assert list(place.iterdir()) == []


async def test_work_is_awaited_while_it_runs(place):
    kept = await start(["sleep", "1000"], directory=place)
    assert await kept.while_running(asyncio.sleep(0.01, "done")) == "done"
    with pytest.raises(ZeroDivisionError):
        await kept.while_running(_fails())
    with pytest.raises(TimeoutError, match="its own"):
        await kept.while_running(_fails(TimeoutError("its own")))
    await kept.end(0)


async def _fails(error=None):
    raise error or ZeroDivisionError


async def test_a_death_while_starting_is_told_with_status_and_output(place):
    kept = await start(["sh", "-c", "echo no port; exit 3"], directory=place)
    with pytest.raises(StartDeath, match="exit code 3") as caught:
        await kept.while_running(asyncio.sleep(1000))
    assert caught.value.exit_status.code == 3
    assert caught.value.output == "no port\n"
    await kept.aclose()


async def test_signals_arrive(place):
    kept = await start(
        ["sh", "-c", "trap 'exit 9' USR1; echo on; while :; do sleep 0.05; done"], directory=place
    )
    while "on" not in (await kept.status()).output:
        await asyncio.sleep(0.01)
    await kept.signal(signal.SIGUSR1)
    assert (await kept.wait()).exit_status.code == 9
    with pytest.raises((UsageError, KeeperLost)):
        await kept.signal(signal.SIGUSR1)
    await kept.aclose()


async def test_the_lease_can_be_changed(place):
    kept = await start(["sleep", "1000"], directory=place, lease=50)
    await kept.set_lease(60)
    await kept.attach(attached=False)
    status = await kept.status()
    assert (status.lease, status.attached) == (60, 0)
    assert status.lease_left <= 60
    await kept.attach()
    assert (await kept.status()).lease_left is None
    with pytest.raises(UsageError):
        await kept.set_lease(-1)
    await kept.end(0)


async def test_ending_twice_or_after_the_end_is_fine(place):
    kept = await start(["true"], directory=place)
    first = await kept.end()
    assert (await kept.end()) == first
    await kept.aclose()


async def test_a_killed_keeper_is_told(place, exists):
    kept = await start(["sleep", "1000"], directory=place)
    watching = asyncio.ensure_future(kept.wait())
    await asyncio.sleep(0)
    os.kill(keeper_of(kept), signal.SIGKILL)
    with pytest.raises(KeeperLost, match="was killed"):
        await watching
    with pytest.raises(KeeperLost):
        await kept.status()
    with pytest.raises(KeeperLost):
        await kept.end()
    ended = await kill(kept.directory)
    assert ended.status.reason == "lost"


async def test_a_stopped_keeper_is_told_and_killed(place, exists):
    kept = await start(["sleep", "1000"], directory=place)
    pid = kept.pid
    os.kill(keeper_of(kept), signal.SIGSTOP)
    with pytest.raises(DeadlineExceeded):
        await kept.status(within=0.2)
    await kept.aclose()
    await kill(kept.directory)
    assert not exists(pid)
    assert list(place.iterdir()) == []


async def test_what_is_asked_at_the_very_end_loses_no_last_word(place):
    for _ in range(10):
        kept = await start(["sh", "-c", "read x; exit 7"], directory=place, env={"PATH": os.environ["PATH"]})
        status = await kept.status()
        while not status.ended:
            try:
                status = await kept.status()
            except KeeperLost:
                status = await kept.wait()
        assert status.exit_status.code == 7
        await kept.aclose()
    assert list(place.iterdir()) == []
