"""A warden that does not answer is woken, then given up; a link changes loops."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from moorage.errors import WardenLost
from moorage.process.local import LocalLauncher, Warden
from moorage.process.warden import endpoint
from moorage.process.warden.client import begin

pytestmark = pytest.mark.anyio


@pytest.fixture
def often(monkeypatch):
    """Ask every warden whether it is there ten times a second."""
    monkeypatch.setattr(endpoint, "BEAT", 0.1)


async def test_a_stopped_warden_is_woken_and_nothing_is_lost(often, spec):
    async with asyncio.timeout(20), Warden.open() as warden:
        os.kill(warden.pid, signal.SIGSTOP)
        async with LocalLauncher(warden).launch(spec(["true"])) as handle:
            assert (await handle.wait()).code == 0
        assert not warden.link.lost


async def test_one_that_stays_silent_is_killed_and_all_who_wait_hear_of_it(
    often, spec, until, alive, monkeypatch
):
    monkeypatch.setattr(endpoint.WardenProcess, "wake", lambda _: None)
    async with asyncio.timeout(20), Warden.open() as warden:
        async with LocalLauncher(warden).launch(spec(["sleep", "3600"])) as handle:
            os.kill(warden.pid, signal.SIGSTOP)
            with pytest.raises(WardenLost, match="did not answer"):
                await handle.wait()
        assert not alive(warden.pid)
        await until(lambda: not alive(handle.pid))


async def test_a_launch_under_way_ends_when_its_warden_is_silent(often, spec, monkeypatch):
    monkeypatch.setattr(endpoint.WardenProcess, "wake", lambda _: None)
    async with asyncio.timeout(20), Warden.open() as warden:
        os.kill(warden.pid, signal.SIGSTOP)
        with pytest.raises(WardenLost):
            async with LocalLauncher(warden).launch(spec(["true"])):
                pass


async def test_a_loop_that_was_busy_itself_blames_no_warden(often, spec):
    async with asyncio.timeout(20), Warden.open() as warden:
        for _ in range(3):
            deadline = asyncio.get_running_loop().time() + 0.5
            while asyncio.get_running_loop().time() < deadline:
                pass
            await asyncio.sleep(0)
        async with LocalLauncher(warden).launch(spec(["true"])) as handle:
            assert (await handle.wait()).code == 0
        assert not warden.link.lost


def test_a_link_serves_one_loop_after_the_other(spec):
    async def first():
        warden = await begin()
        async with LocalLauncher(warden).launch(spec(["true"])) as handle:
            assert (await handle.wait()).code == 0
        warden.link.detach()
        return warden

    async def second(warden):
        warden.link.attach()
        assert await warden.link.answers(10)
        async with LocalLauncher(warden).launch(spec(["true"])) as handle:
            assert (await handle.wait()).code == 0
        await warden.link.close()

    warden = asyncio.run(first())
    asyncio.run(second(warden))
    assert not warden.directory.exists()


async def test_one_without_a_loop_is_stopped_even_if_it_was_stopped(alive):
    warden = await begin()
    warden.link.detach()
    os.kill(warden.pid, signal.SIGSTOP)
    warden.link.stop()
    assert not alive(warden.pid)
    assert not warden.directory.exists()
