"""What a real kernel says about itself, and what makes it another one."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from moorage.render.cache.distributions import Distributions
from moorage.render.cache.environment import (
    PROBE,
    changed_files,
    changed_packages,
    named_files,
    of_program,
    of_python,
    read_probe,
)
from moorage.render.cache.store import Files

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


def environment(client, place, code=()):
    return of_python(probe(client), Files(), Distributions(), code=code, directory=place, root=place)


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
def test_local_modules_are_found_and_their_edits_seen(client, place):
    helper = place / "helper.py"
    helper.write_text("value = 1\n")
    package = place / "lib" / "pkg"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from . import inner\n")
    (package / "inner.py").write_text("")
    for path in (helper, package / "inner.py"):
        os.utime(path, (time.time() - 60, time.time() - 60))
    run(client, "import sys; sys.path.insert(0, 'lib'); import helper, pkg, random, json.decoder")
    found = environment(client, place)
    assert {"helper.py", "lib/pkg/__init__.py", "lib/pkg/inner.py"} == set(found.files)
    assert changed_packages(found, Distributions()) == ""
    assert changed_files(found.files, Files(), place) == ""
    (package / "inner.py").write_text("x = 1")
    assert changed_files(found.files, Files(), place) == "lib/pkg/inner.py changed"


@pytest.mark.real
def test_a_module_that_is_gone_makes_the_environment_unknown(client, place):
    (place / "passing.py").write_text("")
    run(client, "import passing; __import__('os').remove('passing.py')")
    assert "passing.py, which is gone" in environment(client, place)
    run(client, "import sys; del sys.modules['passing']")


def test_no_sensible_answer_is_an_unknown_environment(tmp_path):
    for answer in (None, {}, {"status": "error"}, {"status": "ok", "data": {"text/plain": "<object>"}}):
        assert read_probe(answer) is None
    unknown = of_python(None, Files(), Distributions(), directory=tmp_path, root=tmp_path)
    assert "did not tell" in unknown


def test_a_kernel_of_another_language_is_its_program(tmp_path):
    program = tmp_path / "R"
    program.write_text("1")
    found = of_program(str(program), "4.4")
    assert changed_packages(found, Distributions()) == ""
    program.write_text("22")
    assert "another one" in changed_packages(found, Distributions())
    assert "not a file" in of_program("R", "4.4")


def test_files_named_by_magics_count(tmp_path):
    for name in ("case.py", "other.py", "notes.txt"):
        (tmp_path / name).write_text("")
    cells = ["%run -s f,g case.py\nx = 1", "  %load 'other'", "print('%run notes.txt')"]
    assert named_files(cells, tmp_path) == [tmp_path / "case.py", tmp_path / "other.py"]
