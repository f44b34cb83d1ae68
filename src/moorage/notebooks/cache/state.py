"""The folder ``.moorage`` of a project: what is kept between runs, and git is told to ignore."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from moorage.notebooks.output.atomic import cannot_write


def state_obstacle(folder: Path) -> str:
    """Return why nothing may be kept in ``folder``, in one clause; empty when it is fine or not there yet."""
    try:
        status = folder.lstat()
    except OSError:
        return ""
    if not stat.S_ISDIR(status.st_mode):
        return (
            f"{folder} is a link, which may lead anywhere"
            if folder.is_symlink()
            else f"{folder} is no folder"
        )
    if sys.platform != "win32" and status.st_uid != os.geteuid():
        return f"{folder} belongs to another user"
    return ""


def make_state(folder: Path) -> None:
    """Make the folder, with a ``.gitignore`` of its own; what is there stays.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError), (folder / ".gitignore").open("xb") as file:
            file.write(b"*\n")
    except OSError as error:
        raise cannot_write(folder, error) from error
