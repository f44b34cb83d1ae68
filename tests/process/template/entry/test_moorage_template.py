"""A fork's stack, `__main__` and surroundings beside those of a process started for itself."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import venv

import pytest

from moorage.process.template.entry import moorage_template
from moorage.process.template.key import TemplateKey, entry
from moorage.process.warden.process import payload

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="templates need Linux")

LAUNCHER = """
import sys
def run(code):
    exec(code)
if __name__ == "__main__":
    run(sys.argv[1])
"""

LOOK = """
import __main__, json, os, sys
frames, frame = [], sys._getframe()
while frame is not None:
    code, held = frame.f_code, {}
    if frame.f_globals.get("__name__") == "runpy":
        held = {name: value for name, value in frame.f_locals.items() if name != "run_globals"}
    frames.append([code.co_filename, code.co_name, frame.f_lineno, sorted(frame.f_locals), repr(held)])
    frame = frame.f_back
print(json.dumps({
    "frames": frames[::-1],
    "main": [(name, repr(value)) for name, value in sorted(vars(__main__).items()) if name != "__builtins__"],
    "argv": [sys.argv, getattr(sys, "orig_argv", None)],
    "path": sys.path,
    "finders": [repr(each) for each in [*sys.meta_path, *sys.path_hooks]],
    "runpy": [name for name in sys.modules if "runpy" in name],
    "ours": [name for name in [*sys.modules, *sys.path_importer_cache] if "moorage_" in name],
    "error": repr(sys.exc_info()),
    "hooks": repr([sys.excepthook, sys.gettrace()]),
    "variables": sorted(os.environ.items()),
}))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An interpreter that has something in the place of ipykernel, and no moorage."""
    folder = tmp_path_factory.mktemp("python")
    venv.create(folder, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    for name, text in {
        "ipykernel/__init__.py": "",
        "ipykernel/kernelapp.py": "",
        "ipykernel_launcher.py": LAUNCHER,
        "bash_kernel/__init__.py": "import sys\nseen = sys.argv[:1]\n",
        "bash_kernel/__main__.py": LAUNCHER,
    }.items():
        (packages / name).parent.mkdir(exist_ok=True)
        (packages / name).write_text(text)
    return str(folder / "bin" / "python")


def spawned(command, module, code, cwd, env):
    argv = [*command, "-m", module, code]
    done = subprocess.run(argv, capture_output=True, check=False, text=True, cwd=cwd, env=env)
    return done.stdout, done.stderr


REAPER = """
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
template = subprocess.Popen(sys.argv[1:], stdin=0)
template.wait()
os.close(0)
while True:
    try:
        os.wait()
    except ChildProcessError:
        sys.exit(0)
"""


@contextlib.contextmanager
def template(command, cwd, env):
    """Start a template under a subreaper; yields what asks it for a kernel and returns what that printed."""
    argv, surroundings = entry(TemplateKey(tuple(command), (), cwd), env)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", REAPER, *argv], stdin=theirs, cwd=cwd, env=surroundings
        )

    def ask(module, code):
        spec = {"argv": [*command, "-m", module, code], "cwd": cwd, "env": env}
        (hear, report), (said, stdout), (wrong, stderr) = os.pipe(), os.pipe(), os.pipe()
        fds = [payload(json.dumps(spec).encode()), stdout, stderr, report]
        socket.send_fds(ours, [b"fork"], fds)
        for fd in fds:
            os.close(fd)
        with os.fdopen(hear) as told, os.fdopen(said) as output, os.fdopen(wrong) as errors:
            assert told.read().startswith("pid ")
            return output.read(), errors.read()

    with process, ours:
        yield ask


def comparable(printed):
    return json.loads(re.sub(r"0x[0-9a-f]{6,}", "ADDRESS", printed))


ENV = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}

FLAGS = {
    "plain": [],
    "flags": ["-Xfrozen_modules=off", "-O", "-sb"],
    "no directory first": ["-P"] if sys.version_info >= (3, 11) else [],
}


@pytest.mark.parametrize("module", ["ipykernel_launcher", "bash_kernel"])
@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
def test_a_fork_shows_what_a_spawned_one_shows(python, tmp_path, module, flags):
    env = {**ENV, "MINE": "1"}
    command, cwd = [python, *flags], str(tmp_path)
    alone, errors = spawned(command, module, LOOK, cwd, env)
    assert errors == ""
    with template(command, cwd, env) as ask:
        forked, errors = ask(module, LOOK)
    assert errors == ""
    assert comparable(forked) == comparable(alone)
    assert comparable(forked)["ours"] == []
    assert [frame[1] for frame in comparable(forked)["frames"]] == [
        *("_run_module_as_main", "_run_code", "<module>", "run", "<module>")
    ]


@pytest.mark.parametrize("path", ["lib", "", ".", "/nowhere:lib:"])
def test_search_paths_that_are_looked_up_where_the_kernel_starts(python, tmp_path, path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "sitecustomize.py").write_text("import sys; sys.found = __file__")
    env = {**ENV, "PYTHONPATH": path}
    look = f"{LOOK}\nprint(getattr(sys, 'found', None))"
    alone = spawned([python], "ipykernel_launcher", look, str(tmp_path), env)
    with template([python], str(tmp_path), env) as ask:
        forked = ask("ipykernel_launcher", look)
    for one, other in zip(*(each[0].splitlines() for each in (alone, forked)), strict=True):
        assert re.sub(r"0x[0-9a-f]{6,}", "", one) == re.sub(r"0x[0-9a-f]{6,}", "", other)


@pytest.mark.parametrize("flag", ["-I", "-E", "-sE"])
def test_where_no_path_may_be_added_one_frame_is_left_which_is_no_files(python, tmp_path, flag):
    env, command = dict(ENV), [python, flag]
    alone, _ = spawned(command, "ipykernel_launcher", LOOK, str(tmp_path), env)
    with template(command, str(tmp_path), env) as ask:
        forked, errors = ask("ipykernel_launcher", LOOK)
    alone, forked = comparable(alone), comparable(forked)
    assert forked["frames"].pop(0)[:2] == ["<string>", "<module>"]
    assert (forked, errors) == (alone, "")


ENDS = {
    "an error": "1 / 0",
    "a status": "raise SystemExit(3)",
    "a word": "raise SystemExit('a word')",
    "an error at the end": "class A:\n    def __del__(self): 1 / 0\na = A()",
    "an error in an exit function": "import atexit; atexit.register(lambda: 1 / 0)",
    "none": "print('said')",
}


@pytest.mark.parametrize("flags", [[], ["-I"]], ids=["by its name", "by its path"])
def test_errors_and_ends_are_told_alike(python, flags):
    env, command = dict(ENV), [python, *flags]
    with template(command, "/", env) as ask:
        for name, code in ENDS.items():
            alone = spawned(command, "ipykernel_launcher", code, "/", env)
            output, errors = ask("ipykernel_launcher", code)
            if flags:
                errors = re.sub(r'  File "<string>", line 1, in <module>\n(    .*\n)*', "", errors, count=1)
            pattern = r"0x[0-9a-f]{6,}"
            assert (output, re.sub(pattern, "", errors)) == (alone[0], re.sub(pattern, "", alone[1])), name


def test_a_module_that_is_not_there_is_missed_alike(python):
    env = dict(ENV)
    with template([python], "/", env) as ask:
        for module in ("no_such_kernel", "json"):
            alone = spawned([python], module, "", "/", env)
            assert alone[1]
            assert ask(module, "") == alone


def test_a_runpy_of_another_shape_runs_the_kernel_from_where_the_template_is(python, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import runpy; each = runpy._get_module_details\n"
        "each.__code__ = each.__code__.replace(co_name='another')"
    )
    env = {**ENV, "PYTHONPATH": str(tmp_path)}
    with template([python], "/", env) as ask:
        output, errors = ask("ipykernel_launcher", LOOK)
        assert ask("ipykernel_launcher", "raise SystemExit('a word')") == ("", "a word\n")
    names = [frame[1] for frame in json.loads(output)["frames"]]
    assert names[:2] == ["_run_module_as_main", "another"]
    assert names[-5:] == ["_run_module_as_main", "_run_code", "<module>", "run", "<module>"]
    assert errors == ""


def test_a_frame_without_the_variable_is_left_alone():
    frame = sys._getframe()
    assert not moorage_template.look_for(frame, "a module")
    assert moorage_template.looking() is None
