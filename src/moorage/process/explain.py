"""Why a process could not be started, in words."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from moorage.errors import LaunchError, UsageError
from moorage.kinds import DESCRIPTORS
from moorage.process.netns import probe
from moorage.process.walls.probe import explained
from moorage.regular import open_regular

if TYPE_CHECKING:
    from moorage.process.base import LocalSpec


def explain(spec: LocalSpec, stage: str, number: int) -> LaunchError | UsageError:
    """Turn a failed step into an error that says what to do.

    Args:
        spec: what should have been started.
        stage: ``descriptors``, ``fork``, ``chdir``, ``exec``, ``user``, ``rlimits``, ``groups`` or a
            :class:`moorage.process.netns.enter.EnterRefused`'s, or a
            :class:`moorage.process.walls.inside.WallRefused`'s.
        number: the errno the step failed with.
    """
    if stage.startswith("isolate/"):
        return probe.explain(stage, number)
    if stage.startswith("walls"):
        return explained(stage, number)
    program = spec.argv[0] if spec.argv else ""
    what = f"{program!r} cannot be started"
    match stage:
        case "chdir":
            told = _directory(spec.cwd, number)
        case "exec":
            told = _program(spec, program, number)
        case "groups":
            told = {"why": f"it cannot go into its control group: {os.strerror(number)}"}
        case "user" | "rlimits":
            told = _confined(spec, stage, number)
        case _:
            told = exhausted(number)
    return LaunchError(what, **told)


def exhausted(number: int) -> dict[str, str]:
    """Return why there is no room for a process, and what to do about it, as ``why`` and ``do``.

    Args:
        number: the errno that says so.
    """
    match number:
        case errno.EBADF:
            return {"why": "a descriptor that it was to be given is not open", "do": "Open it first"}
        case errno.EMFILE | errno.ENFILE:
            return {"why": "too many files are open", "do": "Raise `ulimit -n` or launch fewer at once"}
        case errno.EAGAIN:
            do = "Raise `ulimit -u` or launch fewer at once"
            return {"why": "this user may start no more processes", "do": do}
        case _:
            return {"why": os.strerror(number), "do": "Free memory or launch fewer at once"}


def _directory(cwd: str, number: int) -> dict[str, str]:
    match number:
        case errno.ENOENT:
            return {"why": f"there is no directory {cwd!r} to start it in", "do": "Create it or name another"}
        case errno.ENOTDIR:
            return {"why": f"{cwd!r} is not a directory", "do": "Name a directory to start it in"}
        case errno.EACCES:
            return {"why": f"the directory {cwd!r} may not be entered", "do": f"Try `chmod u+x {cwd}`"}
        case _:
            return {"why": f"{cwd!r}: {os.strerror(number)}", "do": "Name another directory to start it in"}


def _program(spec: LocalSpec, program: str, number: int) -> dict[str, str]:
    path = _find(spec, program)
    if number in (errno.ENOENT, errno.ENOTDIR):
        return _missing(program, path)
    why, do = {
        errno.EACCES: _not_executable(spec, path or program),
        errno.ENOEXEC: (
            "it is neither a program for this machine nor a script with a #! line",
            "Name the interpreter first",
        ),
        errno.E2BIG: ("its arguments and environment are too long", "Shorten them"),
        errno.EINVAL: ("its arguments or environment hold a zero byte or an empty name", "Remove it"),
    }.get(number, (os.strerror(number), "Try to start it by hand"))
    return {"why": why, "do": do}


def _not_executable(spec: LocalSpec, path: str) -> tuple[str, str]:
    if spec.process is not None and spec.process.user is not None:
        return f"the user {spec.process.user} may not execute it", f"Let that user reach and execute {path}"
    return "it is not executable", f"Try `chmod +x {path}`"


def _confined(spec: LocalSpec, stage: str, number: int) -> dict[str, str]:
    if stage == "rlimits":
        return {
            "why": f"its limits cannot be set: {os.strerror(number)}",
            "do": "Only root may raise a hard limit, and no soft limit may be above it",
        }
    assert spec.process is not None
    named = ("user", spec.process.user), ("group", spec.process.group), ("groups", spec.process.extra_groups)
    wanted = " and ".join(f"{kind} {name}" for kind, name in named if name is not None)
    return {
        "why": f"this process may not start one of {wanted}: {os.strerror(number)}",
        "do": "Run it as root, or leave user and group out",
    }


def _missing(program: str, path: str | None) -> dict[str, str]:
    if path is not None and (interpreter := _interpreter(path)):
        return {
            "why": f"its first line names the interpreter {interpreter!r}, which does not exist",
            "do": f"Install {interpreter} or correct the first line of {path}",
        }
    if "/" in program:
        return {"why": f"there is no program {program!r}", "do": "Install it or correct the path"}
    return {
        "why": "no directory of its PATH holds a program of that name",
        "do": "Install it, or give its whole path",
    }


def _find(spec: LocalSpec, program: str) -> str | None:
    if "/" in program:
        path = Path(spec.cwd, program)
        return str(path) if path.is_file() else None
    return shutil.which(program, path=spec.env.get("PATH", os.defpath))


def _interpreter(path: str) -> str:
    """Return the interpreter that a script's first line names, if that does not exist."""
    try:
        with open_regular(path) as file:
            line = file.readline(256)
    except OSError:
        return ""
    words = os.fsdecode(line[2:]).split() if line.startswith(b"#!") else []
    return words[0] if words and not Path(words[0]).exists() else ""


def few_descriptors() -> str:
    """Return what to do where the limit on open files may be why a kernel did not come up; else nothing.

    A kernel inherits the limit. Python tells where it was met, ZeroMQ waits in silence or aborts.
    """
    if sys.platform == "win32":
        return ""
    import resource  # noqa: PLC0415 - not there on Windows

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not 0 <= soft < DESCRIPTORS:
        return ""
    needs = "about what a kernel needs to start"
    return f"The limit on open files is {soft}, {needs}: raise it with `ulimit -n 1024`"
