"""A warden that is joined: launches go to it, live on when it is left, and are found by the next link."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.errors import WardenLost
from moorage.process.base import ProcessId
from moorage.process.local import LocalLauncher, shared_warden
from moorage.process.warden import joined, shared
from moorage.process.warden.joined import JoinedProcess, JoinedWarden, join, join_at
from process.warden.test_kept import Keeper, gone, keeper

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="wardens need Linux")
assert keeper  # a fixture


@pytest.fixture(autouse=True)
def nowhere_afterwards() -> Iterator[None]:
    shared.close()
    yield
    shared.close()
    joined._places.clear()


def at(keeper: Keeper) -> None:
    """Join once the warden listens."""
    keeper.link().socket.close()
    join_at(keeper.path)


async def left(spec) -> tuple[ProcessId, int]:
    """Launch something, and leave the warden without ending it, as a process that is killed does."""
    async with shared_warden() as warden:
        assert isinstance(warden, JoinedWarden)
        block = LocalLauncher(warden).launch(spec)
        handle = await block.__aenter__()
        name, pid = handle.id, handle.pid
        _never_left.append(block)
    with pytest.raises(WardenLost):
        warden.spawn(spec, 1, 2, lambda: None)
    return name, pid


_never_left: list[object] = []


async def taken(name: ProcessId, *, end: int = 0) -> int | None:
    """Take a process over, and leave its block; return the signal that ended it."""
    async with shared_warden() as warden:
        assert await warden.link.answers(20)
        async with LocalLauncher(warden).resume(name) as handle:
            if end:
                handle.send_signal(end)
            return (await handle.wait()).signal if end else handle.pid


def test_a_process_is_left_found_and_ended(keeper: Keeper, spec) -> None:
    at(keeper)
    name, pid = asyncio.run(left(spec(["sleep", "1000"])))
    assert not gone_now(pid)
    assert asyncio.run(taken(name)) == pid
    assert gone(pid)
    with pytest.raises(WardenLost, match="nothing is left"):
        asyncio.run(taken(name))


def test_how_it_ended_is_found_too(keeper: Keeper, spec) -> None:
    at(keeper)
    name, pid = asyncio.run(left(spec(["sleep", "1000"])))
    os.kill(pid, signal.SIGTERM)
    assert gone(pid)
    assert asyncio.run(taken(name, end=signal.SIGINT)) == signal.SIGTERM


def test_what_is_not_asked_for_is_ended(keeper: Keeper, spec) -> None:
    at(keeper)
    _, pid = asyncio.run(left(spec(["sleep", "1000"])))

    async def ended() -> None:
        async with shared_warden() as warden:
            assert isinstance(warden, JoinedWarden)
            assert await warden.link.answers(20)
            warden.end_others()

    asyncio.run(ended())
    assert gone(pid)


def test_without_a_warden_there_one_is_started(tmp_path: Path) -> None:
    assert join() is None
    join_at(tmp_path / "none")
    assert join() is None

    async def kind() -> type:
        async with shared_warden() as warden:
            return type(warden)

    assert asyncio.run(kind()) is not JoinedWarden


def test_one_that_has_a_link_is_left_alone(keeper: Keeper) -> None:
    link = keeper.link()
    assert link.hear()["tell"] == "hello"
    join_at(keeper.path)

    async def kind() -> type:
        async with shared_warden() as warden:
            return type(warden)

    assert asyncio.run(kind()) is not JoinedWarden
    link.socket.close()


def test_it_is_no_child_and_is_never_ended() -> None:
    process = JoinedProcess(os.getpid())
    process.kill()
    process.send_signal(signal.SIGTERM)
    assert (process.poll(), process.wait(1)) == (0, 0)


def gone_now(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()
