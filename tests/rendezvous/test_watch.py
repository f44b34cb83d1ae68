"""Waiting for a directory to change."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from moorage.rendezvous import watch
from moorage.rendezvous.watch import DirectoryWatch

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["inotify", "looking"])
def way(request, monkeypatch):
    if request.param == "looking":
        monkeypatch.setattr(watch, "_inotify", lambda _: -1)
    return request.param


def moved(directory):
    (directory / "new").write_text("x")
    (directory / "new").rename(directory / "kernel.json")


@pytest.mark.parametrize("change", [lambda d: (d / "kernel.json").write_text("x"), moved])
async def test_a_change_wakes(directory, way, change):
    async with DirectoryWatch(directory) as watch, asyncio.timeout(10):
        asyncio.get_running_loop().call_later(0.02, change, directory)
        while not (directory / "kernel.json").exists():
            await watch.changed()


async def test_a_change_before_the_wait_is_not_missed(directory, way):
    async with DirectoryWatch(directory) as watch, asyncio.timeout(10):
        moved(directory)
        await watch.changed()


async def test_no_change_no_waking(directory):
    async with DirectoryWatch(directory) as watch:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await watch.changed()


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


async def closed_again(before):
    """Wait for the thread that closes."""
    async with asyncio.timeout(60):
        while descriptors() > before:
            await asyncio.sleep(0)


async def test_cancelling_is_safe_and_nothing_stays_open(directory, way):
    before = descriptors()
    with pytest.raises(TimeoutError):  # noqa: PT012 - it is about the block
        async with asyncio.timeout(0.05), DirectoryWatch(directory) as watch:
            while True:
                await watch.changed()
    await closed_again(before)


async def test_its_descriptor_is_closed_although_the_loop_goes_on(directory):
    before = descriptors()
    async with DirectoryWatch(directory) as watch, asyncio.timeout(10):
        (directory / "a").touch()
        await watch.changed()
    await closed_again(before)


async def test_a_directory_that_is_not_there_is_looked_at_again(directory):
    async with DirectoryWatch(directory / "absent") as watch, asyncio.timeout(10):
        await watch.changed()
