"""Visitors of ``moorage temp`` that take what they can get: memory, processes. Their neighbours go on."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.test_temp_run import TOY, running
from command import DEADLINE, Command, typed_in, until
from moorage.plan.walls import Share
from moorage.process import control_groups, procfs
from moorage.process.walls.probe import given
from real.test_temp import Chromium, Visit, chromium, open_notebook
from real.test_temp_template import Visitor, keepers
from real.test_temp_walls import terminal, two

__all__ = ["chromium"]
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
            told = [json.loads(each.temp.ask("GET", f"/time-left?{servers(each)}")[2]) for each in (ann, ben)]
            assert [each["memory"]["kills"] for each in told] == [2, 0]
            assert "has ended 2 processes that held most so far." in ann.temp.ask("GET", "/server")[2]
            assert "used up" not in ben.temp.ask("GET", "/server")[2]
        assert "has ended" not in temp.said()
    assert gone([folder for each in folders.values() for folder in each])


def servers(visit: Visit) -> str:
    return f"server={visit.base.rpartition('/')[2]}"


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


OFFERS = f"""
[temp.offers.small]
command = "{TOY}"
memory = "300M"
disk = "100M"
cpus = 0.5
[temp.offers.other]
command = "{TOY}"
"""


def status(command: Command) -> dict[str, Any]:
    done = command("temp", "status", "--state", command.runtime / "state", "--json", code=0)
    return {each["offer"]: each for each in json.loads(done.stdout)["servers"]}


def test_offers_have_limits_of_their_own_and_what_is_taken_is_shown(command: Command) -> None:
    (command.cwd / "moorage.toml").write_text(OFFERS)
    with running(command, "--memory", "1G", "--processes", "64") as temp:
        assert (
            "Each visitor of small may take 300 MiB of memory, 100 MiB of files among it, "
            "64 processes and threads, 0.5 processors at most"
        ) in temp.said()
        small, other = Visitor(temp), Visitor(temp)
        paths = {name: each.server(name) for name, each in (("small", small), ("other", other))}
        assert json.loads(small.ask("GET", f"{paths['small']}bomb")[2])["path"].endswith("?-9")
        found = status(command)
        assert found["small"]["limits"] == {
            "memory": 300 << 20, "disk": 100 << 20, "cpus": 0.5, "processes": 64,
        }  # fmt: skip
        assert found["other"]["limits"] == {
            "memory": 1 << 30, "disk": 512 << 20, "cpus": None, "processes": 64,
        }  # fmt: skip
        assert [found[name]["used"]["kills"] for name in ("small", "other")] == [1, 0]
        for each in found.values():
            assert 1 << 20 < each["used"]["memory"] < each["limits"]["memory"]
            assert 2 <= each["used"]["processes"] <= 64
        folders = {name: groups(command)[found[name]["id"]] for name in found}
        limit = {name: _first(each, "memory.limit_in_bytes", "memory.max") for name, each in folders.items()}
        assert limit == {"small": f"{300 << 20}\n", "other": f"{1 << 30}\n"}
        shown = command("temp", "status", "--state", command.runtime / "state", code=0).stdout
        assert "/300 MiB" in shown
        assert "KILLED" in shown
        (command.cwd / "moorage.toml").write_text(OFFERS.replace("300M", "200M"))
        temp.process.send_signal(signal.SIGHUP)
        assert until(lambda: "memory = '200M' cannot be" in temp.said(), DEADLINE)
        assert "Visitors get what they got before" in temp.said()


def _first(folders: list[Path], *names: str) -> str:
    return next(path.read_text() for folder in folders for name in names if (path := folder / name).exists())


def test_a_visitor_is_told_that_its_server_had_used_up_its_memory(command: Command) -> None:
    with running(command, "--command", TOY, "--memory", "256M", "--disk", "8M") as temp:
        visitor = Visitor(temp)
        path = visitor.server()
        visitor.ask("GET", f"{path}hog")
        why = "Your last server has ended: it had used up the 256 MiB of memory that each visitor may have."
        assert until(lambda: why in visitor.ask("GET", path)[2], DEADLINE), temp.said()
        server = path.split("/")[2]
        told = json.loads(visitor.ask("GET", f"/time-left?server={server}")[2])
        assert "256 MiB" in told["ended"]
        assert told["memory"] is None


@pytest.mark.slow
def test_jupyterlab_tells_that_the_memory_was_used_up(command: Command, chromium: Chromium) -> None:
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    with running(command, "--memory", "500M") as temp:
        page = chromium.new_context().new_page()
        page.goto(f"http://127.0.0.1:{temp.port}")
        page.click("button")
        page.wait_for_url("**/user/*/lab**")
        page.wait_for_selector("#moorage-notice", state="attached")
        ((server, folders),) = groups(command).items()
        bomb = "b'1' * (1 << 30)"
        line = f"for f in {' '.join(f'{each}/cgroup.procs' for each in folders)}; do echo 0 > $f; done;"
        code = subprocess.run(
            ["/bin/sh", "-c", f'{line} exec {sys.executable} -c "{bomb}"'], check=False
        ).returncode
        assert code == -signal.SIGKILL
        page.wait_for_selector("#moorage-notice:has-text('500 MiB of memory were used up')", state="visible")
        assert page.locator("#moorage-notice >> text=Download your files").is_hidden()
        page.click("#moorage-notice >> text=Hide")
        page.wait_for_selector("#moorage-notice", state="hidden")
        page.reload()
        with page.expect_response(f"**/time-left?server={server}"):
            pass
        assert page.locator("#moorage-notice").is_hidden()
        chromium.end()


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
