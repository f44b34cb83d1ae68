"""Visitors of ``moorage temp`` that take what they can get: memory, processes. Their neighbours go on."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.test_temp_run import TOY, running
from command import DEADLINE, Command, typed_in, until
from moorage.plan.walls import Share
from moorage.process import control_groups, procfs
from moorage.process.walls.probe import given
from real.test_temp import open_notebook
from real.test_temp_template import Visitor, keepers
from real.test_temp_walls import terminal, two

FOUND = asyncio.run(control_groups.given(Share()))
WHY = given().why or FOUND.why
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux" or bool(WHY), reason=f"visitors cannot be bounded: {WHY}"),
]


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with typed_in(tmp_path) as made:
        yield made
        shutil.rmtree(made.runtime / "state", ignore_errors=True)


def groups(command: Command) -> dict[str, list[Path]]:
    """Return the folders of control groups by server."""
    records = (command.runtime / "state" / "servers").glob("*/record.json")
    return {path.parent.name: [*map(Path, json.loads(path.read_text())["groups"])] for path in records}


def gone(folders: list[Path]) -> bool:
    return not any(folder.exists() for folder in folders)


@pytest.mark.slow
def test_a_memory_bomb_ends_itself_alone(command: Command) -> None:
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    with running(command, "--memory", "400M", "--cpus", "1.5") as temp:
        assert "each has 400 MiB of memory, its files among it; a fair share of the processors" in temp.said()
        assert "Each may take 200 MiB of files" in temp.said()
        ann, ben = two(temp)
        folders = groups(command)
        with open_notebook(ann) as hers, open_notebook(ben) as his, terminal(ann) as shell:
            assert his.run("x = 42; print(x)") == "42"
            bomb = "x = b'1' * (1 << 30)"
            hers.send("execute_request", code=bomb, silent=False, store_history=False, allow_stdin=False)
            told = hers.until(lambda each: "restart" in str(each["content"].get("execution_state")))
            assert told["msg_type"] == "status"
            assert shell.run(f'{sys.executable} -c "{bomb}"; echo $?') in {"Killed\n137", "137"}
            hers.hear()
            assert hers.run("print(6 * 7)") == "42"
            assert his.run("print(x)") == "42"
            kills = [
                sum(procfs.oom_kills(str(folder / name)) for folder in folders[server] for name in COUNTS)
                for server in (ann.base.rpartition("/")[2], ben.base.rpartition("/")[2])
            ]
            assert kills == [2, 0]
        assert "has ended" not in temp.said()
    assert gone([folder for each in folders.values() for folder in each])


COUNTS = ("memory.oom_control", "memory.events")


def test_all_of_a_server_is_in_its_groups_before_it_runs(command: Command) -> None:
    with running(command, "--command", TOY, "--processes", "40") as temp:
        Visitor(temp).server()
        ((server, folders),) = groups(command).items()
        assert len(folders) == len(FOUND.parents)
        ((_, record),) = keepers(command).values()
        family = {str(pid) for pid in procfs.family(record["charge"]["pid"])}
        assert len(family) == 2  # with process 1
        for folder in folders:
            assert folder.name == f"moorage-{server}"
            assert {*(folder / "cgroup.procs").read_text().split()} == family
            for file in folder.glob("pids.max"):
                assert file.read_text() == "40\n"


def test_groups_go_with_the_server_whatever_is_killed(command: Command) -> None:
    with running(command, "--command", TOY) as temp:
        paths = [Visitor(temp).server() for _ in range(3)]
        kept, orphaned, ended = (path.split("/")[2] for path in paths)
        folders = groups(command)
        assert len(folders) == 3
        kill_keeper(command, ended)  # the service is there
        assert until(lambda: gone(folders[ended]), DEADLINE)
        temp.process.kill()
        temp.process.wait()
        kill_keeper(command, orphaned)
        assert not gone(folders[orphaned])  # nothing is there that would remove them
    with running(command, "--command", TOY):
        assert until(lambda: gone(folders[orphaned]), DEADLINE)
        assert all(folder.exists() for folder in folders[kept])
    assert gone(folders[kept])


def kill_keeper(command: Command, server: str) -> None:
    (record,) = [record for name, (_, record) in keepers(command).items() if server in str(name)]
    os.kill(record["keeper"]["pid"], signal.SIGKILL)


def test_no_group_of_another_program_is_removed(command: Command) -> None:
    name = f"moorage-test-{os.getpid()}"
    parents = FOUND.parents
    with running(command, "--command", TOY) as temp:
        Visitor(temp).server()
        temp.process.kill()
        temp.process.wait()
    control_groups.make(parents, name, Share())
    others = [control_groups.folder_of(parent, name) for parent in parents]
    try:
        (path,) = (command.runtime / "state" / "servers").glob("*/record.json")
        record = json.loads(path.read_text())
        own = [*map(Path, record["groups"])]
        path.write_text(json.dumps(record | {"groups": [*record["groups"], *others]}))
        with running(command, "--command", TOY):
            pass
        assert gone(own)
        assert all(Path(folder).exists() for folder in others)
    finally:
        assert asyncio.run(control_groups.remove(others)) == []


def test_what_cannot_be_kept_is_refused(command: Command) -> None:
    state = command.runtime / "s"
    done = command("temp", "--port", "0", "--state", state, "--no-walls", "--memory", "1G", code=2)
    assert "--memory cannot be kept for visitors (E-USAGE)" in done.stderr
    assert "A server goes into its group as it goes behind walls" in done.stderr
    done = command("temp", "--port", "0", "--state", state, "--memory", "300M", "--disk", "200M", code=2)
    assert "--disk 200M cannot be with --memory 300M" in done.stderr
    assert not state.exists()
