"""Servers of ``moorage temp`` that are forked: what they are, and what may happen to their template."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cli.test_temp_run import Temp, running
from command import DEADLINE, Command, typed_in, until
from moorage.process import procfs
from real.test_temp import Visit, open_notebook

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="servers are forked on Linux alone"),
]
pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
FILES = Path(__file__).parent / "files"
READY = r"Servers are forked from template (\d+)"


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with typed_in(tmp_path) as made:
        yield made
        shutil.rmtree(made.runtime / "state", ignore_errors=True)


class Visitor(Temp):
    """A browser of its own at a service that runs."""

    def __init__(self, temp: Temp) -> None:
        self.process, self.log, self.port, self.cookies = temp.process, temp.log, temp.port, {}


def template_of(temp: Temp) -> int:
    """The template that became ready last."""
    assert until(lambda: re.search(READY, temp.said()), DEADLINE), temp.said()
    return int(re.findall(READY, temp.said())[-1])


def keepers(command: Command) -> dict[str, tuple[str, dict[str, Any]]]:
    """By server, the command line of its keeper, and the record."""
    found = {}
    for folder in (command.runtime / "state" / "kept").iterdir():
        record = json.loads((folder / "record.json").read_text())
        found[folder.name] = (Path(f"/proc/{record['keeper']['pid']}/cmdline").read_text(), record)
    return found


def forked(command: Command) -> dict[str, bool]:
    return {name: "moorage.keeper.process.main" in words for name, (words, _) in keepers(command).items()}


def works(visit: Visit) -> None:
    with open_notebook(visit) as notebook:
        assert notebook.run("print(6 * 7)") == "42"


def crowd(temp: Temp, count: int) -> list[Visit]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: Visit(Visitor(temp)), range(count)))


def gone(command: Command) -> bool:
    return until(lambda: not any(each.startswith("process") for each in command.left()), DEADLINE)


@pytest.mark.parametrize("server", ["lab", "notebook", "server"])
def test_every_server_of_jupyters_is_forked_and_runs_a_cell(command: Command, server: str) -> None:
    module = {"lab": "jupyterlab", "notebook": "notebook", "server": "jupyter_server"}[server]
    pytest.importorskip(module, reason=f"{module} is not installed")
    with running(command, "--server", server) as temp:
        visit = Visit(temp)
        assert list(forked(command).values()) == [True], temp.said()
        works(visit)
        page = {"lab": "/lab", "notebook": "/tree", "server": "/api"}[server]
        status, _, text = temp.ask("GET", visit.base + page)
        assert (
            status,
            {"lab": "JupyterLab", "notebook": "Jupyter", "server": "version"}[server] in text,
        ) == (
            200,
            True,
        )
        assert "is spawned" not in temp.said()
    assert gone(command), command.left()


def test_what_is_no_server_of_jupyters_is_spawned(command: Command) -> None:
    from cli.test_temp_run import TOY

    with running(command, "--command", TOY) as temp:
        temp.server()
        assert list(forked(command).values()) == [False]
        assert "template" not in temp.said()
        assert "spawned" not in temp.said()


def test_a_forked_server_is_like_a_spawned_one(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "configuration"
    folder.mkdir()
    shutil.copy(FILES / "server_mirror.py", folder / "jupyter_server_config.py")
    options = ["--env", f"JUPYTER_CONFIG_PATH={folder}", "--env", "TZ=Asia/Tokyo"]
    seen = []
    for more in (["--no-fork"], []):
        with running(command, *options, *more) as temp:
            for _ in range(2):
                visit = Visit(Visitor(temp))
                seen.append(visit.ask("GET", "/api/contents/mirror.json?type=file"))
            assert set(forked(command).values()) == {not more}
    spawned, _, first, second = (json.loads(each["content"]) for each in seen)
    for name, value in spawned["alike"].items():
        assert first["alike"][name] == value, name
        assert second["alike"][name] == value, name
    for name, value in first["different"].items():
        assert second["different"][name] != value, name


@pytest.mark.drill
def test_twenty_at_once_are_forked_and_each_is_its_own(command: Command) -> None:
    with running(command, "--capacity", "20") as temp:
        template_of(temp)
        visits = crowd(temp, 20)
        assert len({visit.base for visit in visits}) == 20
        assert set(forked(command).values()) == {True}, temp.said()
        secrets = set()
        for name, (_, record) in keepers(command).items():
            home = Path(f"/proc/{record['charge']['pid']}/root{command.runtime}/state/servers/{name}/home")
            secrets.add((home / ".local/share/jupyter/runtime/jupyter_cookie_secret").read_bytes())
        assert len(secrets) == 20
        works(visits[0])
        works(visits[-1])
    assert gone(command), command.left()


def test_the_kernels_of_a_forked_server_are_forked_and_have_no_history(command: Command) -> None:
    with running(command) as temp:
        visit = Visit(temp)
        code = (
            "from ipykernel.kernelapp import IPKernelApp\n"
            "print(IPKernelApp.instance().transport, get_ipython().history_manager.enabled)"
        )
        with open_notebook(visit) as first, open_notebook(visit) as second:
            assert {each.run(code) for each in (first, second)} == {"ipc False"}
            argv = "print(b'moorage_template' in open('/proc/%d/cmdline' % os.getppid(), 'rb').read())"
            assert second.run(f"import os; {argv}") in {"True", "False"}
            assert "moorage_template" in str(command.left())
        assert list(forked(command).values()) == [True]
        assert "history.sqlite" not in [path.name for path in (command.runtime / "state").rglob("*")]


def test_a_killed_template_is_replaced_and_costs_no_visitor_anything(command: Command) -> None:
    with running(command) as temp:
        first = template_of(temp)
        before = Visit(Visitor(temp))
        os.kill(first, signal.SIGKILL)
        assert until(lambda: f"template {first} any more" in temp.said(), DEADLINE), temp.said()
        meanwhile = Visit(Visitor(temp))
        assert "is spawned: its template is made anew" in temp.said()
        assert until(lambda: template_of(temp) != first, DEADLINE)
        after = Visit(Visitor(temp))
        states = forked(command)
        assert [states[each.base.split("/")[2]] for each in (before, meanwhile, after)] == [True, False, True]
        for each in (before, meanwhile, after):
            works(each)
    assert gone(command), command.left()


@pytest.mark.parametrize("signum", [pytest.param(signal.SIGKILL, marks=pytest.mark.drill), signal.SIGSTOP])
def test_visitors_that_wait_for_a_template_that_ends_or_is_stopped_get_servers(
    command: Command, signum: signal.Signals
) -> None:
    with running(command) as temp:
        first = template_of(temp)
        os.kill(first, signal.SIGSTOP)
        with ThreadPoolExecutor(5) as pool:
            asked = [pool.submit(lambda: Visit(Visitor(temp))) for _ in range(5)]
            assert until(lambda: temp.said().count(" starts (") == 5, DEADLINE)
            if signum == signal.SIGKILL:
                os.kill(first, signum)
            visits = [each.result() for each in asked]
        assert len({visit.base for visit in visits}) == 5
        assert not procfs.look(first)
        if signum == signal.SIGSTOP:
            assert "it forked nothing in 10 s" in temp.said()
        works(visits[0])
    assert gone(command), command.left()


def test_a_template_that_cannot_import_says_why_and_servers_are_spawned(
    command: Command, tmp_path: Path
) -> None:
    switches = tmp_path / "configuration" / "jupyter_server_config.d"
    switches.mkdir(parents=True)
    (switches / "broken.json").write_text(
        '{"ServerApp": {"jpserver_extensions": {"no_such_extension": true}}}'
    )
    with running(command, "--env", f"JUPYTER_CONFIG_PATH={switches.parent}") as temp:
        visits = crowd(temp, 2)
        why = "no_such_extension cannot be imported: ModuleNotFoundError: No module named 'no_such_extension'"
        assert re.search(rf"No server is forked from template \d+ any more: {why}", temp.said()), temp.said()
        assert temp.said().count(f"is spawned: {why}") == 2
        assert set(forked(command).values()) == {False}
        works(visits[0])
    assert gone(command), command.left()


def test_an_extension_that_is_switched_on_later_makes_a_new_template(
    command: Command, tmp_path: Path
) -> None:
    switches = tmp_path / "configuration" / "jupyter_server_config.d"
    switches.mkdir(parents=True)
    with running(command, "--env", f"JUPYTER_CONFIG_PATH={switches.parent}") as temp:
        first = template_of(temp)
        (switches / "more.json").write_text('{"ServerApp": {"jpserver_extensions": {"jupyter_lsp": false}}}')
        Visit(Visitor(temp))
        assert f"from template {first} any more: what is installed has changed" in temp.said()
        assert until(lambda: template_of(temp) != first, DEADLINE)
        after = Visit(Visitor(temp))
        assert forked(command)[after.base.split("/")[2]]
        assert temp.ask("GET", after.base + "/lsp/status")[0] == 404


def test_forked_servers_outlive_a_killed_service_and_the_next_one_adopts_them(command: Command) -> None:
    with running(command) as temp:
        first = template_of(temp)
        visit = Visit(temp)
        with open_notebook(visit) as notebook:
            assert notebook.run("print(41 + 1)") == "42"
        other = Visit(Visitor(temp))
        temp.process.kill()
        temp.process.wait()
        assert until(lambda: not procfs.look(first), DEADLINE), "the template ends with the service"
    with running(command) as again:
        for each in (visit, other):
            again.cookies = each.temp.cookies
            assert again.ask("GET", "/")[1] == each.landing
            each.temp, own = again, dict(again.cookies)
            works(each)
            again.cookies = own
        assert set(forked(command).values()) == {True}
    assert gone(command), command.left()


def test_a_killed_keeper_takes_its_forked_server_along(command: Command) -> None:
    with running(command) as temp:
        Visit(temp)
        ((_, record),) = keepers(command).values()
        os.kill(record["keeper"]["pid"], signal.SIGKILL)
        assert until(lambda: "has ended" in temp.said(), DEADLINE)
        assert until(lambda: not procfs.look(record["charge"]["pid"]), DEADLINE)
        works(Visit(Visitor(temp)))
    assert gone(command), command.left()
