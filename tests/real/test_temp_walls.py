"""What a visitor of ``moorage temp`` finds from a terminal in JupyterLab: itself, and nothing of others."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.test_temp_run import Temp, running
from command import DEADLINE, Command, typed_in, until
from moorage.process.walls.probe import given
from ordinary import ordinary_user
from real.test_temp import Visit, open_notebook
from real.test_temp_template import Visitor, keepers

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux" or bool(given().why), reason=f"no walls: {given().why}"),
]
pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with typed_in(tmp_path) as made:
        yield made
        shutil.rmtree(made.runtime / "state", ignore_errors=True)


class Terminal:
    """A terminal of a visitor's server, by its websocket."""

    def __init__(self, visit: Visit) -> None:
        websocket = pytest.importorskip("websocket")
        name = visit.ask("POST", "/api/terminals")["name"]
        url = f"ws://127.0.0.1:{visit.temp.port}{visit.base}/terminals/websocket/{name}"
        origin = f"http://127.0.0.1:{visit.temp.port}"
        self._socket = websocket.create_connection(
            url, socket=visit.connect(), header=visit.headers, origin=origin, timeout=DEADLINE
        )
        self._count = 0
        self.run("stty -echo; PS1=; bind 'set enable-bracketed-paste off'")

    def send(self, line: str) -> None:
        """Type a line."""
        self._socket.send(json.dumps(["stdin", f"{line}\r"]))

    def run(self, line: str) -> str:
        """Type a line, and return what it wrote."""
        self._count += 1
        end = f"end-{self._count}"
        self.send(f"{line}; echo {end[:3]}''{end[3:]}")
        said = ""
        while end not in said:
            kind, *rest = json.loads(self._socket.recv())
            said += rest[0] if kind == "stdout" else ""
        plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x07]*\x07|\r", "", said[: said.index(end)])
        return plain.strip()

    def close(self) -> None:
        self._socket.close()


@contextmanager
def terminal(visit: Visit) -> Iterator[Terminal]:
    made = Terminal(visit)
    try:
        yield made
    finally:
        made.close()


def two(temp: Temp) -> tuple[Visit, Visit]:
    return Visit(Visitor(temp)), Visit(Visitor(temp))


def test_others_and_the_machine_are_not_there(command: Command, tmp_path: Path) -> None:
    (tmp_path / "content").mkdir()
    (tmp_path / "content" / "a.txt").write_text("for all")
    with (
        running(command, "--content", tmp_path / "content") as temp,
        socket.create_server(("127.0.0.1", 0)) as own,
    ):
        ann, ben = two(temp)
        with terminal(ann) as hers, open_notebook(ben) as his:
            assert his.run("open('secret.txt', 'w').write('his'); print('written')") == "written"
            assert hers.run("id -un") == "visitor"
            assert hers.run("cat a.txt") == "for all"
            processes = hers.run("ls /proc | grep -c '^[0-9]'")
            assert int(processes) < 12
            words = hers.run("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' ' '")
            assert ann.base.rpartition("/")[2] in words
            assert ben.base.rpartition("/")[2] not in words
            state = command.runtime / "state"
            assert hers.run(f"ls {state}") == "servers"
            assert hers.run(f"ls {state}/servers") == ann.base.rpartition("/")[2]
            assert hers.run("find / -name secret.txt -not -path '/proc/*' 2>/dev/null | wc -l") == "0"
            assert hers.run("find / -type s -not -path '/proc/*' 2>/dev/null | grep -vc servers") == "0"
            assert "Connection refused" in hers.run(
                f'python3 -c "{CONNECT % ("127.0.0.1", own.getsockname()[1])}"'
            )
            assert "unreachable" in hers.run(f'python3 -c "{CONNECT % ("192.0.2.1", 80)}"')
            assert "Read-only" in hers.run("touch /usr/x; touch /etc/x").replace(
                "Permission denied", "Read-only"
            )
            assert "denied" in hers.run("cat /etc/shadow; echo denied")
            assert "No such file" in hers.run(f"ls {command.runtime}/../../home /home /run")
            assert hers.run("grep -c . /proc/net/unix").isdecimal()
            assert "0000000000000000" in hers.run("grep CapEff /proc/self/status")
            assert "Operation not permitted" in hers.run("unshare -Urm true")
            assert hers.run("tty").startswith("/dev/pts/")
            assert his.run("print(open('secret.txt').read())") == "his"
        if os.geteuid() == 0:
            tended = [record["charge"]["pid"] for _, record in keepers(command).values()]
            assert len({Path(f"/proc/{pid}").stat().st_uid for pid in tended} | {0}) == 3


CONNECT = "import socket; socket.create_connection(('%s', %d), 5)"


def test_kernels_start_are_forked_and_restart(command: Command) -> None:
    with running(command) as temp:
        visit = Visit(temp)
        with open_notebook(visit) as first, open_notebook(visit) as second:
            parents = [each.run("import os; print(os.getppid())") for each in (first, second)]
            assert parents[0] == parents[1]
            assert first.run("import os; print(os.popen('id -un').read())") == "visitor"
            kernel = visit.ask("GET", "/api/kernels")[0]["id"]
            assert visit.ask("POST", f"/api/kernels/{kernel}/restart")["id"] == kernel


@pytest.mark.parametrize("victim", ["keeper", "tended", "service"])
def test_a_kill_leaves_nothing_behind(command: Command, victim: str) -> None:
    mounts = Path("/proc/self/mountinfo").read_text().count("\n")
    with running(command) as temp:
        visit = Visit(temp)
        with terminal(visit) as shell:
            assert shell.run("setsid sleep 1000 & echo started").endswith("started")
            ((_, record),) = keepers(command).values()
            pids = {"keeper": record["keeper"]["pid"], "tended": record["charge"]["pid"]}
            if victim == "service":
                temp.process.kill()
                temp.process.wait()
            else:
                os.kill(pids[victim], signal.SIGKILL)
                assert until(lambda: "has ended" in temp.said(), DEADLINE)
                assert until(lambda: not Path(f"/proc/{pids['tended']}").exists(), DEADLINE)
    if victim == "service":
        with running(command) as again:
            again.cookies = temp.cookies
            visit.temp = again
            with terminal(visit) as shell:
                assert shell.run("pgrep -c sleep") == "1"
    assert until(lambda: not any(each.startswith("process") for each in command.left()), DEADLINE), (
        command.left()
    )
    assert Path("/proc/self/mountinfo").read_text().count("\n") == mounts


def test_servers_without_walls_are_not_taken_over_for_visitors_of_other_machines(command: Command) -> None:
    with running(command, "--no-walls") as temp:
        Visit(temp)
        assert "No walls between visitors: they are switched off" in temp.said()
        temp.process.kill()
        temp.process.wait()
    with running(command, "--name", "course.example.org") as again:
        again.cookies = temp.cookies
        assert again.ask("GET", "/")[0] == 200
        assert "it was started without walls" in again.said()
    assert until(lambda: not any(each.startswith("process") for each in command.left()), DEADLINE), (
        command.left()
    )


@pytest.mark.parametrize("words", [["--host", "0.0.0.0"], ["--name", "course.example.org"]])
def test_visitors_of_other_machines_are_refused_without_walls(command: Command, words: list[str]) -> None:
    done = command("temp", "--port", "0", "--state", command.runtime / "s", "--no-walls", *words, code=2)
    assert "no visitors of other machines are let in without walls between them (E-USAGE)" in done.stderr
    assert "--i-accept-no-isolation" in done.stderr
    assert not (command.runtime / "s").exists()


def test_an_ordinary_user_has_walls_too() -> None:
    if os.geteuid() != 0:
        pytest.skip("all tests here run as one")
    with ordinary_user() as user:
        user.equip()
        toy = Path(__file__).parents[1] / "temp" / "toy.py"
        shutil.copy(toy, user.home / "toy.py")
        line = f"{user.python} {user.home}/toy.py {{socket}} {{base_path}}"
        words = ("temp", "--port", "0", "--state", user.home / "s", "--command", line)
        process = user.start(user.python, "-m", "moorage", *words, stderr=subprocess.STDOUT)
        try:
            assert process.stdout is not None
            said = ""
            while "Open http" not in said:
                more = process.stdout.readline().decode()
                assert more, said
                said += more
            assert "Walls between visitors: files, processes, network, no privileges, system calls" in said
            port = int(re.findall(r":(\d+)/", said)[-1])
            temp = Temp.__new__(Temp)
            temp.process, temp.port, temp.cookies = process, port, {}  # type: ignore[assignment]  # its log is a pipe
            told: Any = json.loads(temp.ask("GET", temp.server())[2])
            assert told["pid"] == 2
            assert told["env"]["HOME"].startswith(str(user.home / "s"))
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=DEADLINE)
