"""WHERE environments lie: in the project, and in the usual places of the tools that make them.

Folders are looked at, no tool is called: conda takes a second to answer and poetry half a one.
"""

from __future__ import annotations

import base64
import hashlib
import os
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from moorage.configuration import REPOSITORY
from moorage.discovery.base import Around
from moorage.regular import read_text
from moorage.trust import Distrust, distrust, distrust_folder

Maker = Literal["venv", "uv", "poetry", "conda", "pixi", "pyenv"]

_LARGEST = 4 << 20  # bytes of a file that is read
_IN_PROJECT = (".venv", "venv", "env")
_MANIFESTS = ("pyproject.toml", "pixi.toml", "moorage.toml", "setup.py", "setup.cfg", "requirements.txt")
_CONDA_HOMES = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba", "miniconda", "anaconda")
_CONDA_SHARED = ("/opt/conda", "/opt/miniconda3", "/opt/miniforge3", "/opt/anaconda3", "/opt/mambaforge")


class EnvironmentFolder(msgspec.Struct, frozen=True):
    """One environment, as its folder shows it.

    Attributes:
        prefix: absolute path of it.
        maker: the tool that made it, which is the one to install with.
        name: what that tool calls it.
        project: folder of the project it belongs to; None for one that belongs to the user.
        distrust: why nothing of it may run, which leaves the other attributes guesses; None where all may.
    """

    prefix: Path
    maker: Maker
    name: str
    project: Path | None = None
    distrust: Distrust | None = None


def environment_folders(around: Around) -> list[EnvironmentFolder]:
    """Return all environments, nearest first, each once."""
    found: dict[Path, EnvironmentFolder] = {}
    for each in (_active, _of_projects, _configured, _of_user, _of_conda):
        for environment in each(around):
            # Resolved for comparing alone: what users see is the path they know.
            with suppress(OSError, RuntimeError):
                found.setdefault(environment.prefix.resolve(), environment)
    return list(found.values())


def environment_at(prefix: Path, project: Path | None = None) -> EnvironmentFolder | None:
    """Return what the folder ``prefix`` is, or None when it is no environment.

    Args:
        prefix: absolute path.
        project: the project it belongs to, if any.
    """
    try:
        if (prefix / "conda-meta").is_dir():
            if prefix.parent.name == "envs" and prefix.parent.parent.name == ".pixi":
                return EnvironmentFolder(prefix, "pixi", prefix.name, project or prefix.parent.parent.parent)
            # The root of an installation holds the others' folder or conda itself; it is called base.
            root = (prefix / "condabin").is_dir() or (prefix / "envs").is_dir()
            return EnvironmentFolder(
                prefix, "conda", "base" if root and project is None else prefix.name, project
            )
        marker = _text(prefix / "pyvenv.cfg")
        if marker is not None:
            return EnvironmentFolder(prefix, _maker(marker, prefix, project), prefix.name, project)
    except (OSError, ValueError):  # ValueError: a path with a zero byte, read from a file
        pass
    return None


def trusted_environment_at(prefix: Path, project: Path | None = None) -> EnvironmentFolder | None:
    """Return what :func:`environment_at` returns, for a folder that only its path names.

    One that another user may write to is returned with the reason not to trust it, and not read.

    Args:
        prefix: absolute path.
        project: the project it belongs to, if any.
    """
    try:
        reason = _distrust(prefix)
    except (OSError, ValueError):  # it is no environment, or goes away just now
        reason = None
    if reason is None:
        return environment_at(prefix, project)
    return EnvironmentFolder(prefix, "venv", prefix.name, project, reason)


def _distrust(prefix: Path) -> Distrust | None:
    """Tell why an environment does not count: by its folder, what marks it, and its programs."""
    if not any(os.path.lexists(prefix / each) for each in ("pyvenv.cfg", "conda-meta")):
        return None
    if (reason := distrust_folder(prefix)) is not None:
        return reason
    programs = prefix / ("Scripts" if sys.platform == "win32" else "bin")
    for file in (prefix / "pyvenv.cfg", programs / "python", programs / "python3"):
        # A link to nowhere runs nothing.
        if file.exists() and (reason := distrust(file)) is not None:
            return reason
    return None


def project_folders(directory: Path) -> list[Path]:
    """Return a folder and its parents up to the root of its project.

    That is the next folder with a repository, else the next with a manifest such as pyproject.toml, else
    the folder alone.
    """
    upward = [directory, *directory.parents]
    for markers in (REPOSITORY, _MANIFESTS):
        for index, folder in enumerate(upward):
            if any(os.path.lexists(folder / marker) for marker in markers):
                return upward[: index + 1]
    return [directory]


def project_environments(directory: Path) -> tuple[str, ...]:
    """Return the paths of the virtual environments in a folder's project: a few looks, for keys of caches."""
    inside = (folder / name for folder in project_folders(directory) for name in _IN_PROJECT)
    return tuple(str(path) for path in inside if os.path.lexists(path / "pyvenv.cfg"))


def _active(around: Around) -> Iterator[EnvironmentFolder]:
    """The environment whose shell this is; one of a project keeps that project's name for it."""
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if prefix := around.environ.get(variable):
            folder = Path(prefix)
            inside = folder.is_absolute() and folder.parent in project_folders(around.directory)
            if (
                folder.is_absolute()
                and (environment := environment_at(folder, folder.parent if inside else None)) is not None
            ):
                yield environment


def _of_projects(around: Around) -> Iterator[EnvironmentFolder]:
    for folder in project_folders(around.directory):
        for name in _IN_PROJECT:
            if (environment := trusted_environment_at(folder / name, folder)) is not None:
                yield environment
        for prefix in _entries(folder / ".pixi" / "envs"):
            if (environment := trusted_environment_at(prefix, folder)) is not None:
                yield environment
        if _is_poetrys(folder):
            for prefix in _poetrys(folder, around):
                yield EnvironmentFolder(prefix, "poetry", prefix.name, folder)


def _configured(around: Around) -> Iterator[EnvironmentFolder]:
    for folder in around.paths:
        if (environment := environment_at(folder)) is not None:
            yield environment
            continue
        for entry in _entries(folder):
            if (environment := environment_at(entry)) is not None:
                yield environment


def _of_user(around: Around) -> Iterator[EnvironmentFolder]:
    homes = [around.home / ".virtualenvs"]
    if work := around.environ.get("WORKON_HOME"):
        homes.insert(0, Path(work))
    for prefix in (each for home in homes for each in _entries(home)):
        if (environment := environment_at(prefix)) is not None:
            yield environment
    pyenv = Path(around.environ.get("PYENV_ROOT") or around.home / ".pyenv")
    for prefix in _entries(pyenv / "versions"):
        yield environment_at(prefix) or EnvironmentFolder(prefix, "pyenv", prefix.name)


def _of_conda(around: Around) -> Iterator[EnvironmentFolder]:
    for folder in _conda_candidates(around):
        if (environment := environment_at(folder)) is not None:
            yield environment
        for entry in _entries(folder / "envs"):
            if (environment := environment_at(entry)) is not None:
                yield environment
    for variable in ("CONDA_ENVS_PATH", "CONDA_ENVS_DIRS"):
        for part in around.environ.get(variable, "").split(os.pathsep):
            for entry in _entries(Path(part)) if part else ():
                if (environment := environment_at(entry)) is not None:
                    yield environment


def _conda_candidates(around: Around) -> list[Path]:
    environ, home = around.environ, around.home
    found = [Path(environ[each]) for each in ("CONDA_PREFIX", "MAMBA_ROOT_PREFIX") if environ.get(each)]
    found += [Path(environ[each]).parent.parent for each in ("CONDA_EXE", "MAMBA_EXE") if environ.get(each)]
    # conda records every environment it makes there, one path a line.
    for line in (_text(home / ".conda" / "environments.txt") or "").splitlines():
        if line.strip():
            found.append(Path(line.strip()))
    found += [home / ".conda", *(home / name for name in _CONDA_HOMES), home / ".local/share/mamba"]
    found += [Path(each) for each in _CONDA_SHARED]
    return [path for path in dict.fromkeys(found) if path.is_absolute()]


def _maker(marker: str, prefix: Path, project: Path | None) -> Maker:
    """Return the tool that made a virtual environment: uv names itself in it, poetry does not."""
    if project is not None and _is_poetrys(project):
        return "poetry"
    keys = {line.partition("=")[0].strip() for line in marker.splitlines()}
    if "uv" in keys or (project is not None and os.path.lexists(project / "uv.lock")):
        return "uv"
    return "poetry" if "pypoetry" in prefix.parts else "venv"


def _is_poetrys(project: Path) -> bool:
    if os.path.lexists(project / "poetry.lock"):
        return True
    return "[tool.poetry" in (_text(project / "pyproject.toml") or "")


def _poetrys(project: Path, around: Around) -> Iterator[Path]:
    """Yield the environments poetry keeps elsewhere for a project.

    It names them NAME-DIGEST-pyX.Y, with the first eight letters of the digest of the project's path.
    Source: ``EnvManager.generate_env_name`` in poetry.
    """
    path = os.path.normcase(os.path.realpath(project))
    digest = base64.urlsafe_b64encode(hashlib.sha256(os.fsencode(path)).digest()).decode()[:8]
    for entry in _entries(_poetry_home(project, around)):
        if f"-{digest}-py" in entry.name:
            yield entry


def _poetry_home(project: Path, around: Around) -> Path:
    cache = Path(around.environ.get("POETRY_CACHE_DIR") or _user_cache(around) / "pypoetry")
    if path := around.environ.get("POETRY_VIRTUALENVS_PATH"):
        return Path(path.replace("{cache-dir}", str(cache)))
    base = Path(around.environ.get("XDG_CONFIG_HOME") or around.home / ".config")
    for file in (project / "poetry.toml", base / "pypoetry" / "config.toml"):
        with suppress(ValueError, AttributeError):
            path = tomllib.loads(_text(file) or "").get("virtualenvs", {}).get("path")
            if isinstance(path, str) and path:
                return Path(path.replace("{cache-dir}", str(cache)))
    return cache / "virtualenvs"


def _user_cache(around: Around) -> Path:
    folder = Path(around.environ.get("XDG_CACHE_HOME") or around.home / ".cache")
    if sys.platform == "darwin":
        folder = around.home / "Library" / "Caches"
    return folder


def _entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, sorted; nothing where it is not there or may not be read."""
    try:
        return sorted(folder.iterdir())
    except (OSError, ValueError):  # ValueError as above
        return []


def _text(path: Path) -> str | None:
    """Return the text of a small file; None where there is none to be read."""
    try:
        return read_text(path, _LARGEST)
    except (OSError, ValueError):  # ValueError as above
        return None
