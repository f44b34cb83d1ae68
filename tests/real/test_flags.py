"""Flags whose meaning shows only in a whole run."""

from __future__ import annotations

import json
import os
import pty
import signal
from contextlib import suppress

import pytest

from command import Command, printed, script, until, write

pytestmark = pytest.mark.real

DIES = script("import os, signal, time\nprint('so far', flush=True)", "os.kill(os.getpid(), signal.SIGKILL)")


def test_errors_may_be_allowed_and_still_count(moorage: Command):
    write(moorage.cwd, {"a.py": script("1 / 0", "print('went on')")})
    done = moorage("render", "a.py", "--allow-errors", "--json", "-", code=1)
    assert done.statuses == {"a.py": "failed"}
    assert printed(moorage.cwd / "rendered/a.ipynb") == "went on\n"
    again = moorage("render", "a.py", "--allow-errors", "--json", "-", code=1)
    assert again.statuses == {"a.py": "failed"}


def test_a_kernel_that_always_dies_is_tried_as_often_as_wanted(moorage: Command):
    write(moorage.cwd, {"a.py": DIES, "b.py": DIES, "moorage.toml": '[notebook."b.py"]\nretries = 0\n'})
    done = moorage("render", ".", "--retries", "2", "--json", "-", code=1)
    said = done.notebooks
    assert {name: (each["status"], each["attempts"]) for name, each in said.items()} == {
        "a.py": ("died", 3),
        "b.py": ("died", 1),
    }
    assert "SIGKILL" in said["b.py"]["error"]["evalue"]
    assert printed(moorage.cwd / "rendered/b.ipynb") == "so far\n"


@pytest.mark.parametrize("suffix", ["html", "md", "ipynb"])
def test_one_output_may_be_named(moorage: Command, suffix: str):
    write(moorage.cwd, {"demos/a b.py": script("print(6 * 7)"), "x/y": "", "rendered/mine": ""})
    moorage("render", "../demos/a b.py", "-o", f"../out/it's.{suffix}", cwd=moorage.cwd / "x", code=0)
    assert [path.name for path in (moorage.cwd / "out").glob("[!.]*")] == [f"it's.{suffix}"]
    assert "42" in (moorage.cwd / f"out/it's.{suffix}").read_text()
    assert not (moorage.cwd / "x/.moorage").exists()


def test_one_output_for_several_sources_is_wrong_usage(moorage: Command):
    write(moorage.cwd, {"a.py": "1", "b.py": "2"})
    done = moorage("render", "a.py", "b.py", "-o", "out.ipynb", code=2)
    assert done.stderr.startswith("error: -o out.ipynb is one file, but there are 2 sources (E-USAGE).")


ALONE = script(
    "import os, pathlib, time\nhere = pathlib.Path('running')\nhere.mkdir(exist_ok=True)",
    "me = here / str(os.getpid())\nme.touch()\ntime.sleep(0.3)",
    "beside = [each.name for each in here.iterdir() if each != me]\nme.unlink()\nprint(beside)",
)


@pytest.mark.parametrize("said", ["cores = 2", 'memory = "900TiB"'])
def test_notebooks_that_need_much_run_alone(moorage: Command, said: str):
    write(moorage.cwd, {"a.py": ALONE, "b.py": ALONE, "moorage.toml": f'[notebook."*.py"]\n{said}\n'})
    moorage("render", ".", "-j", "2", "--no-cache", code=0)
    assert [printed(moorage.cwd / f"rendered/{name}.ipynb") for name in "ab"] == ["[]\n", "[]\n"]


def test_a_deadline_keeps_the_outputs_and_is_no_reason_for_another_attempt(moorage: Command):
    write(moorage.cwd, {"a.py": script("print('so far')", "import time\ntime.sleep(600)")})
    done = moorage("render", "a.py", "--cell-timeout", "500ms", "--json", "-", code=1)
    said = done.notebooks["a.py"]
    assert (said["status"], said["attempts"], said["error"]["cell"]) == ("timeout", 1, 2)
    assert printed(moorage.cwd / "rendered/a.ipynb") == "so far\n"


def test_in_a_terminal_ctrl_c_leaves_the_cursor_visible(moorage: Command):
    write(moorage.cwd, {"a.py": script("open('started', 'w').close()\nimport time\ntime.sleep(600)")})
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    shown = b""
    try:
        process = moorage.start("render", "a.py", stdout=theirs, stderr=theirs, env={"TERM": "xterm"})
        os.close(theirs)

        def read() -> None:
            nonlocal shown
            with suppress(OSError):
                shown += os.read(ours, 65536)

        def begun() -> bool:
            read()
            return (moorage.cwd / "started").exists()

        assert until(begun, 60)
        process.send_signal(signal.SIGINT)
        assert until(lambda: read() or process.poll() is not None)
        read()
    finally:
        os.close(ours)
    assert process.returncode == 130
    assert b"\x1b[?25l" in shown
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")
    assert b"Traceback" not in shown


def test_ids_and_metadata_of_a_notebook_survive(moorage: Command):
    cell = {"cell_type": "code", "id": "keep-me", "metadata": {"x": 1}, "source": ["x = 1\n", "x"]}
    source = {
        "cells": [{**cell, "outputs": [], "execution_count": None}],
        "metadata": {"mine": {"deep": [1]}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    write(moorage.cwd, {"a.ipynb": json.dumps(source)})
    moorage("render", "a.ipynb", code=0)
    rendered = json.loads((moorage.cwd / "rendered/a.ipynb").read_text())
    assert rendered["metadata"]["mine"] == {"deep": [1]}
    assert {key: rendered["cells"][0][key] for key in cell} == cell


def test_a_script_and_a_kernel_that_are_both_broken_are_one_sentence(moorage: Command):
    write(moorage.cwd, {"a.py": b"# %%\n\xff\xfe\x00"})
    done = moorage("render", "a.py", "--env", "PYTHONHOME=/nowhere", "--retries", "0", code=1)
    assert done.stderr == ""
    assert "a.py" in done.stdout
