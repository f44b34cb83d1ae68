"""A kept process is put to sleep and woken, and what the warden beside it has started lives through that."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from moorage.errors import KeeperLost, UsageError
from moorage.keeper.found import find, kill
from moorage.keeper.kept import Kept
from moorage.keeper.sleeping import can_sleep, keeper_pid, put_to_sleep, sleeps, tender_of, wake
from moorage.keeper.start import start
from moorage.process import procfs
from moorage.process.walls.probe import given
from process.walls.behind import PACKAGE, private_folder, walls_here

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="a warden is beside keepers on Linux"),
]
KEEPER = (
    "import os, socket, sys\n"
    "from moorage.keeper.process.main import main\n"
    "from moorage.process.warden import kept, tending\n"
    "from moorage.process.template.main import shut\n"
    "class Forks:\n"
    "    def keep_kernels(self, door, marker):\n"
    "        shut({0, 1, 2, door})\n"
    "        kept.main(door)\n"
    "    def tend(self, door, orders, program, marker):\n"
    "        shut({0, 1, 2, orders, program.report})\n"
    "        bound = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
    "        bound.bind(door)\n"
    "        tending.main(bound, orders, execute, program)\n"
    "def execute(argv, env, report):\n"
    "    os.execvpe(argv[0], argv, env)\n"
    "main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], None, Forks())\n"
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


WAYS = [
    pytest.param(False, id="no walls"),
    pytest.param(
        True,
        id="walls",
        marks=pytest.mark.skipif(bool(given().why), reason=f"no walls here: {given().why}"),
    ),
]


@pytest.fixture(params=WAYS)
def begun(place: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[], Awaitable[Kept]]]:
    """Start a charge that has had its warden start something."""
    with private_folder() as private:
        walls = walls_here(private, readable=[str(PACKAGE.parent)]) | {"warden": str(private / "w")}
        door = private / "w" if request.param else place / "kept" / "one" / "warden"

        async def begin() -> Kept:
            return await start(
                [sys.executable, "-c", CHARGE, str(door)],
                directory=place / "kept",
                name="one",
                keeper=forked,
                warden=True,
                walls=walls if request.param else None,
            )

        yield begin


async def told_by(kept: Kept) -> str:
    """Return the id of the process that the warden has started for the charge, as the charge sees it."""
    while "\n" not in (text := (await kept.status()).output):
        await asyncio.sleep(0.05)
    return text.split()[1]


async def started_by(kept: Kept) -> int:
    """Return the process that the warden has started for the charge, once there is one."""
    inside = await told_by(kept)
    for pid in procfs.family(keeper_pid(kept)):
        ids = re.search(r"NSpid:\s+(.*)", Path(f"/proc/{pid}/status").read_text())
        if ids is not None and ids[1].split()[-1] == inside:
            return pid
    raise AssertionError(inside)


def family(kept: Kept) -> list[int]:
    return [*procfs.family(keeper_pid(kept))]


async def test_what_the_warden_has_started_outlives_the_charge(place: Path, begun, exists, until) -> None:
    async with await begun() as kept:
        child, before = await started_by(kept), family(kept)
        assert (can_sleep(kept), sleeps(kept)) == (True, False)
        await put_to_sleep(kept)
        assert (sleeps(kept), kept.pid, exists(child)) == (True, None, True)
        assert len(before) - len(family(kept)) == 1
        assert exists(keeper_pid(kept))
        assert (await kept.end(grace=0)).ended
        until(lambda: not exists(child))


def descriptors_of(pid: int) -> int:
    return len([*Path(f"/proc/{pid}/fd").iterdir()])


async def test_what_cannot_be_started_sleeps_on_and_says_why(place: Path, begun, exists, until) -> None:
    async with await begun() as kept:
        child = await started_by(kept)
        await put_to_sleep(kept)
        descriptors = descriptors_of(keeper_pid(kept))
        for _ in range(3):
            with pytest.raises(UsageError, match=r"cannot be started again \(.*No such file.*exec"):
                await wake(kept, ["/nowhere/at/all"], "/", {})
            assert (sleeps(kept), exists(child)) == (True, True)
        await wake(kept, ["sh", "-c", "echo awake; sleep 1000"], "/", {"PATH": "/bin"})
        while "awake" not in (await kept.status()).output:
            await asyncio.sleep(0.05)
        assert descriptors_of(keeper_pid(kept)) <= descriptors
        assert (await kept.end(grace=0)).ended
        until(lambda: not exists(child))


async def test_it_wakes_as_what_it_is_told_and_writes_to_the_same_log(
    place: Path, begun, exists, until
) -> None:
    async with await begun() as kept:
        child = await started_by(kept)
        for word in ("first", "second"):
            await put_to_sleep(kept)
            await wake(kept, ["sh", "-c", "echo $WORD; sleep 1000"], "/", {"PATH": "/bin", "WORD": word})
            while word not in (await kept.status()).output:
                await asyncio.sleep(0.05)
        assert (await kept.status()).output == f"has {await told_by(kept)}\nfirst\nsecond\n"
        assert exists(child)
        assert (await kept.end(grace=0)).ended
        until(lambda: not exists(child))
    assert not (place / "kept" / "one").exists()


async def test_it_ends_asleep_by_order_and_is_found_asleep(place: Path, begun, exists, until) -> None:
    kept = await begun()
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


async def test_sigkill_of_a_keeper_whose_charge_sleeps_leaves_nothing(
    place: Path, begun, exists, until
) -> None:
    kept = await begun()
    child = await started_by(kept)
    await put_to_sleep(kept)
    os.kill(keeper_pid(kept), signal.SIGKILL)
    with pytest.raises(KeeperLost):
        await kept.wait()
    until(lambda: not exists(child))
    await kept.aclose()
    await kill(place / "kept" / "one")
    assert not (place / "kept" / "one").exists()


async def test_walls_that_end_while_it_sleeps_are_its_end(place: Path, begun, exists, until) -> None:
    kept = await begun()
    child = await started_by(kept)
    tender = tender_of(kept)
    if tender is not None:
        await put_to_sleep(kept)
        os.kill(tender, signal.SIGKILL)
        status = await kept.wait()
        assert status.describe() == "killed by SIGKILL, cause unknown"
        until(lambda: not exists(child))
        await kept.aclose()
        assert not (place / "kept" / "one").exists()
    else:
        assert (await kept.end(grace=0)).ended


async def test_it_has_its_grace_and_is_told_how_it_ended(place: Path, begun, exists, until) -> None:
    async with await begun() as kept:
        child = await started_by(kept)
        await put_to_sleep(kept)
        words = "trap 'echo bye; exit 5' TERM; echo awake; while true; do sleep 0.05; done"
        await wake(kept, ["sh", "-c", words], "/", {"PATH": "/bin"})
        while "awake" not in (await kept.status()).output:
            await asyncio.sleep(0.05)
        status = await kept.end(grace=60)
        assert (status.describe(), status.output.splitlines()[-1]) == ("exit code 5", "bye")
        until(lambda: not exists(child))
