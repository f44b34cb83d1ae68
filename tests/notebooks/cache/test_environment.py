"""What a real kernel says about itself, and what makes it another one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from moorage.notebooks.cache.distributions import Distributions
from moorage.notebooks.cache.environment import (
    PROBE,
    Run,
    RunEnvironment,
    changed_files,
    changed_packages,
    environment_bytes,
    of_program,
    of_python,
    read_environment,
    read_probe,
)
from moorage.notebooks.cache.names import Modules, Names
from moorage.notebooks.cache.reads import _TICK
from moorage.notebooks.cache.store import FileStates
from moorage.notebooks.cache.watching import Watching

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture(scope="module")
def client(place):
    """One real ipykernel; ports of its own on the loopback."""
    from jupyter_client.manager import start_new_kernel

    before = dict(os.environ)
    os.environ.update(PYTHONDONTWRITEBYTECODE="1", JUPYTER_RUNTIME_DIR=str(place / "runtime"))
    try:
        manager, client = start_new_kernel(kernel_name="python3", cwd=str(place), startup_timeout=60)
    finally:
        os.environ.clear()
        os.environ.update(before)
    try:
        with Watching(place, [place]) as watching:
            watched = {"moorage": watching.expression}
            reply = run(client, "", silent=True, store_history=False, user_expressions=watched)
            assert reply["user_expressions"]["moorage"]["status"] == "ok"
            yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def run(client, code, **options):
    reply = client.execute(code, reply=True, timeout=60, **options)
    return reply["content"]


def probe(client):
    reply = run(client, "", silent=True, store_history=False, user_expressions={"moorage": PROBE})
    return read_probe(reply["user_expressions"]["moorage"])


def settle(client, path):
    """Have a kernel busy until a file that was just written counts as older than what comes next."""
    while time.time_ns() < path.stat().st_ctime_ns + 3 * _TICK:
        run(client, "pass")


def ran(place, *code):
    return Run(code, place, place, started_ns=time.time_ns())


def environment(client, place, *code):
    return of_python(probe(client), FileStates(), Names(), Distributions(), ran(place, *code))


@pytest.mark.real
def test_the_probe_leaves_nothing_behind(client):
    run(client, "kept = 41")
    names = "sorted(set(globals()) | set(__import__('builtins').__dict__)), len(In), len(Out), kept"
    before = run(client, "", silent=True, user_expressions={"n": names})["user_expressions"]["n"]["data"]
    assert probe(client) is not None
    after = run(client, "", silent=True, user_expressions={"n": names})["user_expressions"]["n"]["data"]
    assert after == before
    assert run(client, "1")["execution_count"] == run(client, "1")["execution_count"] - 1


@pytest.mark.real
def test_the_probe_survives_a_notebook_that_shadows_everything(client):
    run(client, "str = list = sorted = open = print = __builtins_backup = 5; json = os = sys = space = None")
    found = probe(client)
    run(client, "del str, list, sorted, open, print, json, os, sys, space")
    assert Path(found.executable).samefile(sys.executable)
    assert found.python == sys.version


@pytest.mark.real
def test_packages_are_found_whatever_their_import_name_is(client, place):
    run(client, "import yaml, dateutil, psutil, PIL.Image" if can("PIL") else "import yaml, dateutil, psutil")
    packages = environment(client, place).packages
    from importlib.metadata import version

    for name in ("pyyaml", "python-dateutil", "psutil", "ipykernel", "ipython", "traitlets"):
        assert packages[name].startswith(version(name)), name
    assert "pytest" not in packages
    assert "" not in packages.values()


def can(name):
    from importlib.util import find_spec

    return find_spec(name) is not None


@pytest.mark.real
def test_local_modules_are_found_and_their_edits_seen(client, place, tmp_path):
    helper = place / "helper.py"
    helper.write_text("value = 1\n")
    package = place / "lib" / "pkg"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from . import inner\n")
    (package / "inner.py").write_text("")
    for path in (helper, package / "__init__.py", package / "inner.py"):
        os.utime(path, (time.time() - 60, time.time() - 60))
    settle(client, package / "inner.py")
    run(client, "import sys; sys.path.insert(0, 'lib'); import helper, pkg, random, json.decoder")
    found = environment(client, place)
    there = {path for path, state in found.files.items() if state.digest and not path.startswith("/")}
    assert there == {"helper.py", "lib/pkg/__init__.py", "lib/pkg/inner.py"}
    assert changed_packages(found, Distributions()) == ""
    assert changed_files(found.files, FileStates(), place) == ""
    moved = tmp_path / "moved"  # the kernel is not done with those here
    shutil.copytree(place, moved)
    assert changed_files(found.files, FileStates(), moved) == ""
    (moved / "lib/pkg/inner.py").write_text("x = 1")
    assert changed_files(found.files, FileStates(), moved) == "lib/pkg/inner.py changed"


@pytest.mark.real
def test_a_module_that_is_gone_makes_the_environment_unknown(client, place):
    (place / "passing.py").write_text("")
    run(client, "import passing; __import__('os').remove('passing.py')")
    assert environment(client, place) == f"it changed {place}/passing.py, which it had read"


def test_no_sensible_answer_is_an_unknown_environment(tmp_path):
    for answer in (None, {}, {"status": "error"}, {"status": "ok", "data": {"text/plain": "<object>"}}):
        assert read_probe(answer) is None
    unknown = of_python(None, FileStates(), Names(), Distributions(), ran(tmp_path))
    assert "did not tell" in unknown


def test_a_kernel_of_another_language_is_its_program(tmp_path):
    program = tmp_path / "R"
    program.write_text("1")
    (tmp_path / "data.csv").write_text("1")
    found = of_program(
        str(program), "4.4", FileStates(), ran(tmp_path, "read.csv('data.csv'); readRDS('none.rds')")
    )
    assert {path: bool(state.digest) for path, state in found.files.items()} == {
        "data.csv": True,
        "none.rds": False,
        "read.csv": False,  # a word like a file's name
    }
    assert changed_packages(found, Distributions()) == ""
    program.write_text("22")
    assert "another one" in changed_packages(found, Distributions())
    assert "not a file" in of_program("R", "4.4", FileStates(), ran(tmp_path))


def test_equal_environments_are_equal_bytes():
    """A set's order is another one in each process, and kernels tell things in an order of their own."""
    names = [f"name{number}" for number in range(20)]

    def written(order: list[str]) -> bytes:
        found = {name: Modules(frozenset(order), ()) for name in order}
        return environment_bytes(RunEnvironment("python", (1, 2), "3", (), {}, {}, {}, found))

    assert written(names) == written(names[::-1])
    code = (
        "from moorage.notebooks.cache.environment import *;"
        "from moorage.notebooks.cache.names import Modules;"
        "found = {'a': Modules(frozenset(map(str, range(20))), ())};"
        "print(environment_bytes(RunEnvironment('python', (1, 2), '3', (), {}, {}, {}, found)).decode())"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in "123"
    }
    assert len(texts) == 1
    assert read_environment(texts.pop()) is not None
