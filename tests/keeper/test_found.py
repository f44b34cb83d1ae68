"""Kept processes are found again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from moorage.errors import DeadlineExceeded, KeeperLost, UsageError
from moorage.keeper.found import EndedCharge, find, kill, look
from moorage.keeper.kept import Kept
from moorage.keeper.process import record
from moorage.keeper.start import start

pytestmark = pytest.mark.anyio
LAUNCHER = """
import asyncio, sys, pathlib
from moorage.keeper.start import start
async def main():
    kept = await start(["sleep", "1000"], directory=pathlib.Path(sys.argv[1]), name="work")
    print(kept.pid, flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""


async def test_there_is_nothing(place):
    for folder in (place, place / "nowhere"):
        found = await find(folder)
        assert (found.kept, found.ended, found.silent) == ((), (), ())


async def test_what_a_killed_launcher_left_is_adopted(place, exists):
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, place], stdout=subprocess.PIPE, text=True
    ) as launcher:
        pid = int(launcher.stdout.readline())
        launcher.kill()
    assert exists(pid)
    (kept,) = (await find(place)).kept
    assert (kept.name, (await kept.status()).pid) == ("work", pid)
    assert (await kept.status()).attached == 1
    await kept.end()
    assert not exists(pid)
    assert list(place.iterdir()) == []


async def test_one_is_looked_for_by_its_directory(place, until):
    kept = await start(["sleep", "60"], directory=place, name="work")
    kept._link.close()
    assert await look(place / "other") is None
    found = await look(place / "work")
    assert isinstance(found, Kept)
    await found.end()
    assert await look(place / "work") is None
    kept = await start(["sh", "-c", "exit 5"], directory=place, name="short")
    kept._link.close()
    until(lambda: not _held(kept.directory))
    ended = await look(place / "short")
    assert isinstance(ended, EndedCharge)
    assert ended.status.describe() == "exit code 5"
    assert list(place.iterdir()) == []


async def test_what_ended_meanwhile_is_told_once(place, until):
    kept = await start(["sh", "-c", "echo bye; sleep 0.3; exit 5"], directory=place, label="a server")
    kept._link.close()
    until(lambda: (record.read(str(kept.directory)) or {})["state"] == "ended")
    until(lambda: not _held(kept.directory))
    (ended,) = (await find(place)).ended
    assert (ended.label, ended.status.describe(), ended.status.output) == ("a server", "exit code 5", "bye\n")
    assert (await find(place)).ended == ()
    assert list(place.iterdir()) == []


def _held(folder) -> bool:
    try:
        os.close(record.lock(str(folder)))
    except BlockingIOError:
        return True
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="what is left is found in /proc")
async def test_of_a_killed_keeper_all_is_ended_and_its_last_words_are_told(place, exists, until):
    code = (
        "echo words; sleep 1000 & echo $!; setsid sleep 1000 & echo $!;"
        " env -i setsid sleep 1000 & echo $!; setsid sleep 1000 > /dev/null 2>&1 & echo $!; wait"
    )
    kept = await start(["sh", "-c", code], directory=place)
    while (output := (await kept.status()).output).count("\n") < 5:
        pass
    pids = [kept.pid, *map(int, output.split()[1:])]
    found = record.read(str(kept.directory))
    os.kill(found["keeper"]["pid"], signal.SIGKILL)
    until(lambda: not exists(kept.pid), "the charge ends with its keeper")
    (ended,) = (await find(place)).ended
    assert (ended.status.reason, ended.status.output) == ("lost", output)
    assert [pid for pid in pids if exists(pid)] == []
    assert list(place.iterdir()) == []
    await kept.aclose()


async def test_of_two_that_look_at_once_one_tells_and_the_other_sees_nothing(place, until):
    kept = await start(["sleep", "1000"], directory=place)
    os.kill(record.read(str(kept.directory))["keeper"]["pid"], signal.SIGKILL)
    until(lambda: not _held(kept.directory))
    other = record.lock(str(kept.directory))  # as another program has it that is removing the directory
    seen = await find(place)
    assert (seen.kept, seen.ended, seen.silent) == ((), (), ())
    with pytest.raises(KeeperLost, match="is being removed by another program"):
        await kill(kept.directory)
    os.close(other)
    told = [each for seen in await asyncio.gather(*(find(place) for _ in range(5))) for each in seen.ended]
    assert [each.name for each in told] == [kept.name]
    assert list(place.iterdir()) == []
    await kept.aclose()


async def test_what_its_maker_left_before_it_was_locked_is_removed_in_time(place):
    place.mkdir(exist_ok=True)
    new, old = place / "new", place / "old"
    for folder in (new, old):
        folder.mkdir(mode=0o700)
        (folder / record.NEW_LOCK).touch()
    os.utime(old, (0, 0))
    seen = await find(place)
    assert (seen.kept, seen.ended, seen.silent) == ((), (), ())
    assert list(place.iterdir()) == [new]


async def test_a_stopped_keeper_is_silent_and_can_be_killed(place, exists):
    kept = await start(["sleep", "1000"], directory=place)
    other = await start(["sleep", "1000"], directory=place)
    found = record.read(str(kept.directory))
    os.kill(found["keeper"]["pid"], signal.SIGSTOP)
    seen = await find(place, within=0.5)
    (silent,) = seen.silent
    assert isinstance(silent.error, DeadlineExceeded)
    assert [each.name for each in seen.kept] == [other.name]
    ended = await kill(silent.directory)
    assert ended.status.reason == "lost"
    assert not exists(kept.pid)
    for each in (*seen.kept, kept, other):
        await each.aclose()
    await kill(other.directory)
    assert list(place.iterdir()) == []


async def test_something_else_that_listens_is_not_taken_for_a_keeper(place):
    kept = await start(["sleep", "1000"], directory=place)
    found = record.read(str(kept.directory))
    record.write(str(kept.directory), {**found, "id": "another"})
    (silent,) = (await find(place)).silent
    assert isinstance(silent.error, KeeperLost)
    record.write(str(kept.directory), found)
    await kept.end(0)


async def test_other_users_directories_are_refused(place):
    place.chmod(0o777)
    with pytest.raises(UsageError, match="may write to"):
        await find(place)


async def test_folders_that_are_no_keepers_stay(place):
    (place / "file").touch()
    (place / "open").mkdir(mode=0o755)
    (place / "new").mkdir(mode=0o700)
    (place / "old").mkdir(mode=0o700)
    (place / "full").mkdir(mode=0o700)
    (place / "full" / "file").touch()
    for name in ("old", "full"):
        os.utime(place / name, (time.time() - 99, time.time() - 99))
    found = await find(place)
    assert (found.kept, found.ended, found.silent) == ((), (), ())
    assert sorted(path.name for path in place.iterdir()) == ["file", "full", "new", "open"]


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"keeper": 1}', '{"keeper": {"pid": 1}, "state": "ended"}']
)
async def test_a_record_that_makes_no_sense_harms_no_other(place, content):
    kept = await start(["sleep", "1000"], directory=place)
    (place / "broken").mkdir(mode=0o700)
    (place / "broken" / record.LOCK).touch()
    (place / "broken" / record.RECORD).write_text(content)
    found = await find(place)
    assert ([each.name for each in found.kept], found.ended, found.silent) == ([kept.name], (), ())
    assert not (place / "broken").exists()
    for each in found.kept:
        await each.end(0)


async def test_many_stopped_keepers_take_one_limit_together(place, until):
    kept = [await start(["sleep", "1000"], directory=place) for _ in range(5)]
    for each in kept:
        os.kill(record.read(str(each.directory))["keeper"]["pid"], signal.SIGSTOP)
    async with asyncio.timeout(30):  # one after the other they would take 50
        found = await find(place)
    assert len(found.silent) == 5
    for each in kept:
        await each.aclose()
        await kill(each.directory)
    assert list(place.iterdir()) == []
