"""What a process is seen to read, event by event."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from moorage.notebooks.cache import watch
from moorage.notebooks.cache.watch import MOST, ReadWatch
from watched import place, private, run

__all__ = ["place", "private"]


@pytest.mark.parametrize(
    ("code", "kind", "path"),
    [
        ("open('data.csv')", "read", "data.csv"),
        ("open(b'data.csv')", "read", "data.csv"),
        ("import pathlib; pathlib.Path('data.csv').read_text()", "read", "data.csv"),
        ("import os; os.close(os.open('d/../data.csv', os.O_RDONLY))", "read", "data.csv"),
        ("import os; os.chdir('/'); open(f'{place}/data.csv')", "read", "data.csv"),
        ("open('data.csv', 'r+')", "read", "data.csv"),
        ("open('data.csv', 'w')", "made", "data.csv"),
        ("open('new.csv', 'x')", "made", "new.csv"),
        ("open('new.csv', 'a')", "made", "new.csv"),
        ("try: open('none.csv')\nexcept OSError: pass", "absent", "none.csv"),
        ("import helper", "read", "helper.py"),
        ("import os; os.listdir('d')", "listed", "d"),
        ("import os; list(os.scandir('d'))", "listed", "d"),
        ("import os; os.listdir(os.open('d', os.O_RDONLY))", "listed", "d"),
        ("import os; list(os.scandir(os.open('d', os.O_RDONLY)))", "listed", "d"),
        ("import glob; glob.glob('d/*.csv')", "listed", "d"),
        ("import os; list(os.fwalk('d'))", "tree", "d"),
        ("import os; os.remove('data.csv')", "gone", "data.csv"),
        ("import os; os.rename('data.csv', 'new.csv')", "gone", "data.csv"),
        ("import shutil; shutil.move('data.csv', 'new.csv')", "made", "new.csv"),
        ("import shutil; shutil.copy('data.csv', 'new.csv')", "read", "data.csv"),
        ("import os; os.symlink('../data.csv', 'd/link')", "read", "data.csv"),
        ("import os; os.link('data.csv', 'new.csv')", "made", "new.csv"),
        ("import sqlite3; sqlite3.connect('data.csv').close()", "read", "data.csv"),
        ("import sqlite3; sqlite3.connect('file:new.db?mode=rwc', uri=True).close()", "made", "new.db"),
        ("import ctypes\ntry: ctypes.CDLL('./data.csv')\nexcept OSError: pass", "read", "data.csv"),
        ("import os; os.system('cat data.csv')", "read", "data.csv"),
        ("import os; os.waitpid(os.posix_spawn('/bin/cat', ['cat', 'data.csv'], {}), 0)", "read", "data.csv"),
        ("import os\nif not os.fork(): os.execvp('cat', ['cat', 'data.csv'])\nos.wait()", "read", "data.csv"),
        ("import subprocess; subprocess.run('make')", "program", "make"),
    ],
)
def test_an_event_is_understood(place, private, code, kind, path):
    (place / "d").mkdir()
    try:
        _, kinds, report = run(place, f"place = {str(place)!r}\n{code}", private)
    except AssertionError as error:
        if "No such file or directory: 'make'" not in str(error):
            raise
        pytest.skip("there is no make here")
    assert report.failed == ""
    assert path in kinds[kind]


@pytest.mark.parametrize(
    "code",
    [
        "import json.tool, email, pytest",
        "open('data.csv', 'a')",
        "open('/etc/hostname') if __import__('os').path.exists('/etc/hostname') else 0",
        "import tempfile; tempfile.TemporaryFile()",
        "import os; os.close(os.open(os.devnull, 0)); open(os.dup(0)).close()",
        "import sqlite3; sqlite3.connect(':memory:').close()",
        "import importlib.metadata; importlib.metadata.version('pytest')",
        "import os\ntry: os.listdir(99)\nexcept OSError: pass",
    ],
)
def test_what_is_no_input_is_not_kept(place, private, code):
    _, kinds, report = run(place, code, private)
    assert report.failed == ""
    assert not {*kinds} - {"absent"}, kinds
    assert not [path for path in kinds.get("absent", ()) if "data" in path]


def test_what_a_deletion_lists_is_not_kept(place, private):
    _, kinds, report = run(place, "import os, shutil; os.makedirs('out/deep'); shutil.rmtree('out')", private)
    assert report.failed == ""
    assert "listed" not in kinds


def test_modules_are_told_with_the_folders_they_were_looked_for_in(place, private):
    (place / "pkg").mkdir()
    (place / "pkg" / "__init__.py").write_text("")
    code = (
        "import sys, helper, pkg; sys.path.insert(0, 'lib')\n"
        "for name in ('nosuch', 'pkg.more', 'helper'):\n"
        "    sys.modules.pop(name, None)\n"
        "    try: __import__(name)\n"
        "    except ImportError: pass\n"
        "del sys.modules['helper'], sys.path[0]"
    )
    _, _, report = run(place, code, private)
    assert {"nosuch", "helper", "pkg", "json"} <= {*report.names}
    assert {*report.missing} >= {"nosuch", "helper"}
    assert {str(place), str(place / "lib")} <= {*report.local}
    assert sysconfig.get_path("purelib") in report.installed
    assert "more" in report.packages[str(place / "pkg")]


def test_a_change_of_directory_moves_relative_names(place, private):
    (place / "d").mkdir()
    (place / "d" / "x").write_text("")
    _, kinds, _ = run(
        place, "import os; os.chdir('d'); open('x'); os.chdir('..'); open('helper.py')", private
    )
    assert {"d/x", "helper.py"} <= kinds["read"]


def test_there_is_an_end_to_what_is_kept(tmp_path):
    watched = ReadWatch("/private", ("/project/",))
    for number in range(MOST + 10):
        watched.note("read", f"/project/{number}")
    assert len(watched.seen) == MOST
    assert "more than" in watched.failed


def test_where_the_project_is_counts_whatever_lies_around_it(tmp_path):
    installed = sysconfig.get_path("purelib")
    inside = ReadWatch("/private", (sys.prefix + "/project/",))
    assert inside.wanted(sys.prefix + "/project/x")
    assert not inside.wanted(sys.prefix + "/x")
    above = str(Path(sys.prefix).parent)
    around = ReadWatch("/private", (above + "/",))
    assert around.wanted(above + "/x")
    assert not around.wanted(installed + "/x")
    assert not around.wanted("/tmp/x")
    assert ReadWatch("/private", ("/usr/src/project/",)).wanted("/usr/src/project/x")
    assert not around.wanted(5)


def test_an_environment_inside_a_project_inside_a_prefix_is_no_input(monkeypatch):
    monkeypatch.setattr(sys, "prefix", "/usr/src/project/.venv")
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    watched = ReadWatch("/private", ("/usr/src/project/",))
    assert watched.wanted("/usr/src/project/x")
    assert not watched.wanted("/usr/src/project/.venv/x")
    assert not watched.wanted("/usr/lib/x")


def test_compiled_code_stands_for_its_source(tmp_path, monkeypatch):
    watched = ReadWatch("/private", (f"{tmp_path}/",))
    cached = f"{tmp_path}/__pycache__/helper.{sys.implementation.cache_tag}.pyc"
    assert watched.wanted(cached) == f"{tmp_path}/helper.py"
    assert watched.wanted(f"{tmp_path}/plain.pyc") == f"{tmp_path}/plain.pyc"
    monkeypatch.setattr(sys, "pycache_prefix", "/tmp/elsewhere")
    moved = f"/tmp/elsewhere{tmp_path}/helper.{sys.implementation.cache_tag}.pyc"
    assert watched.wanted(moved) == f"{tmp_path}/helper.py"


def test_what_goes_wrong_while_watching_is_told_and_disturbs_nothing(place, private):
    code = (
        "import os; os.mkdir('e'); os.chdir('e'); os.rmdir('../e')\n"
        "try: open('x')\n"
        "except OSError: print('as ever')\n"
        "os.chdir('/')"
    )
    said, _, report = run(place, code, private)
    assert said == "as ever"
    assert report.failed.startswith("watching it failed: FileNotFoundError")


def test_neither_file_needs_moorage_or_another_package():
    code = (
        f"import importlib.util as util, sys; spec = util.spec_from_file_location('w', {watch.__file__!r})\n"
        "module = util.module_from_spec(spec); spec.loader.exec_module(module)\n"
        "assert module.neighbour('programs').READERS\n"
        "assert not [name for name in sys.modules if 'moorage' in name or 'msgspec' in name]"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=60)
