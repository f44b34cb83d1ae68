"""Walk a folder for the files that could be documents: what git ignores and what tools build is left out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import Struct, field

from moorage.errors import UsageError
from moorage.notebooks.output.made import FILE_NAME as RECORD
from moorage.notebooks.output.made import Made

BUILD_FOLDERS = frozenset(
    {"_build", "build", "dist", "site", "rendered", "node_modules", "__pycache__", "jupyter_execute"}
)
"""Folders of these names hold what tools made: moorage's own ``rendered``, Sphinx's, MkDocs', Python's.
Hidden folders (``.tox``, ``.ipynb_checkpoints``) and environments of any name are left out anyway."""


# A tree's .git/config may name programs that git runs; to look for files none is needed. See git-config(1).
_NO_PROGRAMS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "protocol.allow=never")
# In a partial clone git would fetch what is missing, by a program that the remote's settings name.
_NO_FETCHING = {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none", "GIT_OPTIONAL_LOCKS": "0"}


class WalkedFiles(Struct):
    """What a walk saw.

    Attributes:
        files: candidates, sorted folder by folder, files of a folder before its subfolders.
        left_out: folders that were not entered because they hold what tools made.
        made: files that moorage itself wrote, which are no sources.
        notes: what the user should hear.
    """

    files: list[Path] = field(default_factory=list)
    left_out: list[Path] = field(default_factory=list)
    made: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def walk(start: Path, *, suffixes: Iterable[str], leave_out: Callable[[Path], bool]) -> WalkedFiles:
    """Return the files under ``start`` that have one of the suffixes.

    Symbolic links to folders are not followed: a loop ends, no file counts twice. Raises UsageError when a
    folder cannot be read.

    Args:
        start: absolute path of a folder, which may have any name.
        suffixes: of the files that count, with the dot.
        leave_out: says of a file or folder whether it does not count.
    """
    found, wanted = WalkedFiles(), frozenset(suffixes)
    repository = _repository(start)
    by_repository: dict[Path, list[Path]] = {}
    stack = [(start, repository)]
    records = [folder for folder in start.parents if os.path.lexists(folder / RECORD)]
    while stack:
        folder, repository = stack.pop()
        entries = _entries(folder)
        names = {entry.name for entry in entries}
        repository = folder if ".git" in names else repository
        records += [folder] if RECORD in names else []
        inside = []
        for entry in entries:
            path = folder / entry.name
            if entry.name.startswith(".") or leave_out(path):
                continue
            if entry.is_dir(follow_symlinks=False):
                if _is_made(path):
                    found.left_out.append(path)
                else:
                    inside.append((path, repository))
            elif path.suffix in wanted and path.is_file():  # no error for a link to itself
                found.files.append(path)
                if repository is not None:
                    by_repository.setdefault(repository, []).append(path)
        stack += reversed(inside)
    for top, files in by_repository.items():
        ignored = _ignored(top, files, found.notes)
        found.files = [path for path in found.files if path not in ignored]
    _leave_out_made(found, [Made(folder) for folder in records])
    return found


def _leave_out_made(found: WalkedFiles, records: list[Made]) -> None:
    """Leave out what moorage wrote, by the records of the output folders; tell of what was changed since."""
    for made in records:
        names = {made.folder / name: name for name in made.names()}
        mine = [path for path in found.files if path in names]
        found.files = [path for path in found.files if path not in names]
        found.made += mine
        changed = [path for path in mine if not made.holds(names[path], path)]
        found.notes += [
            f"{path} is left out: {made.folder / RECORD} says that moorage wrote it, and it was changed "
            "since. Name it to have it rendered"
            for path in changed
        ]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be read", why=str(error.strerror), do="Make it readable, or exclude it"
        ) from error


def _is_made(folder: Path) -> bool:
    marks = (folder / "pyvenv.cfg", folder / "conda-meta")
    return folder.name in BUILD_FOLDERS or any(os.path.lexists(mark) for mark in marks)  # never raises


def _repository(folder: Path) -> Path | None:
    """Return the top of the git work tree the folder lies in, None outside of any."""
    real = folder.resolve()
    return next((top for top in (real, *real.parents) if (top / ".git").exists()), None)


def _ignored(top: Path, files: list[Path], notes: list[str]) -> set[Path]:
    """Return those of the files that git ignores: one process (5 ms) for all."""
    # git refuses paths that lead through a symbolic link, so the folders are told as they are.
    names = {os.path.relpath(path.parent.resolve() / path.name, top.resolve()): path for path in files}
    # Inside a git hook these variables point at another repository.
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *_NO_PROGRAMS, "-C", os.fspath(top), "check-ignore", "-z", "--stdin"],
            input=b"\0".join(os.fsencode(name) for name in names),
            capture_output=True,
            check=False,
            env={**env, **_NO_FETCHING},
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        notes.append(f"git cannot be asked what it ignores in {top} ({error}): ignored files count")
        return set()
    if done.returncode not in (0, 1):  # 1: nothing is ignored
        reason = done.stderr.decode(errors="replace").strip().partition("\n")[0]
        notes.append(f"git does not say what it ignores in {top} ({reason}): ignored files count")
        return set()
    return {names[os.fsdecode(name)] for name in done.stdout.split(b"\0") if name}
