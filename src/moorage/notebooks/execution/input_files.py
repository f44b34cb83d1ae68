"""The files that a notebook says it reads, as they are today."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePath

from moorage.errors import DocumentError
from moorage.notebooks.globs import matches
from moorage.notebooks.planning.settings import NotebookSettings
from moorage.regular import raise_if_ended

MOST_INPUTS = 100_000
"""A notebook that declares more input files than this is refused."""


def input_files(notebook: Path, settings: NotebookSettings) -> tuple[Path, ...]:
    """Return every file the notebook says it reads (``inputs`` and ``needs``) that is there, sorted.

    Of a folder all files below it count. Pipes, devices and sockets count nowhere.

    Raises:
        DocumentError: it names one of these by its own name, or more than 100,000 files.
        OSError: there is no use for the answer any more, see :data:`moorage.regular.reading_ends`.
    """
    files: set[Path] = set()
    for text in (*settings.inputs, *(need.file for need in settings.needs)):
        for path in _found(notebook.parent, text):
            if path.is_dir():
                files.update(_files_below(path))
            elif _is_special(path) and glob.has_magic(text):
                continue
            elif _is_special(path):
                raise DocumentError(
                    f"{notebook} cannot read its input {text}",
                    why=f"{path} is a pipe, a device or a socket and no regular file",
                    do="Name a file, or leave it out",
                )
            else:
                files.add(path)
            if len(files) > MOST_INPUTS:
                raise DocumentError(
                    f"{notebook} has too many inputs",
                    why=f"With {text} they are more than {MOST_INPUTS} files",
                    do="Name those files that the notebook reads",
                )
    return tuple(sorted(files))


def _files_below(top: Path) -> Iterator[Path]:
    """Yield the regular files below a folder, behind links to folders too, until they are too many."""
    count, seen = 0, set()
    for folder, below, names in os.walk(top, followlinks=True):
        raise_if_ended()
        real = os.path.realpath(folder)
        if real in seen:
            below.clear()  # a link led here before
            continue
        seen.add(real)
        for path in (Path(folder, name) for name in names):
            if not _is_special(path):
                yield path
                count += 1
        if count > MOST_INPUTS:
            return


def _is_special(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False  # missing, which is a state like any other
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _found(folder: Path, text: str) -> list[Path]:
    path = Path(os.path.normpath(folder / text))
    if path.exists():
        return [path]
    if not glob.has_magic(text):
        return []
    return sorted(set(_expanded(folder, PurePath(text).parts)))


def _expanded(folder: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    """Yield what a pattern matches, hidden files too; no folder is looked at twice for one part of it."""
    parts = tuple(part for at, part in enumerate(parts) if part != "**" or parts[at - 1 : at] != ("**",))
    seen: set[tuple[int, int, int]] = set()
    todo = [(folder, 0)]
    while todo:
        raise_if_ended()
        path, at = todo.pop()
        if at == len(parts):
            yield Path(os.path.normpath(path))
        elif glob.has_magic(parts[at]):
            todo += _entered(path, parts, at, seen)
        elif os.path.lexists(path / parts[at]):
            todo.append((path / parts[at], at + 1))


def _entered(
    folder: Path, parts: tuple[str, ...], at: int, seen: set[tuple[int, int, int]]
) -> Iterator[tuple[Path, int]]:
    """Yield what one part of a pattern leads to: a path, and which part comes next."""
    part = parts[at]
    for entry in _entries(folder, at, seen):
        if part != "**":
            if matches(entry.name, part):
                yield folder / entry.name, at + 1
        elif entry.is_dir():
            yield folder / entry.name, at
        elif at + 1 == len(parts):
            yield folder / entry.name, at + 1
    if part == "**":
        yield folder, at + 1


def _entries(folder: Path, at: int, seen: set[tuple[int, int, int]]) -> list[os.DirEntry[str]]:
    """List a folder; nothing where it was listed for this part of the pattern already, by a link maybe."""
    try:
        status = folder.stat()
        mark = (status.st_dev, status.st_ino, at)
        if mark in seen:
            return []
        seen.add(mark)
        with os.scandir(folder) as entries:
            return list(entries)
    except (OSError, ValueError):
        return []
