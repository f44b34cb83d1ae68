"""Which launches can be forked, and what those of one template have in common."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from moorage.kinds import FORKABLE_MODULES
from moorage.process.base import LocalSpec
from moorage.regular import open_regular

if TYPE_CHECKING:
    from collections.abc import Mapping

# Read while an interpreter, its C library or a module that kernels import starts: a fork would not see a
# change. What else the imports read is known to tests/process/template/test_client.py.
_EARLY = (
    *("PYTHON", "_PYTHON", "LD_", "LC_", "MALLOC_", "GLIBC_", "OPENSSL_"),
    *(
        "PYDEV",
        "DEBUGPY_",
        "DEBUG_PYDEVD_",
        "PYCHARM_",
        "GEVENT_",
        "IPYTHON_",
        "TRAITLETS_",
        "TORNADO_",
        "PYZMQ_",
        "PSUTIL_",
    ),
)
_EARLY_NAMES = frozenset(
    {
        *("LANG", "LANGUAGE", "HOME", "USER", "IPYTHONENABLE", "PATHS_FROM_ECLIPSE_TO_PYTHON"),
        *("JPY_PARENT_PID", "JPY_INTERRUPT_EVENT", "JUPYTER_PLATFORM_DIRS", "JUPYTER_USE_PROGRAMDATA"),
        "JUPYTER_ALLOW_INSECURE_WRITES",
    }
)

# Their values are looked up from the working directory unless they are absolute.
_PLACES = ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX")

# Flags that take no further word and mean the same to the template; -c or a script would be something else.
_FLAG = re.compile(r"-(?:[bBdEIOPqRsSuvx]+|[XW].+)")

# Longest command line that ps shows of a kernel; the template is started with an argument to overwrite.
_ROOM = 512
# What is started, see there: by its name, and in interpreters that would not find it.
_ENTRY = "moorage_template"
_BY_PATH = (
    "__import__('runpy')._run_module_as_main("
    "__import__('runpy').run_path({path!r}, run_name={name!r})['module'])"
)


class TemplateKey(msgspec.Struct, frozen=True):
    """What two launches must have in common to be forked from one template.

    Attributes:
        command: the interpreter's path and its flags.
        env: variables that count from the first moment on.
        cwd: where relative entries of PYTHONPATH are looked up; else ``/``.
    """

    command: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cwd: str


def template_of(spec: LocalSpec) -> TemplateKey | None:
    """Return the template ``spec`` could be forked from, or None when it has to be spawned."""
    return None if obstacle(spec) else key_of(spec)


def obstacle(spec: LocalSpec) -> str:
    """Return why ``spec`` cannot be forked from any template, or an empty string."""
    if sys.platform != "linux":
        return "kernels are forked on Linux alone"
    if spec.stdin is not None:
        return "it has an input of its own"
    if spec.process:
        return "it has a user, limits or descriptors of its own"
    at = spec.argv.index("-m") if "-m" in spec.argv else len(spec.argv)
    if not FORKABLE_MODULES.intersection(spec.argv[at + 1 : at + 2]):
        return "ipykernel and kernels built on it are forked, and this is none of them"
    for flag in spec.argv[1:at]:
        if not _FLAG.fullmatch(flag):
            return f"no template has the interpreter's flag {flag!r}"
    program = _program(spec)
    return "" if program and _is_program(program) else f"{spec.argv[0]!r} is no interpreter itself"


def _program(spec: LocalSpec) -> str | None:
    return shutil.which(spec.argv[0], path=spec.env.get("PATH", os.defpath))


def key_of(spec: LocalSpec) -> TemplateKey:
    """Return what a launch that can be forked has in common with others of its template."""
    # An empty entry of PYTHONPATH is the working directory, an empty PYTHONPATH is none.
    paths = [path for name in _PLACES if (value := spec.env.get(name)) for path in value.split(os.pathsep)]
    relative = not all(map(os.path.isabs, paths))
    command = (_program(spec) or "", *spec.argv[1 : spec.argv.index("-m")])
    return TemplateKey(command, early(spec.env), spec.cwd if relative else "/")


def _is_program(path: str) -> bool:
    """Whether this is an interpreter itself; a script around one may do what a fork would not see."""
    try:
        with open_regular(path) as file:
            return Path(path).is_absolute() and file.read(4) == b"\x7fELF"
    except OSError:
        return False


def early(env: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the variables that count from a process's first moment on, sorted."""
    counts = {name for name in env if name.startswith(_EARLY)} | (_EARLY_NAMES & env.keys())
    return tuple(sorted((name, env[name]) for name in counts))


def entry(key: TemplateKey, env: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the command and the environment by which a template is started."""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "entry")  # noqa: PTH100, PTH118, PTH120 - bytes for bytes what the template makes of its __file__
    deaf = any(not flag.startswith(("-X", "-W")) and set("EI") & set(flag) for flag in key.command[1:])
    if deaf or os.pathsep in folder:
        code = _BY_PATH.format(path=f"{folder}/{_ENTRY}.py", name=_ENTRY)
        return (*key.command, "-c", code, "-" * _ROOM), dict(env)
    paths = [*filter(None, [env.get("PYTHONPATH")]), folder]
    argv = (*key.command, "-m", f"{_ENTRY}.serve", "-" * _ROOM)
    return argv, {**env, "PYTHONPATH": os.pathsep.join(paths)}


def unlike(reads: Mapping[str, str | None], spec: LocalSpec) -> list[str]:
    """Return those of the variables that ``spec`` has otherwise than a template."""
    return sorted(name for name, value in reads.items() if spec.env.get(name) != value)
