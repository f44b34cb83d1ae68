"""The Python of an offer: which one it is, what is installed there, what entering its environment sets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from moorage.discovery.activation import around
from moorage.errors import UsageError

PATIENCE = 120
"""Seconds that an interpreter may take to say what it has: a slow disk, a cold start."""
_ASKED = ("jupyterlab", "notebook", "jupyter_server", "moorage")
_LOOK = (
    "import importlib.util as u, json, sys\n"
    "has = [name for name in sys.argv[1:] if u.find_spec(name) is not None]\n"
    "print(json.dumps([list(sys.version_info[:2]), has]))"
)
_FOLDERS = "import json, sys\nprint(json.dumps([sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path]))"


_ASKING = frozenset({"PATH", "LD_LIBRARY_PATH", "HOME"})


@dataclass(frozen=True)
class Interpreter:
    """One interpreter.

    Args:
        program: path of it.
        version: its first two numbers.
        modules: those of the ones asked for that it has: servers, and moorage.
        below: folder of the environment whose packages it sees, too; None for none.
    """

    program: Path
    version: tuple[int, int]
    modules: frozenset[str]
    below: Path | None = None

    @property
    def apart(self) -> str:
        """Option that keeps the working directory, in which visitors write, from its imports."""
        return "-P" if self.version >= (3, 11) else "-I"

    def variables(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return the variables that are others inside its environment than in ``base``.

        Kernels are started by moorage's provisioner where that is installed, else by Jupyter's own.
        """
        environment = around(self.program)
        inside = {} if environment is None else environment.environment(base)
        changed = {name: value for name, value in inside.items() if base.get(name) != value}
        if self.below is not None:
            changed |= _seen_below(self.below, changed.get("PATH", ""))
        if "moorage" not in self.modules:
            changed["JUPYTER_DEFAULT_PROVISIONER_NAME"] = "local-provisioner"
        return changed


def _seen_below(below: Path, path: str) -> dict[str, str]:
    """Return the variables by which programs, kernels and extensions of an environment below are found."""
    own, _, rest = path.partition(os.pathsep)
    seen = {
        "PATH": os.pathsep.join(each for each in (own, f"{below}/bin", rest) if each),
        "JUPYTER_PATH": f"{below}/share/jupyter",
        "JUPYTER_CONFIG_PATH": f"{below}/etc/jupyter",
    }
    if (below / "share/jupyter/lab/static").is_dir():
        seen["JUPYTERLAB_DIR"] = f"{below}/share/jupyter/lab"
    return seen


def look_at(path: Path) -> Interpreter:
    """Ask an interpreter what it has.

    Args:
        path: of it, or of the folder of its environment.

    Raises:
        UsageError: there is none, or it does not run.
    """
    programs = [path / "bin" / name for name in ("python", "python3")] if path.is_dir() else [path]
    program = next((each for each in programs if each.is_file()), None)
    if program is None:
        why = "There is no bin/python in this folder" if path.is_dir() else "There is no such file"
        raise UsageError(f"the environment {path} cannot be used", why=why, do="Name a folder or a program")
    try:
        done = subprocess.run(
            [program, "-I", "-c", _LOOK, *_ASKED],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=PATIENCE,
            env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        )
        version, modules = json.loads(done.stdout)
        return Interpreter(program, (version[0], version[1]), frozenset(modules))
    except subprocess.TimeoutExpired:
        why = f"It did not answer within {PATIENCE} s"
    except OSError as error:
        why = error.strerror or str(error)
    except (ValueError, TypeError, IndexError):
        said = done.stderr.decode(errors="replace").strip().splitlines()
        why = said[-1] if said else f"It ended with exit code {done.returncode}"
    raise UsageError(
        f"the interpreter {program} does not run", why=why, do="Type its path, and see what it says"
    )


def folders_of(program: Path) -> frozenset[Path]:
    """Ask an interpreter which folders it reads; none where it does not run.

    Args:
        program: path of it.
    """
    try:
        done = subprocess.run(
            [program, "-I", "-c", _FOLDERS], stdin=subprocess.DEVNULL, capture_output=True, check=False,
            timeout=PATIENCE, env={name: value for name, value in os.environ.items() if name in _ASKING},
        )  # fmt: skip
        folders = {Path(each) for each in json.loads(done.stdout) if each}
        return frozenset(
            folders | {above for each in folders if (above := _environment_of(each)) is not None}
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return frozenset()


def _environment_of(packages: Path) -> Path | None:
    """Return the environment that a folder of packages belongs to: programs and data of these are there."""
    if packages.name != "site-packages" or len(packages.parts) < 5:
        return None
    above = packages.parents[2]
    return above if (above / "pyvenv.cfg").is_file() else None


def own_interpreter() -> Interpreter:
    """Return the interpreter of this process."""
    from importlib.util import find_spec  # noqa: PLC0415 - where it is asked

    has = frozenset(name for name in _ASKED if find_spec(name) is not None)
    return Interpreter(Path(sys.executable), sys.version_info[:2], has)
