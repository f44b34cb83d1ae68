"""Entering an environment: what ``activate`` does, for a kernel.

What conda's own scripts set (etc/conda/activate.d) is found by running them: nothing else knows.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from moorage.regular import read_regular

_log = logging.getLogger("moorage.discovery")

Kind = Literal["venv", "conda", "python"]

# Variables that another environment has set.
_OF_VENV = ("VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT")
_OF_CONDA = ("CONDA_PREFIX", "CONDA_DEFAULT_ENV", "CONDA_PROMPT_MODIFIER", "CONDA_SHLVL")
_MISLEADING = ("PYTHONHOME", "__PYVENV_LAUNCHER__")

# What a shell sets for itself.
_SHELLS = ("_", "SHLVL", "PWD", "OLDPWD")
# Seconds the scripts of one environment may take: compilers' take a tenth of one.
_SCRIPTS_SECONDS = 20.0
# However a script ends, what it had exported by then is written; `command -p` finds env without its PATH.
_RUN_SCRIPTS = """\
exec 3>&1 1>/dev/null 2>/dev/null </dev/null
trap 'command -p env -0 >&3' EXIT
for script do . "$script"; done
"""


@dataclass(frozen=True)
class Activation:
    """How one environment is entered.

    Attributes:
        prefix: its folder.
        kind: ``venv``; ``conda``, also mamba's and pixi's; ``python``, an interpreter without environment.
        name: what its tools call it.
        project: the project it belongs to, where pixi made it.
    """

    prefix: Path
    kind: Kind
    name: str
    project: Path | None = None

    @property
    def programs(self) -> tuple[Path, ...]:
        """Folders of its programs, most important first."""
        folders: tuple[Path, ...] = (self.prefix / "bin",)
        if sys.platform == "win32":
            library = self.prefix / "Library"
            more = (self.prefix, library / "mingw-w64" / "bin", library / "bin")
            folders = (*(() if self.kind == "venv" else more), self.prefix / "Scripts")
        return folders

    def files(self) -> list[Path]:
        """Return the files that say what is set inside the environment, as far as they are there."""
        conda = self.prefix / "etc" / "conda"
        named = [self.prefix / "pyvenv.cfg", self.prefix / "conda-meta" / "state"]
        with suppress(OSError):
            named += sorted([*(conda / "activate.d").glob("*.sh"), *(conda / "env_vars.d").glob("*.json")])
        return [path for path in named if path.is_file()]

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return ``base`` as it is inside the environment.

        The scripts of a conda environment are run once for each ``base``, until one of them changes; that
        takes milliseconds, and at most 20 s.
        """
        foreign = {*_MISLEADING, *_OF_VENV, *_OF_CONDA}
        inside = {key: value for key, value in base.items() if key not in foreign}
        own = [str(folder) for folder in self.programs]
        rest = [part for part in base.get("PATH", os.defpath).split(os.pathsep) if part not in own]
        inside["PATH"] = os.pathsep.join([*own, *rest])
        if self.kind == "venv":
            inside |= {"VIRTUAL_ENV": str(self.prefix), "VIRTUAL_ENV_PROMPT": self.name}
        elif self.kind == "conda":
            inside |= self._of_conda()
            if sys.platform != "win32" and (scripts := _scripts(self.prefix)):
                inside = dict(_after(scripts, frozenset(inside.items())))
        return inside

    def _of_conda(self) -> dict[str, str]:
        variables = {
            "CONDA_PREFIX": str(self.prefix),
            "CONDA_DEFAULT_ENV": self.name,
            "CONDA_PROMPT_MODIFIER": f"({self.name}) ",
            "CONDA_SHLVL": "1",
        }
        if self.project is not None:
            variables |= {
                "PIXI_PROJECT_ROOT": str(self.project),
                "PIXI_ENVIRONMENT_NAME": self.prefix.name,
                "PIXI_IN_SHELL": "1",
            }
        return variables | _kept_variables(self.prefix)


def around(program: Path) -> Activation | None:
    """Return the environment that a program lies in, by the marks that its tools leave; None for none.

    Args:
        program: absolute; what it may link to does not matter.
    """
    prefix = program.parent.parent if program.parent.name in {"bin", "Scripts"} else program.parent
    if not program.is_absolute():
        return None
    if (prefix / "pyvenv.cfg").is_file():
        return Activation(prefix, "venv", prefix.name)
    if (prefix / "conda-meta").is_dir():
        pixi = prefix.parent.name == "envs" and prefix.parent.parent.name == ".pixi"
        return Activation(prefix, "conda", prefix.name, prefix.parent.parent.parent if pixi else None)
    return None


def _kept_variables(prefix: Path) -> dict[str, str]:
    """Return what ``conda env config vars set`` keeps, and what packages ask for in etc/conda/env_vars.d.

    Source: "Managing environments" in conda's documentation, and CEP 15 for the file's place.
    """
    try:
        packages = sorted((prefix / "etc" / "conda" / "env_vars.d").glob("*.json"))
    except OSError:
        packages = []
    kept: dict[str, str] = {}
    for path in (*packages, prefix / "conda-meta" / "state"):
        try:
            content = json.loads(read_regular(path))
            table = content["env_vars"] if path.name == "state" else content
            kept |= {str(key): str(value) for key, value in table.items() if value != "***unset***"}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # not there, or not of that form: conda passes over it, too
    return kept


def _scripts(prefix: Path) -> tuple[tuple[str, int], ...]:
    """Return the activation scripts in their order, each with when it last changed."""
    try:
        found = sorted((prefix / "etc" / "conda" / "activate.d").glob("*.sh"))
        return tuple((str(path), path.stat().st_mtime_ns) for path in found)
    except OSError:
        return ()


@lru_cache(maxsize=64)
def _after(
    scripts: tuple[tuple[str, int], ...], before: frozenset[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    """Return the environment after the scripts, given the one before; that one where they write none."""
    base = dict(before)
    # As conda does: its packages write for bash and test with it.
    shell = shutil.which("bash", path=base["PATH"]) or "/bin/sh"
    words = [shell, "-c", _RUN_SCRIPTS, "activate", *(path for path, _ in scripts)]
    written = _run(words, base)
    after = dict(entry.split("=", 1) for entry in os.fsdecode(written).split("\0") if "=" in entry)
    if not after:
        _log.warning("the activation scripts in %s wrote no environment", Path(scripts[0][0]).parent)
        return tuple(before)
    for key in _SHELLS:
        after.pop(key, None)
        if key in base:
            after[key] = base[key]
    return tuple(after.items())


def _run(words: list[str], env: Mapping[str, str]) -> bytes:
    """Run a command to its end, or until its time is over; returns what it wrote, all of it or nothing."""
    try:
        process = subprocess.Popen(
            words,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return b""
    with process:
        try:
            return process.communicate(timeout=_SCRIPTS_SECONDS)[0]
        except subprocess.TimeoutExpired:
            return b""
        finally:
            if process.returncode is None and sys.platform != "win32":
                with suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
