"""What is behind walls is reached without following a link."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from moorage.errors import LaunchError
from moorage.plan.targets import parse_target

if sys.platform == "linux":
    from moorage.temp.reached import opened_inside, socket_inside

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="walls need Linux")]


def listening(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


async def test_a_socket_is_waited_for_and_held(tmp_path: Path) -> None:
    async def later() -> socket.socket:
        await asyncio.sleep(0.05)
        return listening(tmp_path / "s")

    making = asyncio.ensure_future(later())
    with socket_inside(tmp_path / "s") as inside:
        target = parse_target(inside.target)
        await inside.find(os.getpid())
        listener = await making
        (tmp_path / "s").unlink()
        (tmp_path / "s").symlink_to("/run/other.sock")  # what a visitor may do later
        _, writer = await asyncio.open_unix_connection(target.socket)
        served, _ = listener.accept()
        served.close()
        writer.close()
        listener.close()
    assert not Path(target.socket).exists()


async def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    with listening(tmp_path / "admin"):
        (tmp_path / "s").symlink_to(tmp_path / "admin")
        with pytest.raises(LaunchError, match="no socket"), socket_inside(tmp_path / "s") as inside:
            await inside.find(os.getpid())


async def test_a_process_that_has_ended_has_none(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    with pytest.raises(LaunchError, match="cannot be reached"), socket_inside(tmp_path / "s") as inside:
        await inside.find(process.pid)
    with pytest.raises(LaunchError, match="cannot be reached"), socket_inside(tmp_path / "s") as inside:
        inside.remove(process.pid)


async def test_another_one_in_its_place_is_found_by_the_same_address(tmp_path: Path) -> None:
    with socket_inside(tmp_path / "s") as inside:
        target = parse_target(inside.target)
        before = len([*Path("/proc/self/fd").iterdir()])
        for _ in range(3):
            with listening(tmp_path / "s") as listener:
                await inside.find(os.getpid())
                assert parse_target(inside.target) == target
                _, writer = await asyncio.open_unix_connection(target.socket)
                served, _ = listener.accept()
                served.close()
                writer.close()
            inside.remove(os.getpid())
            assert not (tmp_path / "s").exists()
        await asyncio.sleep(0)
        assert len([*Path("/proc/self/fd").iterdir()]) <= before + 1
    inside.remove(os.getpid())  # it is not there


async def test_what_a_visitor_puts_in_its_place_is_not_removed_by_way_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "s").touch()
    (tmp_path / "link").symlink_to("other")
    with socket_inside(tmp_path / "link" / "s") as inside, pytest.raises(LaunchError, match="link"):
        inside.remove(os.getpid())
    (tmp_path / "s").mkdir()
    with socket_inside(tmp_path / "s") as inside, pytest.raises(LaunchError, match="cannot be reached"):
        inside.remove(os.getpid())
    assert (tmp_path / "other" / "s").exists()


def test_no_part_of_a_path_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real" / "work").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "last").symlink_to("work")
    found = opened_inside(os.getpid(), tmp_path / "real" / "work")
    assert stat.S_ISDIR(os.fstat(found).st_mode)
    os.close(found)
    before = len([*Path("/proc/self/fd").iterdir()])
    for path in ("link/work", "real/last", "real/nothing"):
        with pytest.raises(OSError, match=r"link|No such|Not a directory"):
            opened_inside(os.getpid(), tmp_path / path)
    assert len([*Path("/proc/self/fd").iterdir()]) == before
