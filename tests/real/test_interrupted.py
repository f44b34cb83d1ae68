"""Runs that somebody stops, kills or stops listening to."""

from __future__ import annotations

import os
import re
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


def started(moorage: Command, *arguments: object, files=None, **rest) -> subprocess.Popen[bytes]:
    """Start a run of one short and one endless notebook, and wait until the one is done and the other not."""
    write(
        moorage.cwd,
        files or {"a.py": script("print('done')"), "b.py": ENDLESS, "c.py": script("print('late')")},
    )
    process = moorage.start("render", "a.py", "b.py", "c.py", "-j", "1", *arguments, **rest)
    assert until((moorage.cwd / "started.txt").exists, 60)
    return process


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_once_stops_cleanly_and_the_same_command_goes_on(moorage: Command, signum: int):
    process = started(moorage, "--json", "-")
    process.send_signal(signum)
    done = moorage.ended(process, code=130)
    assert re.search(r"waiting for [12] kernels? to end \((a\.py, )?b\.py\)", done.stderr)
    assert done.stderr.count("b.py") == 1
    assert "interrupted: 1 of 3 notebooks is done and kept in rendered; the same command goes" in done.stderr
    assert done.statuses == {"a.py": "ok", "b.py": "skipped", "c.py": "skipped"}
    assert printed(moorage.cwd / "rendered/a.ipynb") == "done\n"
    assert not (moorage.cwd / "rendered/b.ipynb").exists()
    write(moorage.cwd, {"b.py": script("print('now')")})
    again = moorage("render", "a.py", "b.py", "c.py", "-j", "1", "--json", "-", code=0)
    assert again.statuses == {"a.py": "cached", "b.py": "ok", "c.py": "ok"}


def test_twice_ends_at_once_whatever_the_kernel_does(moorage: Command):
    files = {"a.py": script("print('done')"), "b.py": STUBBORN, "c.py": script("1")}
    process = started(moorage, files=files)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    done = moorage.ended(process)
    assert process.returncode in {-signal.SIGINT, 130}
    if process.returncode != 130:  # two signals at once may be one
        assert "1 of 3 notebooks is done and kept in rendered; the same command goes on" in done.stdout
    assert (moorage.cwd / "rendered/a.ipynb").exists()


SLOW_END = script("import atexit, time\natexit.register(time.sleep, 600)\nprint('finished')")


def test_what_is_in_place_counts_when_a_run_is_ended_at_once(moorage: Command):
    write(moorage.cwd, {"a.py": SLOW_END})
    with (moorage.cwd / "log").open("w+") as log:
        process = moorage.start("render", "a.py", stdout=log, stderr=log)
        assert until((moorage.cwd / "rendered/a.ipynb").exists, 60)
        process.send_signal(signal.SIGINT)
        assert until(lambda: "waiting for 1 kernel" in (moorage.cwd / "log").read_text())
        process.send_signal(signal.SIGINT)
        moorage.ended(process)
        assert "1 of 1 notebook is done and kept in rendered" in (moorage.cwd / "log").read_text()


def test_what_is_in_place_counts_although_its_kernel_had_not_ended(moorage: Command):
    write(moorage.cwd, {"a.py": SLOW_END})
    process = moorage.start("render", "a.py", "--json", "-")
    assert until((moorage.cwd / "rendered/a.ipynb").exists, 60)
    process.send_signal(signal.SIGINT)
    done = moorage.ended(process, code=130)
    assert done.statuses == {"a.py": "ok"}


def test_killed_it_leaves_nothing_but_what_was_finished(moorage: Command):
    process = started(moorage)
    process.kill()
    process.wait()
    assert until(lambda: not moorage.left())
    names = {path.name for path in (moorage.cwd / "rendered").iterdir()} - {".moorage-files"}
    assert names == {"a.ipynb"}


def test_it_goes_on_when_nobody_listens_any_more(moorage: Command):
    write(moorage.cwd, {"a.py": script("1"), "b.py": script("2")})
    command = f"{sys.executable} -m moorage render a.py b.py -j1 | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = moorage.ended(moorage.launch(["bash", "-c", command]))
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""
    assert {path.name for path in (moorage.cwd / "rendered").glob("[!.]*")} == {"a.ipynb", "b.ipynb"}


def test_without_standard_streams_it_works_all_the_same(moorage: Command):
    write(moorage.cwd, {"a.py": script("print(1)")})
    closed = f"exec {sys.executable} -m moorage render a.py <&- >&- 2>&-"
    moorage.ended(moorage.launch(["bash", "-c", closed]), code=0)
    assert printed(moorage.cwd / "rendered/a.ipynb") == "1\n"


def test_two_at_once_on_one_tree_are_both_well(moorage: Command):
    write(moorage.cwd, {f"{name}.py": script(f"print('{name}')") for name in "abc"})
    both = [moorage.start("render", ".", "-j", "2", "--json", "-") for _ in range(2)]
    for process in both:
        assert set(moorage.ended(process, code=0).statuses.values()) <= {"ok", "cached"}
    third = moorage("render", ".", "--json", "-", code=0)
    assert set(third.statuses.values()) == {"cached"}
    assert {path.name for path in (moorage.cwd / "rendered").glob("[!.]*")} == {
        "a.ipynb",
        "b.ipynb",
        "c.ipynb",
    }


def test_nobody_else_of_the_process_group_is_disturbed(moorage: Command):
    process = started(moorage)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
    moorage.ended(process, code=130)
    assert not marked(moorage.mark)
