"""The servers of a hub: limits, restarts of the hub, ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.errors import LaunchError
from moorage.jupyter.hub_servers import HubLimits, HubServer, HubServers, server_id
from moorage.keeper.found import EndedCharge
from moorage.plan.control_groups import GroupsGiven
from moorage.plan.walls import Share
from moorage.process import control_groups, procfs
from moorage.temp.processes import ServerStart

pytestmark = pytest.mark.anyio
HERE = Path("/srv/hub")
ANN = server_id(HERE, "ann", "")
FOUND = asyncio.run(control_groups.given(Share()))
bounded = pytest.mark.skipif(bool(FOUND.why), reason=f"no control groups: {FOUND.why}")


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mt-", dir="/tmp") as made:
        yield Path(made)


def hub(folder: Path) -> HubServers:
    return HubServers(folder / "servers", 60.0, fork=False, common={})


def python(code: str, folder: Path) -> ServerStart:
    return ServerStart((sys.executable, "-c", code), folder, {**os.environ})


def pause(folder: Path) -> ServerStart:
    return python("import signal; signal.pause()", folder)


def test_each_server_of_each_user_has_a_name_that_stays() -> None:
    asked = [
        (HERE, "ann", ""),
        (HERE, "ann", "b"),
        (HERE, "annb", ""),
        (HERE, "bob", ""),
        (HERE / "2", "ann", ""),
    ]
    names = {server_id(*each) for each in asked}
    assert len(names) == len(asked)
    assert server_id(HERE, "ann", "") == ANN
    assert all(len(each) == 20 for each in names)


async def test_another_hub_finds_it(folder: Path) -> None:
    started = await hub(folder).start(ANN, pause(folder), HubLimits())
    found = await hub(folder).look(ANN, started.groups)
    assert isinstance(found, HubServer)
    assert found.process.pid == started.process.pid
    assert found.groups == started.groups
    await hub(folder).end(found, 0)
    assert [*(folder / "servers").iterdir()] == []
    assert not any(Path(each).exists() for each in started.groups)
    assert await hub(folder).look(ANN) is None


async def test_one_that_ended_while_there_was_no_hub(folder: Path) -> None:
    started = await hub(folder).start(ANN, python("print('bye'); exit(3)", folder), HubLimits())
    assert (await started.process.ended()).words == "exit code 3"
    started.process.kept._link.close()
    found = await hub(folder).look(ANN, started.groups)
    assert isinstance(found, EndedCharge)
    assert found.status.exit_status is not None
    assert found.status.exit_status.code == 3
    assert found.status.output == "bye\n"
    assert not any(Path(each).exists() for each in started.groups)


async def test_the_status_tells_the_end_and_leaves_nothing(folder: Path) -> None:
    servers = hub(folder)
    started = await servers.start(ANN, pause(folder), HubLimits())
    status = await servers.status(started)
    assert status is not None
    assert not status.ended
    assert started.process.pid is not None
    os.kill(started.process.pid, signal.SIGKILL)
    await started.process.ended()
    status = await servers.status(started)
    assert status is not None
    assert status.exit_status is not None
    assert status.exit_status.signal == signal.SIGKILL
    assert [*(folder / "servers").iterdir()] == []


async def test_a_keeper_that_was_killed_takes_its_server_along(folder: Path) -> None:
    servers = hub(folder)
    started = await servers.start(ANN, pause(folder), HubLimits())
    os.kill(started.process.keeper_pid, signal.SIGKILL)
    await started.process.ended()
    assert await servers.status(started) is None
    assert [*(folder / "servers").iterdir()] == []
    row = procfs.look(started.process.pid or 0)
    assert row is None or row.dead


async def test_what_no_hub_knows_any_more_makes_room(folder: Path) -> None:
    first = await hub(folder).start(ANN, pause(folder), HubLimits())
    servers = hub(folder)
    second = await servers.start(ANN, pause(folder), HubLimits())
    row = procfs.look(first.process.pid or 0)
    assert row is None or row.dead
    await servers.end(second, 0)


@bounded
async def test_limits_are_kept(folder: Path) -> None:
    servers = hub(folder)
    code = "b'1' * (512 << 20)"
    started = await servers.start(ANN, python(code, folder), HubLimits(memory=128 << 20, cpus=0.5))
    assert "out of memory" in (await started.process.ended()).words
    await servers.end(started, 0)


async def test_a_limit_that_cannot_be_kept_is_said(folder: Path) -> None:
    servers = hub(folder)
    servers._given = GroupsGiven(why="There are none", do="Mount them")
    for limits, name in ((HubLimits(memory=1 << 30), "mem_limit"), (HubLimits(cpus=1.0), "cpu_limit")):
        with pytest.raises(LaunchError, match=rf"c\.Spawner\.{name} cannot be kept.*There are none"):
            await servers.start(ANN, pause(folder), limits)
    assert not (folder / "servers").exists()


async def test_a_program_that_is_not_there_leaves_nothing(folder: Path) -> None:
    with pytest.raises(LaunchError, match="no program"):
        await hub(folder).start(ANN, ServerStart(("/no/such",), folder, {}), HubLimits())
    assert [*(folder / "servers").iterdir()] == []
    assert not [each for parent in FOUND.parents for each in Path(parent.folder).glob(f"moorage-{ANN}")]
