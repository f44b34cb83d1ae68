"""``moorage temp --sleep`` with JupyterLab: over HTTP and websockets, and in a browser."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import signal
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cli.test_temp_run import Temp, running
from command import DEADLINE, Command, until
from moorage.process import procfs
from moorage.process.walls.probe import given
from real.test_temp import Chromium, Open, Visit, chromium, command, content, open_notebook, run_first_cell
from real.test_temp_template import Visitor
from real.test_temp_walls import terminal

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="servers are forked on Linux alone"),
]
pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
__all__ = ["chromium", "command", "content"]  # fixtures
WALLS = ("--sleep", "3")
NO_WALLS = ("--no-walls", *WALLS)
SLEEP = NO_WALLS if given().why else WALLS
"""As visitors have it, where there can be walls; what differs without them is tried without them, too."""
either = pytest.mark.parametrize(
    "words",
    [
        pytest.param(WALLS, marks=pytest.mark.skipif(bool(given().why), reason=f"no walls: {given().why}")),
        NO_WALLS,
    ],
    ids=["walls", "no walls"],
)


def asleep(temp: Temp) -> bool:
    """Whether the one server falls asleep; a busy machine may have had it sleep and wake before."""
    return until(lambda: temp.said().count(" is asleep") == awake(temp) + 1, DEADLINE)


def awake(temp: Temp) -> int:
    """How often it was woken."""
    return temp.said().count(" is awake after ")


def servers(command: Command) -> list[dict[str, Any]]:
    """Return what the keepers of all servers have written down."""
    found = (command.runtime / "state" / "kept").glob("*/record.json")
    return [json.loads(path.read_text()) for path in found]


def family(command: Command) -> list[int]:
    """Return all processes of the one server, its keeper's among them."""
    (record,) = servers(command)
    return [*procfs.family(record["keeper"]["pid"])]


def jupyter(command: Command) -> list[int]:
    """Return the processes of the server that are JupyterLab."""
    return [pid for pid in family(command) if b"jupyterlab" in procfs.read(f"/proc/{pid}/cmdline")]


def seen_as(command: Command, inside: str) -> int:
    """Return the process that has some id within the walls of the server."""
    for pid in family(command):
        ids = re.search(r"NSpid:\s+(.*)", Path(f"/proc/{pid}/status").read_text())
        if ids is not None and ids[1].split()[-1] == inside:
            return pid
    raise AssertionError(inside)


def lives(pid: int) -> bool:
    row = procfs.look(pid)
    return row is not None and not row.dead


def descriptors(pid: int) -> int:
    return len([*Path(f"/proc/{pid}/fd").iterdir()])


def stats(command: Command) -> Any:
    return json.loads(command("temp", "status", "--json", "--state", command.runtime / "state").stdout)


@either
def test_a_variable_outlives_the_server_and_many_requests_wake_it_once(
    command: Command, content: Path, words: tuple[str, ...]
) -> None:
    with running(command, "--content", content, *words) as temp:
        visit = Visit(temp)
        with open_notebook(visit) as notebook:
            kernel = seen_as(command, notebook.run("import os; x = 41; print(os.getpid())"))
            open_before = {pid: descriptors(pid) for pid in family(command)}
            for times in (1, 2):
                assert asleep(temp)
                woken = awake(temp)
                (record,) = servers(command)
                assert (record["state"], record["pid"]) == ("asleep", None)
                assert lives(kernel)
                assert jupyter(command) == []
                told = stats(command)
                assert (told["servers"][0]["state"], told["stats"]["servers"]["asleep"]) == ("asleep", 1)
                assert told["servers"][0]["memory"] > 0
                # What a page asks for by itself is answered, and wakes nothing.
                assert [each["id"] for each in visit.ask("GET", "/api/kernels?1")]
                assert temp.ask("GET", f"{visit.base}/api/contents?content=1&hash=0&1")[0] == 503
                assert awake(temp) == woken
                assert notebook.run(f"print(x + {times})") == str(41 + times)
                assert awake(temp) == woken + 1
            assert asleep(temp)
            woken = awake(temp)
            with ThreadPoolExecutor(20) as pool:
                asked = [pool.submit(temp.ask, "GET", f"{visit.base}/api/status?{n}") for n in range(20)]
                assert {each.result()[0] for each in asked} == {200}
            assert awake(temp) == woken + 1
            assert notebook.run("print(x)") == "41"
            lasting = {pid: descriptors(pid) for pid in family(command) if pid in open_before}
            assert all(lasting[pid] <= open_before[pid] + 2 for pid in lasting if pid != kernel)


def downloaded(temp: Temp) -> set[str]:
    """Return the names of a visitor's files, as its download has them."""
    connection = http.client.HTTPConnection("127.0.0.1", temp.port, timeout=DEADLINE)
    cookies = "; ".join(f"{name}={value}" for name, value in temp.cookies.items())
    connection.request("GET", "/download", headers={"Cookie": cookies})
    with zipfile.ZipFile(io.BytesIO(connection.getresponse().read())) as archive:
        found = {*archive.namelist()}
    connection.close()
    return found


def test_files_are_downloaded_of_a_server_that_is_asleep(command: Command, content: Path) -> None:
    with running(command, "--content", content, *SLEEP) as temp:
        Visit(temp)
        assert asleep(temp)
        woken = awake(temp)
        assert "index.ipynb" in downloaded(temp)
        assert awake(temp) == woken


def test_terminals_and_busy_kernels_keep_it_awake(command: Command, content: Path) -> None:
    with running(command, "--content", content, *SLEEP) as temp:
        visit = Visit(temp)
        terminal = visit.ask("POST", "/api/terminals")["name"]
        with open_notebook(visit) as notebook:
            woken = awake(temp)
            assert notebook.run("import time; time.sleep(12); print('done')") == "done"
            assert awake(temp) == woken
            assert temp.said().count(" is asleep") == woken
            visit.ask("DELETE", f"/api/terminals/{terminal}")
            assert asleep(temp)


@either
def test_a_killed_service_costs_a_sleeping_visitor_nothing(
    command: Command, content: Path, words: tuple[str, ...]
) -> None:
    with running(command, "--content", content, *words) as temp:
        visit = Visit(temp)
        kernel = visit.ask("POST", "/api/kernels", {"name": "python3"})["id"]
        notebook = Open(visit, kernel)
        notebook.hear()
        assert notebook.run("x = 41; open('own.txt', 'w').write('own'); print(x)") == "41"
        assert asleep(temp)
        temp.process.kill()
        temp.process.wait()
        notebook.close()
    with running(command, "--content", content, *words) as again:
        again.cookies = temp.cookies
        assert stats(command)["servers"][0]["state"] == "asleep"
        assert {"own.txt", "index.ipynb"} <= downloaded(again)
        assert again.ask("GET", "/")[1] == visit.landing
        visit.temp = again
        notebook = Open(visit, kernel)  # a page that connects again
        try:
            assert awake(again) == 0
            assert notebook.run("print(x + 1)") == "42"
            assert awake(again) == 1
        finally:
            notebook.close()
    assert until(lambda: not any(each.startswith("process") for each in command.left())), command.left()


@pytest.mark.parametrize("victim", ["keeper", "charge"])
def test_a_kill_ends_a_sleeping_server_and_its_visitor_is_told(
    command: Command, content: Path, victim: str
) -> None:
    if victim == "charge" and given().why:
        pytest.skip(f"process 1 is behind walls, and there are none: {given().why}")
    with running(command, "--content", content, *SLEEP) as temp:
        visit = Visit(temp)
        with open_notebook(visit) as notebook:
            assert notebook.run("print(1)") == "1"
            assert asleep(temp)
            (record,) = servers(command)
            left = family(command)
            os.kill(record[victim]["pid"], signal.SIGKILL)
            why = "the keeper" if victim == "keeper" else "killed by SIGKILL"
            assert until(lambda: f"has ended: {why}" in temp.said(), DEADLINE), temp.said()
            assert until(lambda: not any(map(lives, left)), DEADLINE)
        status, _, page = temp.ask("GET", f"{visit.base}/lab")
        assert status == 404
        assert f"Your last server has ended: {why}" in page


@either
def test_what_does_not_wake_says_so_and_wakes_later(
    command: Command, content: Path, words: tuple[str, ...]
) -> None:
    with running(command, "--content", content, *words) as temp:
        visit = Visit(temp)
        kernel = visit.ask("POST", "/api/kernels", {"name": "python3"})["id"]
        notebook = Open(visit, kernel)
        notebook.hear()
        assert notebook.run("x = 41; print(x)") == "41"
        assert asleep(temp)
        notebook.close()
        (work,) = (command.runtime / "state" / "servers").glob("*/work")
        (record,) = servers(command)
        if record["tender"] is not None:
            work = Path(f"/proc/{record['tender']}/root{work}")
        work.rename(work.with_name("gone"))
        status, _, page = temp.ask("GET", f"{visit.base}/lab")
        assert status == 503
        assert "could not be woken" in page
        assert "Try again" in page
        work.with_name("gone").rename(work)
        assert temp.ask("GET", f"{visit.base}/lab")[0] == 200
        notebook = Open(visit, kernel)
        notebook.hear()
        assert notebook.run("print(x + 1)") == "42"
        notebook.close()


def test_idle_counts_on_while_it_sleeps(command: Command, content: Path) -> None:
    with running(command, "--content", content, *SLEEP, "--idle", "8") as temp:
        visit = Visit(temp)
        assert asleep(temp)
        assert until(lambda: "is ended: it was not used for 8 s" in temp.said(), DEADLINE)
        told = "Your last server has ended: it was not used for 8 s."
        assert until(lambda: told in temp.ask("GET", "/")[2], DEADLINE)
        assert visit.base
    assert until(lambda: not any(each.startswith("process") for each in command.left())), command.left()


ATTACK = """
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def asleep():
    found = b""
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                found += open(f"/proc/{name}/cmdline", "rb").read()
            except OSError:
                pass
    return b"jupyterlab" not in found
while sys.argv[1] == "asleep" and not asleep():
    time.sleep(0.1)
os.kill(1, 9)
for name in ("SIGTERM", "SIGINT", "SIGHUP"):
    os.kill(1, getattr(__import__("signal"), name))
if sys.argv[2] == "memory":
    with open("/proc/1/maps") as file:
        where = [line.split() for line in file if " rw-p " in line]
    with open("/proc/1/mem", "r+b", buffering=0) as memory:
        for line in where:
            begin, end = (int(part, 16) for part in line[0].split("-"))
            try:
                memory.seek(begin)
                memory.write(b"\\xff" * (end - begin))
            except OSError:
                pass
else:
    first = libc.syscall(434, 1, 0)  # pidfd_open
    for number in range(3, 64):
        taken = libc.syscall(438, first, number, 0)  # pidfd_getfd
        try:
            for _ in range(100000 if taken >= 0 else 0):
                os.write(taken, b"ended 1 0 0 ")
        except OSError:
            pass
open("attacked", "w").close()
"""


@pytest.mark.skipif(bool(given().why), reason=f"no walls: {given().why}")
@pytest.mark.parametrize(
    ("when", "how"),
    [("awake", "channel"), pytest.param("asleep", "channel", marks=pytest.mark.drill), ("asleep", "memory")],
)
def test_a_visitor_that_takes_over_process_1_ends_its_own_server_alone(
    command: Command, content: Path, when: str, how: str
) -> None:
    (content / "attack.py").write_text(ATTACK)
    with running(command, "--content", content, *SLEEP) as temp:
        ann, ben = Visit(Visitor(temp)), Visit(Visitor(temp))
        with open_notebook(ben) as his, open_notebook(ann) as hers:
            assert his.run("x = 41; print(x)") == "41"
            words = [sys.executable, "attack.py", when, how]
            name = ann.base.rpartition("/")[2]
            work = command.runtime / "state" / "servers" / name / "work"
            path = command.runtime / "state" / "kept" / name / "record.json"
            record = json.loads(path.read_text())
            if when == "awake":
                with terminal(ann) as shell:
                    assert "0" in shell.run("kill -9 1; echo $?")
                    shell.send(" ".join(words))
                    ended = until(lambda: f"{name} has ended" in temp.said(), DEADLINE)
            else:
                run = f"import subprocess; subprocess.Popen({words!r}); print('begun')"
                assert hers.run(run) == "begun"
                ended = until(lambda: f"Server {name} is asleep" in temp.said(), DEADLINE)
                if how == "memory":  # what has no memory any more does not wake
                    attacked = Path(f"/proc/{record['tender']}/root{work}/attacked")
                    assert until(attacked.exists, DEADLINE)
                    ann.temp.ask("GET", f"{ann.base}/lab")
                ended = ended and until(lambda: f"{name} has ended" in temp.said(), DEADLINE)
            assert ended, temp.said()
            assert until(lambda: not lives(record["keeper"]["pid"]), DEADLINE)
            assert not lives(record["tender"])
            assert f"{name} has ended: the keeper" not in temp.said()
            assert "Traceback" not in temp.said()
            assert his.run("print(x + 1)") == "42"


def test_a_cell_and_a_reload_wake_it_in_a_browser_and_its_page_alone_does_not(
    command: Command, content: Path, chromium: Chromium
) -> None:
    notebook = json.loads((content / "index.ipynb").read_text())
    notebook["cells"][0]["source"] = ["x = globals().get('x', 40) + 1; print('x is', x)"]
    (content / "index.ipynb").write_text(json.dumps(notebook))
    with running(command, "--content", content, *SLEEP[:-1], "10") as temp:
        page = chromium.new_context().new_page()
        page.goto(f"http://127.0.0.1:{temp.port}/spawn/lab/tree/index.ipynb")
        page.click("button", no_wait_after=True)
        run_first_cell(page, "x is 41")
        page.keyboard.press("Control+s")
        assert asleep(temp)
        woken = awake(temp)
        assert jupyter(command) == []

        polls: list[str] = []
        page.on("request", lambda sent: polls.append(f"{sent.method} {sent.url}"))
        began = time.monotonic()
        assert until(lambda: bool(page.evaluate("1")) and time.monotonic() > began + 30, DEADLINE)
        assert any("/api/contents" in each for each in polls), polls
        assert awake(temp) == woken, polls
        assert page.locator(".jp-Dialog").count() == 0
        assert page.locator("text=Python 3 (ipykernel) | Idle").count() == 1

        run_first_cell(page, "x is 42")
        assert awake(temp) == woken + 1
        assert asleep(temp)
        page.reload()
        run_first_cell(page, "x is 43")
        assert awake(temp) > woken + 1
        assert page.locator(".jp-Dialog").count() == 0
        chromium.end()
