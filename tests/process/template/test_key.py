"""Which launches can be forked, and which of them from one template."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from moorage.kinds import FORKABLE_MODULES
from moorage.process.base import LocalSpec
from moorage.process.template import key
from moorage.process.template.key import TemplateKey, template_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="templates need Linux")

ARGV = (sys.executable, "-m", "ipykernel_launcher", "-f", "kernel.json")
ENV = {"PATH": os.environ["PATH"], "HOME": "/home/ada", "LANG": "C.UTF-8"}


def wanted(argv=ARGV, cwd="/", env=None, **rest):
    return LocalSpec(tuple(argv), cwd, {**ENV, **(env or {})}, **rest)


class TestWhatCanBeForked:
    def test_the_usual_command(self):
        assert template_of(wanted()) == TemplateKey(
            (sys.executable,), (("HOME", "/home/ada"), ("LANG", "C.UTF-8")), "/"
        )

    @pytest.mark.parametrize("module", sorted(FORKABLE_MODULES))
    def test_kernels_built_on_ipykernel(self, module):
        assert template_of(wanted((sys.executable, "-m", module, "-f", "x"))) is not None

    @pytest.mark.parametrize(
        "flags", [["-Xfrozen_modules=off"], ["-I"], ["-sE", "-Wignore"], ["-OO"], ["-P"]]
    )
    def test_flags_belong_to_the_template(self, flags):
        template = template_of(wanted((sys.executable, *flags, *ARGV[1:])))
        assert template.command == (sys.executable, *flags)

    def test_a_program_is_found_on_the_childs_path(self, tmp_path):
        (tmp_path / "my-python").symlink_to(sys.executable)
        argv = ("my-python", *ARGV[1:])
        assert template_of(wanted(argv)) is None
        assert template_of(wanted(argv, env={"PATH": str(tmp_path)})).command == (
            str(tmp_path / "my-python"),
        )

    @pytest.mark.timeout(60)
    def test_a_pipe_in_the_place_of_the_program_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "python", 0o700)
        for name in ("python", str(tmp_path / "python")):
            spec = wanted((name, *ARGV[1:]), env={"PATH": str(tmp_path)})
            assert template_of(spec) is None
            assert "is no interpreter itself" in key.obstacle(spec)

    @pytest.mark.parametrize(
        "name", ["PATH", "TZ", "TMPDIR", "DISPLAY", "TERM", "IPYTHONDIR", "MPLBACKEND", "MINE", "DEBUG"]
    )
    def test_variables_that_a_fork_can_still_take(self, name):
        env = {name: os.environ["PATH"] + ":/elsewhere"}
        assert template_of(wanted(env=env)) == template_of(wanted())

    def test_the_working_directory_and_further_arguments(self):
        assert template_of(wanted((*ARGV, "--debug"), "/tmp")) == template_of(wanted())


class TestWhatNeedsATemplateOfItsOwn:
    @pytest.mark.parametrize(
        "name",
        [
            *("PYTHONPATH", "PYTHONHASHSEED", "PYTHONUSERBASE", "LD_LIBRARY_PATH", "LD_PRELOAD"),
            *("LC_ALL", "LC_CTYPE", "LANG", "LANGUAGE", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "HOME", "USER"),
            *("PYDEVD_DISABLE_FILE_VALIDATION", "PYDEV_DEBUG", "DEBUGPY_LOG_DIR", "JPY_PARENT_PID"),
            *("IPYTHONENABLE", "JUPYTER_PLATFORM_DIRS", "PYZMQ_BACKEND", "TORNADO_EXTENSION"),
        ],
    )  # fmt: skip
    def test_another_environment_from_the_first_moment_on(self, name):
        other = template_of(wanted(env={name: "/another"}))
        assert (name, "/another") in other.env
        assert other != template_of(wanted())

    @pytest.mark.parametrize(
        ("path", "cwd"),
        [
            ("", "/"), ("/lib", "/"), ("/lib:/more", "/"),
            ("lib", "/work"), ("/lib:more", "/work"), ("/lib:", "/work"), (":/lib", "/work"), (".", "/work"),
        ],
    )  # fmt: skip
    def test_relative_search_paths_are_looked_up_where_the_kernel_starts(self, path, cwd):
        assert template_of(wanted(cwd="/work", env={"PYTHONPATH": path})).cwd == cwd

    def test_another_interpreter(self, tmp_path):
        other = tmp_path / "python"
        other.symlink_to(sys.executable)
        assert template_of(wanted((str(other), *ARGV[1:]))) != template_of(wanted())


class TestWhatMustBeSpawned:
    @pytest.mark.parametrize(
        "argv",
        [
            (sys.executable, "-c", "import ipykernel_launcher", "-m"),
            (sys.executable, "-c", "0", "-m", "ipykernel_launcher"),
            (sys.executable, "script.py", "-m", "ipykernel_launcher"),
            (sys.executable, "-X", "dev", "-m", "ipykernel_launcher"),
            (sys.executable, "-i", "-m", "ipykernel_launcher"),
            (sys.executable, "-m", "other_kernel"),
            (sys.executable, "-m", "xpython", "-m", "ipykernel_launcher"),
            (sys.executable, "-m"),
            (sys.executable,),
            ("no-such-python", "-m", "ipykernel_launcher"),
            ("bin/python", "-m", "ipykernel_launcher"),
            ("R", "--slave", "-e", "IRkernel::main()"),
        ],
    )  # fmt: skip
    def test_other_commands(self, argv):
        assert template_of(wanted(argv)) is None

    def test_an_interpreter_behind_a_script(self, tmp_path):
        script = tmp_path / "python"
        script.write_text(f'#!/bin/sh\nexport FROM_THE_SCRIPT=1\nexec {sys.executable} "$@"\n')
        script.chmod(0o755)
        assert template_of(wanted((str(script), *ARGV[1:]))) is None

    def test_a_program_found_from_the_working_directory(self):
        assert template_of(wanted(("python", *ARGV[1:]), env={"PATH": "bin:."})) is None

    def test_a_process_with_an_input(self):
        assert template_of(wanted(stdin=0)) is None

    def test_where_there_are_no_templates(self, monkeypatch):
        monkeypatch.setattr(sys, "platform", "darwin")
        assert template_of(wanted()) is None


READ = """
import os, sys
original, names = type(os.environ).__getitem__, set()
def read(self, name):
    names.add(os.fsdecode(name))
    return original(self, name)
type(os.environ).__getitem__ = read
sys.path.insert(0, {folder!r})
import preloaded
preloaded.preload()
print(*sorted(names))
"""

HARMLESS = {
    # read again when they count, or of use to nothing that kernels do
    "ANDROID_DATA": "decides whether this is Android",
    "DISPLAY": "pydevd: whether its own console may show windows",
    "IN_SPHINX_RUN": "IPython: how its own documentation is made",
    "PATH": "a program is run",
    "PYREPL_TRACE": "the interactive interpreter of Python 3.14: where it writes what it does",
    "TERM": "IPython: how a terminal's title is set; a kernel has none",
}


def test_every_variable_that_imports_read_is_known():
    code = READ.format(folder=str(Path(key.__file__).parent))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    unknown = {name for name in done.stdout.split() if not key.early({name: ""})} - set(HARMLESS)
    assert unknown == set(), "decide whether a fork may have another value than its template had"
