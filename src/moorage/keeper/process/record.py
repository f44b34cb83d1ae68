"""What a keeper leaves in its directory: the lock that it holds, and the record of what it keeps.

Used on both sides. A keeper runs where moorage is not installed: standard library only, from Python 3.9 on,
and nothing of the package.

================  =====================================================================================
file              what it is
================  =====================================================================================
``.lock``         locked (flock(2)) for as long as the keeper lives
``record.json``   an object: the keeper, its charge, what became of both; replaced as a whole at each change
``link``          the Unix socket
``warden``        the socket of the warden beside the charge, where there is one
``output``        what the charge wrote to stdout and stderr, the newest part
``output.1``      what it wrote before that
``errors``        what the keeper itself wrote to stderr: nothing, or why it failed
================  =====================================================================================
"""
# ruff: noqa: PTH105, PTH106, PTH108, PTH116, PTH118, PTH123, SIM105 - these modules are too large for a keeper

from __future__ import annotations

import fcntl
import json
import os
import sys

assert sys.platform != "win32", "keepers need Unix sockets and fork"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LOCK, RECORD, SOCKET, OUTPUT, OLDER, ERRORS = ".lock", "record.json", "link", "output", "output.1", "errors"
WARDEN = "warden"
FILES = (RECORD, RECORD + ".new", SOCKET, WARDEN, OUTPUT, OLDER, ERRORS, LOCK)
"""All that a keeper's directory holds; the lock goes last."""
MARKER = "MOORAGE_KEPT"
"""Environment variable of a charge and all it starts: the id of its keeper."""
MOST = 1 << 20
"""Bytes that a record may have."""


def write(directory: str, record: dict[str, Any]) -> None:
    """Replace the record.

    Raises:
        OSError: it cannot be written; the old one is as it was.
    """
    new = os.path.join(directory, RECORD + ".new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        data = json.dumps(record).encode()
        if os.write(fd, data) < len(data):
            raise OSError(28, "the record was cut off")  # ENOSPC
    finally:
        os.close(fd)
    os.replace(new, os.path.join(directory, RECORD))


def read(directory: str) -> dict[str, Any] | None:
    """Return the record; None where there is none, or none that can be read."""
    try:
        fd = os.open(
            os.path.join(directory, RECORD), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        )
    except OSError:
        return None
    try:
        found = json.loads(os.read(fd, MOST))
    except (OSError, ValueError, RecursionError):
        return None
    finally:
        os.close(fd)
    return found if isinstance(found, dict) else None


def lock(directory: str, *, make: bool, wait: bool = False) -> int:
    """Lock a directory; return the descriptor that holds the lock.

    Args:
        directory: which.
        make: whether the file to be locked may be made.
        wait: whether to wait for it, where no keeper can be what holds it.

    Raises:
        BlockingIOError: a keeper holds it, or a program that is just looking whether one does.
        FileNotFoundError: there is no such file, or what held it has removed the directory.
        OSError: it cannot be opened.
    """
    path = os.path.join(directory, LOCK)
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if make else 0)
    fd = os.open(path, flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        if not os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(fd)):
            raise FileNotFoundError(2, "another file has taken its place", path)  # ENOENT
    except OSError:
        os.close(fd)
        raise
    return fd


def remove(directory: str) -> None:
    """Delete a keeper's files, and the directory if nothing else is in it. What is not there is fine."""
    for name in FILES:
        try:
            os.unlink(os.path.join(directory, name))
        except OSError:
            pass
    try:
        os.rmdir(directory)
    except OSError:
        pass


def boot() -> str:
    """Return what names this run of the system, or an empty string: process ids mean nothing after it."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read(64).strip()
    except OSError:
        return ""
