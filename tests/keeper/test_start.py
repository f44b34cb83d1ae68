"""Starting what outlives this process."""

from __future__ import annotations

import asyncio
import gc
import os

import pytest

from moorage.errors import LaunchError, UsageError
from moorage.keeper.found import find
from moorage.keeper.process import record
from moorage.keeper.start import start
from moorage.process.options import ProcessOptions

pytestmark = pytest.mark.anyio


async def test_it_runs_and_is_attached(place):
    kept = await start(
        ["sh", "-c", "echo $GREETING; sleep 1000"], directory=place, env={"GREETING": "hi"}, name="work"
    )
    assert kept.name == "work"
    assert kept.directory == place / "work"
    status = await kept.status()
    assert (status.state, status.attached, status.pid) == ("running", 1, kept.pid)
    assert (await kept.end()).exit_status.signal == 15
    assert list(place.iterdir()) == []


async def test_the_directory_is_made_and_closed_to_others(place):
    async with await start(["sleep", "1000"], directory=place / "deep" / "er") as kept:
        assert kept.directory.stat().st_mode & 0o777 == 0o700
        assert kept.directory.parent.stat().st_mode & 0o777 == 0o700
        await kept.end(0)


@pytest.mark.parametrize(
    ("command", "rest", "error", "words"),
    [
        (["/nowhere/program"], {}, LaunchError, "no program '/nowhere/program'"),
        (["nowhere-program"], {}, LaunchError, "no directory of its PATH"),
        (["true"], {"cwd": "/nowhere"}, LaunchError, "no directory '/nowhere'"),
        (["true"], {"cwd": "relative"}, UsageError, "no absolute directory"),
        ([], {}, UsageError, "no command"),
        ([b"true"], {}, UsageError, "no command"),
        (["true"], {"lease": -1}, UsageError, "lease is -1"),
        (["true"], {"grace": float("nan")}, UsageError, "grace is nan"),
        (["true"], {"env": {"A=": "1"}}, UsageError, "no name of a variable"),
        (["true"], {"name": "../up"}, UsageError, "no name of a kept process"),
        (["true"], {"name": ".hidden"}, UsageError, "no name of a kept process"),
        (["true"], {"name": "x" * 200}, UsageError, "too long"),
        (["true"], {"process": ProcessOptions(pass_fds=[5])}, UsageError, "no descriptors"),
        (["true"], {"process": ProcessOptions(user="no-such-user")}, UsageError, "no user"),
    ],
)
async def test_what_cannot_be_started_is_said_and_leaves_nothing(place, command, rest, error, words):
    with pytest.raises(error, match=words):
        await start(command, directory=place, **rest)
    assert list(place.iterdir()) == []


async def test_a_name_is_taken_once(place):
    kept = await start(["sleep", "1000"], directory=place, name="work")
    with pytest.raises(UsageError, match="there is a kept process work"):
        await start(["sleep", "1000"], directory=place, name="work")
    assert (await kept.status()).state == "running"
    await kept.end(0)


async def test_nothing_is_kept_where_others_may_write(place):
    place.chmod(0o777)
    with pytest.raises(UsageError, match="may write to"):
        await start(["sleep", "1000"], directory=place)
    assert list(place.iterdir()) == []


async def test_cancelled_at_any_time_it_leaves_nothing(place, exists):
    for turns in range(0, 60, 3):
        task = asyncio.ensure_future(
            start(["sh", "-c", f"echo $$ > {place}/pid; sleep 1000"], directory=place / "kept")
        )
        for _ in range(turns):
            await asyncio.sleep(0.002)
        task.cancel()
        try:
            kept = await task
        except asyncio.CancelledError:
            pass
        else:
            await kept.end(0)
        left = list((place / "kept").iterdir()) if (place / "kept").exists() else []
        assert left == [], turns
        pid = int((place / "pid").read_text() or 0) if (place / "pid").exists() else 0
        assert not (pid and exists(pid)), turns


async def test_cancelled_before_there_is_a_link_what_forks_the_keeper_is_waited_for(place, recwarn):
    gc.collect()  # what tests before this one have left
    recwarn.clear()
    for turns in range(8):
        task = asyncio.ensure_future(start(["sleep", "1000"], directory=place))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        gc.collect()
        assert not [each for each in recwarn if issubclass(each.category, ResourceWarning)], turns
    async with asyncio.timeout(60):
        while list(place.iterdir()):  # what the keepers had written already, which they remove
            await asyncio.sleep(0.01)


async def test_a_keeper_that_cannot_start_is_told_with_its_last_words(place, monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(Exception, match="did not come up"):
        await start(["sleep", "1000"], directory=place)
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(LaunchError, match="no keeper can be started"):
        await start(["sleep", "1000"], directory=place)
    assert list(place.iterdir()) == []


async def test_secrets_are_in_no_file(place):
    kept = await start(
        ["sleep", "1000"], directory=place, env={"TOKEN": "s3cr3t~value", "PATH": os.environ["PATH"]}
    )
    for path in kept.directory.iterdir():
        if path.is_file():
            assert b"s3cr3t~value" not in path.read_bytes()
    assert "s3cr3t~value" not in repr(kept)
    await kept.end(0)
    assert (await find(place)).kept == ()
    assert record.read(str(kept.directory)) is None
