"""A run's warden is replaced when it is lost, and the next one guards what it did."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack

import pytest

from moorage.notebooks.execution.run_warden import RunWarden
from moorage.process.local import shared_warden

pytestmark = pytest.mark.anyio


async def killed(warden: RunWarden) -> None:
    os.kill(warden.now.pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        while not warden.now.link.lost:
            await asyncio.sleep(0.01)


async def test_a_living_one_stays() -> None:
    async with AsyncExitStack() as stack:
        warden = RunWarden(first := await stack.enter_async_context(shared_warden()), stack)
        await warden.renew()
        assert warden.now is first


async def test_the_next_one_guards_what_the_lost_one_did(tmp_path) -> None:
    before, between, over = (tmp_path / name for name in ("before", "between", "over"))
    async with AsyncExitStack() as stack:
        warden = RunWarden(first := await stack.enter_async_context(shared_warden()), stack)
        for path in (before, over):
            warden.guard(path)
            path.touch()
        await killed(warden)
        warden.guard(between)
        between.touch()
        warden.unguard(over)
        await warden.renew()
        assert warden.now is not first
        assert set(warden.now._guarded) == {before, between}
        assert first.directory.exists()  # others in this run may have files there
        warden.unguard(between)
    assert not before.exists()
    assert between.exists()
    assert over.exists()
    assert not first.directory.exists()


async def test_the_directory_of_a_lost_one_is_not_swept_by_the_next() -> None:
    async with AsyncExitStack() as stack:
        warden = RunWarden(first := await stack.enter_async_context(shared_warden()), stack)
        (first.directory / "mine").touch()
        await killed(warden)
        await warden.renew()
        async with asyncio.timeout(20):
            assert await warden.now.link.answers(10)  # it sweeps before it listens
        assert (first.directory / "mine").exists()
