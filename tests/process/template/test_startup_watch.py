"""What start-up code is seen to do. What becomes of kernels then: tests/real/test_startup_code.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from moorage.process.template import startup_code

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="templates need Linux")

FOLDER = str(Path(startup_code.__file__).parent)


@pytest.fixture
def watched(tmp_path):
    """Run a sitecustomize under watch, and return what it is seen to do."""

    def watched(code, **env):
        (tmp_path / "sitecustomize.py").write_text(code)
        env = {**os.environ, "PYTHONPATH": str(tmp_path), **env}
        command = [os.fsencode(sys.executable)]
        return startup_code.Watched(command, {os.fsencode(k): os.fsencode(v) for k, v in env.items()}).told()

    return watched


DOES = {
    "import threading; threading.Thread(target=print).start()": "starts a thread",
    "import subprocess; subprocess.run(['true'])": "starts a process",
    "import os; os.system('true')": "starts a process",
    "import os; os.fork() or os._exit(0)": "starts a process",
    "open({folder!r} + '/log', 'a').write('started')": "writes to ",
    "import os; os.open({folder!r} + '/log', os.O_WRONLY | os.O_CREAT)": "writes to ",
    "import os; os.mkdir({folder!r} + '/made')": "changes files",
    "import sqlite3; sqlite3.connect(':memory:')": "changes files",
    "import sys; sys.settrace(lambda *_: None)": "traces what runs",
    "import sys; sys.setprofile(lambda *_: None)": "traces what runs",
    "import os; os.getcwd()": "looks at the working directory",
    "import socket; socket.socket(socket.AF_UNIX).bind('')": "speaks to others",
}


@pytest.mark.parametrize("code", DOES)
def test_what_a_fork_would_not_do_again_is_seen(watched, tmp_path, code):
    does = watched(code.format(folder=str(tmp_path)))["does"]
    assert any(str(tmp_path / "sitecustomize.py") in one and DOES[code] in one for one in does), does


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.excepthook = print",
        "import os; open(os.devnull, 'w')",
        "import a_module_beside",
        "import json, subprocess, threading, logging, socket",
    ],
)
def test_what_a_fork_has_too_is_nothing(watched, tmp_path, code):
    (tmp_path / "a_module_beside.py").write_text("x = 1")
    for _ in range(2):  # compiled, and read again
        assert watched(code)["does"] == []


@pytest.mark.parametrize(
    ("code", "reads"),
    [
        ("import os; os.environ.get('MINE')", ["MINE"]),
        ("import os; os.getenv('MINE'); 'YOURS' in os.environ", ["MINE", "YOURS"]),
        ("import os; os.environ.pop('MINE', None)", ["MINE"]),
        ("import os; os.environb.get(b'MINE')", ["MINE"]),
        ("import os; os.environ['MADE'] = '1'; os.environ.get('HOME'); os.environ.get('PYTHONPATH')", []),
    ],
)
def test_variables_that_are_looked_at_are_told(watched, code, reads):
    assert [
        name for name in watched(code)["reads"] if name in ("MINE", "YOURS", "MADE", "HOME", "*")
    ] == reads


def test_a_look_at_all_variables_is_told(watched):
    assert "*" in watched("import os; dict(os.environ)")["reads"]


def test_files_that_are_read_are_told(watched, tmp_path):
    (tmp_path / "mine.ini").write_text("x = 1")
    (tmp_path / "beside.py").write_text("x = 1")
    files = watched(f"import beside; open({str(tmp_path / 'mine.ini')!r})")["files"]
    assert {str(tmp_path / name) for name in ("mine.ini", "beside.py", "sitecustomize.py")} <= set(files)
    assert str(Path(os.__file__).with_name("json")) not in "".join(files)


def test_lines_of_pth_files_are_named(tmp_path):
    code = f"""
import json, site, sys
sys.path.insert(0, {FOLDER!r}); import startup_watch
site.main = lambda: site.addsitedir({str(tmp_path)!r})
watch = startup_watch.Watch()
watch.run()
print(json.dumps(watch.does))
"""
    (tmp_path / "mine.pth").write_text("import os; os.system('true')\n")
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, check=True, text=True)
    assert json.loads(done.stdout) == [f"{tmp_path / 'mine.pth'} starts a process"]


@pytest.mark.parametrize("code", ["import os; os._exit(0)", "raise SystemExit(3)"])
def test_an_interpreter_that_does_not_come_up_is_told(watched, code):
    assert watched(code)["does"] == ["start-up code cannot be watched: it ends or holds up the interpreter"]


def test_one_that_is_held_up_is_ended(watched, monkeypatch):
    monkeypatch.setattr(startup_code, "PATIENCE", 0.5)
    assert watched("import time; time.sleep(3600)")["does"] == [
        "start-up code cannot be watched: it ends or holds up the interpreter"
    ]
