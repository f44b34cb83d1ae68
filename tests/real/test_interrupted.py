"""Runs that somebody stops, kills or stops listening to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from command import Command, marked, printed, script, until, write

pytestmark = pytest.mark.real

ENDLESS = script("open('started.txt', 'w').close()\nimport time\ntime.sleep(600)")
STUBBORN = script(
    "import signal, time\nfor each in (signal.SIGINT, signal.SIGTERM): signal.signal(each, signal.SIG_IGN)",
    "open('started.txt', 'w').close()\nwhile True: time.sleep(600)",
)


def started(mooring: Command, *arguments: object, files=None, **rest) -> subprocess.Popen[bytes]:
    """Start a run of one short and one endless notebook, and wait until the one is done and the other not."""
    write(
        mooring.cwd,
        files or {"a.py": script("print('done')"), "b.py": ENDLESS, "c.py": script("print('late')")},
    )
    process = mooring.start("render", "a.py", "b.py", "c.py", "-j", "1", *arguments, **rest)
    assert until((mooring.cwd / "started.txt").exists, 60)
    return process


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_once_stops_cleanly_and_the_same_command_goes_on(mooring: Command, signum: int):
    process = started(mooring, "--json", "-")
    process.send_signal(signum)
    done = mooring.ended(process, code=130)
    assert done.statuses == {"a.py": "ok", "b.py": "skipped", "c.py": "skipped"}
    assert printed(mooring.cwd / "rendered/a.ipynb") == "done\n"
    assert not (mooring.cwd / "rendered/b.ipynb").exists()
    write(mooring.cwd, {"b.py": script("print('now')")})
    again = mooring("render", "a.py", "b.py", "c.py", "-j", "1", "--json", "-", code=0)
    assert again.statuses == {"a.py": "cached", "b.py": "ok", "c.py": "ok"}


def test_twice_ends_at_once_whatever_the_kernel_does(mooring: Command):
    files = {"a.py": script("print('done')"), "b.py": STUBBORN, "c.py": script("1")}
    process = started(mooring, files=files)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    mooring.ended(process)
    assert process.returncode in {-signal.SIGINT, 130}
    assert (mooring.cwd / "rendered/a.ipynb").exists()


def test_what_is_in_place_counts_although_its_kernel_had_not_ended(mooring: Command):
    slow_end = script("import atexit, time\natexit.register(time.sleep, 600)\nprint('finished')")
    write(mooring.cwd, {"a.py": slow_end})
    process = mooring.start("render", "a.py", "--json", "-")
    assert until((mooring.cwd / "rendered/a.ipynb").exists, 60)
    process.send_signal(signal.SIGINT)
    done = mooring.ended(process, code=130)
    assert done.statuses == {"a.py": "ok"}


def test_killed_it_leaves_nothing_but_what_was_finished(mooring: Command):
    process = started(mooring)
    process.kill()
    process.wait()
    assert until(lambda: not mooring.left())
    names = {path.name for path in (mooring.cwd / "rendered").iterdir()}
    assert names == {"a.ipynb"}


def test_it_goes_on_when_nobody_listens_any_more(mooring: Command):
    write(mooring.cwd, {"a.py": script("1"), "b.py": script("2")})
    command = f"{sys.executable} -m mooring render a.py b.py -j1 | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = mooring.ended(mooring.launch(["bash", "-c", command]))
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""
    assert {path.name for path in (mooring.cwd / "rendered").iterdir()} == {"a.ipynb", "b.ipynb"}


def test_without_standard_streams_it_works_all_the_same(mooring: Command):
    write(mooring.cwd, {"a.py": script("print(1)")})
    closed = f"exec {sys.executable} -m mooring render a.py <&- >&- 2>&-"
    mooring.ended(mooring.launch(["bash", "-c", closed]), code=0)
    assert printed(mooring.cwd / "rendered/a.ipynb") == "1\n"


def test_two_at_once_on_one_tree_are_both_well(mooring: Command):
    write(mooring.cwd, {f"{name}.py": script(f"print('{name}')") for name in "abc"})
    both = [mooring.start("render", ".", "-j", "2", "--json", "-") for _ in range(2)]
    for process in both:
        assert set(mooring.ended(process, code=0).statuses.values()) <= {"ok", "cached"}
    third = mooring("render", ".", "--json", "-", code=0)
    assert set(third.statuses.values()) == {"cached"}
    assert {path.name for path in (mooring.cwd / "rendered").iterdir()} == {"a.ipynb", "b.ipynb", "c.ipynb"}


def test_nobody_else_of_the_process_group_is_disturbed(mooring: Command):
    process = started(mooring)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
    mooring.ended(process, code=130)
    assert not marked(mooring.mark)
