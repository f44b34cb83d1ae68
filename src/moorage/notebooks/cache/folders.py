"""Folders opened without following links, and only where they belong to this user."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NO_LINK = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a pipe in the place of a file is not waited for
    | getattr(os, "O_CLOEXEC", 0)
)


@contextmanager
def opened(folder: Path, *names: str, make: bool = False) -> Iterator[int]:
    """Yield a descriptor of a folder: the one reached from ``folder`` by one name after the other.

    Args:
        folder: where to begin; its parents may be links, itself not.
        names: single names, no paths.
        make: make what is missing, ``folder`` itself included but no parent of it.

    Raises:
        OSError: one of them is missing, a link, no folder, or belongs to another user.
    """
    descriptor = _open(os.fspath(folder), None, make=make)
    try:
        for name in names:
            above, descriptor = descriptor, _open(name, descriptor, make=make)
            os.close(above)
        yield descriptor
    finally:
        os.close(descriptor)


def _open(name: str, within: int | None, *, make: bool) -> int:
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=within)
    descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | NO_LINK, dir_fd=within)
    if sys.platform != "win32" and os.fstat(descriptor).st_uid != os.geteuid():
        os.close(descriptor)
        raise PermissionError(errno.EPERM, "It belongs to another user", name)
    return descriptor
