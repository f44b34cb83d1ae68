"""A kept process is put to sleep and woken, and what the warden beside it has started lives through that."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from moorage.errors import KeeperLost, UsageError
from moorage.keeper.found import find, kill
from moorage.keeper.kept import Kept
from moorage.keeper.sleeping import can_sleep, keeper_pid, put_to_sleep, sleeps, wake
from moorage.keeper.start import start

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="a warden is beside keepers on Linux"),
]
KEEPER = (
    "import sys\n"
    "from moorage.keeper.process.main import main\n"
    "from moorage.process.warden import kept\n"
    "from moorage.process.template.main import shut\n"
    "def become(door, marker):\n"
    "    shut({0, 1, 2, door})\n"
    "    kept.main(door)\n"
    "main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], None, become)\n"
)
CHARGE = (
    "import asyncio, sys, pathlib\n"
    "from moorage.process.warden.joined import join, join_at, JoinedWarden\n"
    "from moorage.process.local import LocalLauncher, shared_warden\n"
    "from moorage.process.base import LocalSpec\n"
    "async def main():\n"
    "    join_at(pathlib.Path(sys.argv[1]))\n"
    "    while (found := join()) is None: pass\n"  # it listens a moment later
    "    found.stop()\n"
    "    async with shared_warden() as warden:\n"
    "        assert isinstance(warden, JoinedWarden)\n"
    "        spec = LocalSpec(('sleep', '1000'), '/', {'PATH': '/bin'})\n"
    "        async with LocalLauncher(warden).launch(spec) as handle:\n"
    "            print('has', handle.pid, flush=True)\n"
    "            await asyncio.Event().wait()\n"
    "asyncio.run(main())\n"
)


def forked(folder: Path, link: int, lock: int) -> Callable[[], object]:
    with (folder / "errors").open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-c", KEEPER, str(link), str(lock), str(folder)],
            pass_fds=[link, lock],
            stderr=errors,
        ).wait


async def begun(place: Path, *argv: str) -> Kept:
    return await start(
        [sys.executable, "-c", CHARGE, str(place / "kept" / "one" / "warden"), *argv],
        directory=place / "kept",
        name="one",
        keeper=forked,
        warden=True,
    )


async def started_by(kept: Kept) -> int:
    """Return the process that the warden has started for the charge, once there is one."""
    while "has" not in (text := (await kept.status()).output):
        await asyncio.sleep(0.05)
    return int(text.split()[1])


async def test_what_the_warden_has_started_outlives_the_charge(place: Path, exists, until) -> None:
    async with await begun(place) as kept:
        child, before = await started_by(kept), kept.pid
        assert (can_sleep(kept), sleeps(kept)) == (True, False)
        await put_to_sleep(kept)
        assert (sleeps(kept), kept.pid, exists(before), exists(child)) == (True, None, False, True)
        assert exists(keeper_pid(kept))
        with pytest.raises(UsageError, match="ended instead"):
            await wake(kept, ["/nowhere/at/all"], "/", {})
        await until_ended(kept)
        until(lambda: not exists(child))


async def until_ended(kept: Kept) -> None:
    async for status in kept.watch():
        if status.ended:
            return


async def test_it_wakes_as_what_it_is_told_and_writes_to_the_same_log(place: Path, exists, until) -> None:
    async with await begun(place) as kept:
        child = await started_by(kept)
        for word in ("first", "second"):
            await put_to_sleep(kept)
            await wake(kept, ["sh", "-c", "echo $WORD; sleep 1000"], "/", {"PATH": "/bin", "WORD": word})
            while word not in (await kept.status()).output:
                await asyncio.sleep(0.05)
        assert (await kept.status()).output == f"has {child}\nfirst\nsecond\n"
        assert exists(child)
        assert (await kept.end(grace=0)).ended
        until(lambda: not exists(child))
    assert not (place / "kept" / "one").exists()


async def test_it_ends_asleep_by_order_and_is_found_asleep(place: Path, exists, until) -> None:
    kept = await begun(place)
    child = await started_by(kept)
    await put_to_sleep(kept)
    await kept.aclose()
    found = (await find(place / "kept")).kept[0]
    assert (found.name, sleeps(found), exists(child)) == ("one", True, True)
    await found.set_lease(0.01)
    await found.attach(attached=False)
    status = await found.wait()
    assert status.reason == "lease"
    until(lambda: not exists(child))
    await found.aclose()


async def test_sigkill_of_a_keeper_whose_charge_sleeps_leaves_nothing(place: Path, exists, until) -> None:
    kept = await begun(place)
    child = await started_by(kept)
    await put_to_sleep(kept)
    os.kill(keeper_pid(kept), signal.SIGKILL)
    with pytest.raises(KeeperLost):
        await kept.wait()
    until(lambda: not exists(child))
    await kept.aclose()
    await kill(place / "kept" / "one")
    assert not (place / "kept" / "one").exists()
