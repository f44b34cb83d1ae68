"""Full disks, read-only folders, damaged caches, make."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from command import Command, Done, marked, printed, script, until, write

pytestmark = pytest.mark.real

MOORAGE = f"{sys.executable} -m moorage"
FILL = "mount -t tmpfs -o size=16k,mode=700 none {0}; head -c 16k /dev/zero > {0}/full || true"
mounts = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="mounting needs root and util-linux"
)


def inside(moorage: Command, mount: str, command: str) -> Done:
    """Run a shell command where ``mount`` has been mounted for it alone."""
    words = ["unshare", "--mount", "--propagation", "private", "bash", "-ec", f"{mount}\nset +e\n{command}"]
    return moorage.ended(moorage.launch(words))


@mounts
def test_on_a_full_disk_it_says_so_and_keeps_what_was_finished(moorage: Command):
    big = script("from IPython.display import display\nprint('x' * 3_000_000)")
    write(moorage.cwd, {"a.py": script("print('small')"), "b.py": big, "c.py": script("print('small too')")})
    (moorage.cwd / "out").mkdir()
    done = inside(
        moorage,
        "mount -t tmpfs -o size=1m none out",
        f"{MOORAGE} render a.py b.py c.py -j1 -o out --no-cache --json r.json; echo code $?; ls out",
    )
    assert done.stdout.splitlines()[-3:] == ["code 1", "a.ipynb", "c.ipynb"]
    notebooks = {
        each["source"]: each for each in json.loads((moorage.cwd / "r.json").read_text())["notebooks"]
    }
    assert [each["status"] for each in notebooks.values()] == ["ok", "failed", "ok"]
    assert "The disk is full" in notebooks["b.py"]["error"]["evalue"]


@mounts
def test_a_full_place_for_the_cache_and_the_reports_costs_no_notebook(moorage: Command):
    write(moorage.cwd, {"a.py": script("print('a')"), ".moorage/x": "", "told/x": ""})
    done = inside(
        moorage,
        f"{FILL.format('.moorage')}\n{FILL.format('told')}",
        f"{MOORAGE} render a.py --bundle told/b.tgz --report told/r.html --junit told/j.xml --json -;"
        "echo code $?",
    )
    assert done.stdout.splitlines()[-1] == "code 1"
    assert json.loads(done.stdout.rpartition("code")[0])["notebooks"][0]["status"] == "ok"
    assert done.stderr.count("error: cannot write") == 3
    assert "not cached" in done.stderr
    assert printed(moorage.cwd / "rendered/a.ipynb") == "a\n"


@mounts
def test_read_only_output_is_an_error_of_every_notebook_and_read_only_cache_a_notice(moorage: Command):
    write(moorage.cwd, {"a.py": script("print('a')"), "out/x": "", ".moorage/x": ""})
    read_only = "for each in out .moorage; do mount --bind $each $each; mount -o remount,bind,ro $each; done"
    done = inside(moorage, read_only, f"{MOORAGE} render a.py -o out; echo code $?")
    assert done.stdout.splitlines()[-1] == "code 1"
    assert "cannot write" in done.stdout
    assert "read-only" in done.stdout
    done = inside(moorage, read_only, f"{MOORAGE} render a.py; echo code $?")
    assert done.stdout.splitlines()[-1] == "code 0"
    assert "not cached" in done.stdout + done.stderr


@mounts
def test_no_room_for_sockets_is_no_stack_trace(moorage: Command):
    write(moorage.cwd, {"a.py": script("print('a')"), "b.py": script("print('b')")})
    done = inside(
        moorage, FILL.format(moorage.runtime), f"{MOORAGE} render a.py b.py --json - ; echo code $?"
    )
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines()[-1] in {"code 0", "code 1"}


def test_what_changes_the_result_runs_again_and_nothing_else_does(moorage: Command):
    render = ["render", "a.py", "--json", "-"]
    write(moorage.cwd, {"a.py": script("import helper\nprint(helper.word)"), "helper.py": "word = 'one'\n"})
    source = moorage.cwd / "a.py"

    def status(*more: object) -> str:
        return moorage(*render, *more, code=0).statuses["a.py"]

    assert status() == "ok"
    assert status() == "cached"
    source.write_text("# %% [markdown]\n# A title\n\n" + script("import helper\nprint(helper.word)"))
    assert status() == "cached"
    source.write_text(source.read_text().replace("# %%\n", '# %% tags=["remove-input"]\n'))
    assert status() == "cached"
    assert printed(moorage.cwd / "rendered/a.ipynb") == "one\n"
    write(moorage.cwd, {"helper.py": "word = 'two!'\n"})
    assert status() == "ok"
    assert printed(moorage.cwd / "rendered/a.ipynb") == "two!\n"
    assert status("--param", "x=1") == "ok"
    source.write_text(source.read_text().replace("print(", "print('new', "))
    assert status() == "ok"
    for path in (moorage.cwd / ".moorage/cache").rglob("*"):
        if path.is_file():
            path.write_bytes(b"damaged" + path.read_bytes()[7:])
    assert status() == "ok"
    shutil.rmtree(moorage.cwd / ".moorage/cache")
    assert status("--no-cache") == "ok"
    assert not (moorage.cwd / ".moorage/cache").exists()
    assert status("--force") == "ok"
    (moorage.cwd / "rendered/a.ipynb").unlink()
    assert status() == "cached"
    assert printed(moorage.cwd / "rendered/a.ipynb") == "new two!\n"
    assert status("--to", "html,md") == "cached"
    assert "new two!" in (moorage.cwd / "rendered/a.html").read_text()
    assert "new two!" in (moorage.cwd / "rendered/a.md").read_text()


def test_same_code_in_another_folder_is_another_notebook(moorage: Command):
    code = script("print(open('data.txt').read())")
    write(
        moorage.cwd,
        {"moorage.toml": "", "a/x.py": code, "b/x.py": code, "a/data.txt": "A", "b/data.txt": "B"},
    )
    for folder in "ab":
        assert moorage("render", folder, "-o", f"out{folder}", "--json", "-", code=0).statuses == {
            "x.py": "ok"
        }
    assert printed(moorage.cwd / "outb/x.ipynb") == "B\n"


MAKEFILE = """\
all: one two render
one two:
\t@touch $@.began; while [ ! -e release ]; do sleep 0.05; done
render:
\t{mark}{moorage} render a.py b.py c.py --no-cache
"""
TOGETHER = script(
    "import pathlib, time\npathlib.Path(f'at-{time.monotonic_ns()}').touch()",
    "import os\nend = time.monotonic() + 60\n"
    "while len(list(pathlib.Path().glob('at-*'))) < 2 and time.monotonic() < end: time.sleep(0.02)\n"
    "print(len(list(pathlib.Path().glob('at-*'))))",
)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs GNU make")
def test_a_recipe_without_plus_runs_one_at_a_time_and_says_why(moorage: Command):
    write(moorage.cwd, {f"{name}.py": script("print(1)") for name in "abc"})
    write(moorage.cwd, {"Makefile": MAKEFILE.format(mark="", moorage=MOORAGE), "release": ""})
    done = moorage.ended(moorage.launch(["make", "-j4"]), code=0)
    assert "mark the recipe with +" in done.stdout + done.stderr
    assert "3 ok" in done.stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="needs GNU make")
def test_a_recipe_with_plus_takes_part_and_gives_all_back(moorage: Command):
    # Two jobs of make wait until two notebooks have run together: four in all, and no more tokens.
    write(moorage.cwd, {f"{name}.py": TOGETHER for name in "abc"})
    write(moorage.cwd, {"Makefile": MAKEFILE.format(mark="+", moorage=MOORAGE)})
    make = moorage.launch(["make", "-j4"])
    assert until((moorage.cwd / "rendered/c.ipynb").exists, 90)
    write(moorage.cwd, {"release": ""})
    done = moorage.ended(make, code=0)
    assert "3 ok" in done.stdout
    assert "jobserver" not in done.stdout + done.stderr


KILLED = """\
all: render other
render:
\t+@{moorage} render a.py b.py c.py --no-cache & echo $$! > pid; wait $$!
other:
\t@while [ ! -e release ]; do sleep 0.05; done
"""


@pytest.mark.skipif(shutil.which("make") is None, reason="needs GNU make")
def test_killed_it_gives_make_its_tokens_back(moorage: Command):
    write(moorage.cwd, {f"{name}.py": TOGETHER.replace("< 2", "< 99") for name in "abc"})
    write(moorage.cwd, {"Makefile": KILLED.format(moorage=MOORAGE)})
    make = moorage.launch(["make", "-j4", "-k"])
    assert until(lambda: len(list(moorage.cwd.glob("at-*"))) == 3, 60)
    os.kill(int((moorage.cwd / "pid").read_text()), signal.SIGKILL)
    assert until(lambda: len(marked(moorage.mark)) <= 4)  # make, the other recipe's shell and its sleep
    write(moorage.cwd, {"release": ""})
    done = moorage.ended(make, code=2)
    assert "jobserver tokens" not in done.stderr
    assert "Killed" in done.stderr


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb")
def test_a_display_is_there_for_the_run_and_gone_afterwards(moorage: Command):
    look = "import os, pathlib\nprint(os.environ['DISPLAY'])\nn = os.environ['DISPLAY'].lstrip(':')\n"
    look += "print(pathlib.Path(f'/tmp/.X11-unix/X{n}').exists())"
    write(moorage.cwd, {"a.py": script(look)})
    moorage("render", "a.py", "--display", code=0)
    display, there = printed(moorage.cwd / "rendered/a.ipynb").split()
    assert there == "True"
    assert not Path(f"/tmp/.X11-unix/X{display.lstrip(':')}").exists()


def test_a_display_needs_xvfb_and_says_how_to_get_it(moorage: Command):
    write(moorage.cwd, {"a.py": script("1")})
    done = moorage("render", "a.py", "--display", code=1, env={"PATH": str(moorage.cwd)})
    assert done.stderr.startswith("error: --display needs Xvfb")
    assert "apt-get install xvfb" in done.stderr
