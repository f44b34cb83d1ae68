"""Files that flags name one by one: the report, results as JSON and JUnit, the bundle.

They may lie anywhere, so no folder's record tells whose they are. Each says in itself that moorage made it,
and only such a file is replaced: :func:`named_obstacle`.
"""

from __future__ import annotations

import gzip
import os
import re
import stat
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Final

from moorage.configuration import searched
from moorage.errors import OutputError
from moorage.notebooks.output.atomic import write_whole
from moorage.notebooks.output.writer import REASONS, Obstacle
from moorage.regular import open_regular

ZIP_COMMENT: Final = b"made by moorage"
"""The comment of a zip file."""
TAR_COMMENT: Final = {"comment": "made by moorage"}
"""The global header of a tar file, as ``git archive`` writes one."""
JUNIT_COMMENT: Final = " made by moorage "
_HEAD: Final = 4096
_SAYS: Final = re.compile(
    rb'\s*\{\s*"moorage":\s*"[^"]*",\s*"seconds":\s*[\d.]+,\s*"notebooks":'
    rb'|\s*<!DOCTYPE html>\s*<html lang="en">\s*<head>\s*(<meta [^>]*>\s*)*'
    rb'<meta name="generator" content="moorage'
    rb"|<\?xml.*<!--" + JUNIT_COMMENT.encode() + rb"-->",
    re.DOTALL,
)
_SPECIAL: Final = re.compile(r"/dev/[^/]+|/dev/fd/\d+|/proc/(self|\d+)/fd/\d+")


def named_obstacle(
    path: Path, *, cwd: Path, overwrite: bool, sources: Collection[tuple[int, int]]
) -> Obstacle | None:
    """Return why such a file may not be written; None when it may.

    Args:
        path: absolute. ``/dev/stdout`` and its like are written to as they are.
        cwd: the working directory: no link is followed out of it or out of its project.
        overwrite: replace files that moorage did not make, and follow links; never a source.
        sources: device and inode of the documents of the run.
    """
    special = _SPECIAL.fullmatch(os.fspath(path)) is not None
    try:
        status = path.stat()
    except OSError:
        status = None
    if status is not None and (status.st_dev, status.st_ino) in sources:
        return "source"
    if not (special or overwrite) and (path.is_symlink() or leads_out(path.parent, cwd)):
        return "outside"
    if status is None or stat.S_ISDIR(status.st_mode):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None if special else "special"
    if special or overwrite:
        return None
    return None if not _is_planted(path, status) and (not status.st_size or is_made(path)) else "foreign"


def unwritable(path: Path) -> str:
    """Return why no file can be written at a path, in one clause; empty when it can, as far as can be seen.

    Args:
        path: absolute. Folders that are not there yet are made.
    """
    if _SPECIAL.fullmatch(os.fspath(path)):
        return ""
    if path.is_dir():
        return "It is a folder"
    folder = path.parent
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir():
        return f"{folder} is no folder"
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"{folder} may not be written to"


def _is_planted(path: Path, status: os.stat_result) -> bool:
    """Return whether another user has put a file into a folder like /tmp: it keeps its owner and mode."""
    folder = path.parent.stat()
    open_to_all = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
    return bool(open_to_all) and status.st_uid not in {_user(), folder.st_uid}


def _user() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0


def is_made(path: Path) -> bool:
    """Return whether a file says that moorage made it. Reads a few kilobytes of it."""
    try:
        with open_regular(path) as file:
            head = file.read(_HEAD)
            file.seek(-min(len(ZIP_COMMENT), file.seek(0, os.SEEK_END)), os.SEEK_END)
            tail = file.read(len(ZIP_COMMENT))
        if head.startswith(b"\x1f\x8b"):
            with open_regular(path) as file, gzip.open(file) as packed:
                head = packed.read(_HEAD)
    except (OSError, EOFError, zlib.error):
        return False
    in_tar = b"ustar" in head and b"comment=" + TAR_COMMENT["comment"].encode() in head
    in_zip = head.startswith(b"PK") and tail == ZIP_COMMENT
    return in_tar or in_zip or _SAYS.match(head) is not None


def check_named(path: Path, *, overwrite: bool) -> None:
    """Check once more, just before such a file is written, that nothing is in the way.

    Args:
        path: where to, relative to the working directory or absolute.
        overwrite: as in :func:`named_obstacle`.

    Raises:
        OutputError: it may not be written over.
    """
    cwd = Path.cwd()
    obstacle = named_obstacle(Path(os.path.normpath(cwd / path)), cwd=cwd, overwrite=overwrite, sources=())
    if obstacle is not None:
        raise OutputError(f"{path} is not written over", why=REASONS[obstacle], do="Give another name")


def write_named(path: Path, data: bytes, *, overwrite: bool) -> None:
    """Write such a file, whole or not at all; takes and raises what :func:`check_named` does.

    Raises:
        OutputError: it cannot be written.
    """
    check_named(path, overwrite=overwrite)
    follow = follows(path, overwrite=overwrite)
    write_whole(path if follow else resolved(path), data, follow=follow)


def resolved(path: Path) -> Path:
    """Return a path without the links that are in its folder's; as it is where there are none."""
    real = Path(os.path.realpath(path.parent))
    return path if real == Path(os.path.normpath(Path.cwd() / path.parent)) else real / path.name


def follows(path: Path, *, overwrite: bool) -> bool:
    """Return whether such a file is written to through links; takes what :func:`check_named` does."""
    return overwrite or _SPECIAL.fullmatch(os.path.normpath(Path.cwd() / path)) is not None


def leads_out(folder: Path, cwd: Path) -> bool:
    """Return whether a folder below the working directory, or its project, lies elsewhere through a link.

    Args:
        folder: absolute.
        cwd: absolute working directory.
    """
    real = Path(os.path.realpath(folder))
    tops = [top for top in (cwd, searched(cwd)[-1]) if folder.is_relative_to(top)]
    return any(not real.is_relative_to(os.path.realpath(top)) for top in tops)
