"""A notebook that stops or kills a part of moorage: the run goes on, and what ran is written."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from command import Command, printed, script, until, write

pytestmark = pytest.mark.real

PARTS = """
import os, signal
warden = os.getppid()
def children(of, what):
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            stat = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
            words = open(f"/proc/{pid}/cmdline").read()
        except OSError:
            continue
        if int(stat[1]) == of and what in words:
            found.append(int(pid))
    return found
"""
GOOD = script("print('good')", "1 + 1")


def tree(folder: Path, bad: str, goods: int = 4) -> None:
    write(folder, {f"docs/{number}good.py": GOOD for number in range(1, goods + 1)})
    write(folder, {"docs/0bad.py": script("print('before')", PARTS + bad, "print('after')")})


@pytest.mark.parametrize(
    "bad",
    [
        "os.kill(warden, signal.SIGSTOP)",
        "for pid in children(warden, 'moorage_template'): os.kill(pid, signal.SIGSTOP)",
        "for pid in children(warden, 'moorage_template')[:1]: os.kill(pid, signal.SIGSTOP)",
    ],
    ids=["the warden", "template and spares", "one of them"],
)
def test_a_part_that_was_stopped(moorage: Command, bad: str) -> None:
    tree(moorage.cwd, bad)
    done = moorage("render", "docs", "-o", "out", "-j", 2, "--json", "-", "--no-cache", code=0)
    assert set(done.statuses.values()) == {"ok"}
    assert printed(moorage.cwd / "out/0bad.ipynb") == "before\nafter\n"
    assert printed(moorage.cwd / "out/4good.ipynb") == "good\n"


def test_a_warden_killed_once_costs_an_attempt(moorage: Command) -> None:
    tree(
        moorage.cwd,
        """
if not os.path.exists("../done"):
    open("../done", "w").close()
    os.kill(warden, signal.SIGKILL)
    signal.pause()
""",
    )
    done = moorage("render", "docs", "-o", "out", "-j", 2, "--json", "-", "--no-cache", code=0)
    assert set(done.statuses.values()) == {"ok"}
    assert done.notebooks["0bad.py"]["attempts"] == 2


def test_a_warden_killed_again_and_again(moorage: Command) -> None:
    tree(moorage.cwd, "os.kill(warden, signal.SIGKILL); signal.pause()")
    arguments = ("--retries", 3, "-j", 2, "--json", "-", "--no-cache", "--to", "ipynb,html")
    done = moorage("render", "docs", "-o", "out", *arguments, code=1)
    assert done.statuses.pop("0bad.py") == "died"
    assert "warden" in done.notebooks["0bad.py"]["error"]["evalue"]
    goods = [done.notebooks[name] for name in done.statuses if "good" in name]
    assert [each for each in goods if each["status"] != "ok"] == []
    assert printed(moorage.cwd / "out/0bad.ipynb") == "before\n"
    assert printed(moorage.cwd / "out/4good.ipynb") == "good\n"
    assert (moorage.cwd / "out/0bad.html").exists()
    assert (moorage.cwd / "out/4good.html").exists()


def test_pages_although_their_process_was_stopped(moorage: Command) -> None:
    write(moorage.cwd, {"docs/0first.py": GOOD})
    write(
        moorage.cwd,
        {
            "docs/1bad.py": script(
                PARTS
                + """
while not (found := children(warden, "export_worker")):
    pass
for pid in found:
    os.kill(pid, signal.SIGSTOP)
"""
            )
        },
    )
    done = moorage(
        "render", "docs", "-o", "out", "-j", 1, "--to", "html", "--json", "-", "--no-cache", code=0
    )
    assert set(done.statuses.values()) == {"ok"}
    assert (moorage.cwd / "out/1bad.html").exists()


def test_ctrl_c_although_the_warden_was_stopped(moorage: Command) -> None:
    tree(
        moorage.cwd,
        "os.kill(warden, signal.SIGSTOP); open('../stopped', 'w').close(); signal.pause()",
    )
    process = moorage.start("render", "docs", "-o", "out", "-j", 1, "--no-cache", "--plain")
    assert until((moorage.cwd / "stopped").exists, 60)
    process.send_signal(signal.SIGINT)
    moorage.ended(process, code=130)
