"""What a keeper leaves in its directory: the lock that it holds, and the record of what it keeps.

Used on both sides. A keeper runs where moorage is not installed: standard library only, from Python 3.9 on,
and nothing of the package.

================  =====================================================================================
file              what it is
================  =====================================================================================
``.lock``         locked (flock(2)) for as long as the keeper lives, then by what removes the directory
``.lock.new``     the same file before it is locked
``record.json``   an object: the keeper, its charge, what became of both; replaced as a whole at each change
``link``          the Unix socket
``warden``        the socket of the warden beside the charge, where there is one
``output``        what the charge wrote to stdout and stderr, the newest part
``output.1``      what it wrote before that
``errors``        what the keeper itself wrote to stderr: nothing, or why it failed
================  =====================================================================================
"""
# ruff: noqa: PTH104, PTH105, PTH106, PTH108, PTH116, PTH118, PTH123, SIM105 - these modules are too large for a keeper

from __future__ import annotations

import fcntl
import json
import os
import sys
import time

assert sys.platform != "win32", "keepers need Unix sockets and fork"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LOCK, RECORD, SOCKET, OUTPUT, OLDER, ERRORS = ".lock", "record.json", "link", "output", "output.1", "errors"
WARDEN = "warden"
NEW_LOCK = LOCK + ".new"
FILES = (RECORD, RECORD + ".new", SOCKET, WARDEN, OUTPUT, OLDER, ERRORS, NEW_LOCK, LOCK)
"""All that a keeper's directory holds; the lock goes last."""
MARKER = "MOORAGE_KEPT"
"""Environment variable of a charge and all it starts: the id of its keeper."""
MOST = 1 << 20
"""Bytes that a record may have."""
_PAUSE = 0.002
"""Seconds between two attempts to lock what is held."""


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


def claim(directory: str) -> int:
    """Lock a directory that has just been made; return the descriptor that holds the lock.

    The file is locked before it has its name: what looks for keepers finds no lock, or one that is held.

    Raises:
        FileNotFoundError: the directory has been removed, as one that its maker had left.
        OSError: the file cannot be made.
    """
    new = os.path.join(directory, NEW_LOCK)
    fd = os.open(new, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(new, os.path.join(directory, LOCK))
    except OSError:
        os.close(fd)
        raise
    return fd


def lock(directory: str, *, within: float = 0.0) -> int:
    """Lock a directory that nothing holds any more; return the descriptor that holds the lock.

    Args:
        directory: which. What locks it is to remove it, see :func:`remove`.
        within: seconds to wait for another program that is just removing it.

    Raises:
        BlockingIOError: a keeper holds it, or a program that is removing it.
        FileNotFoundError: there is no such file, or what held it has removed the directory.
        OSError: it cannot be opened.
    """
    path = os.path.join(directory, LOCK)
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        _lock(fd, time.monotonic() + within)
        if not os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(fd)):
            raise FileNotFoundError(2, "another file has taken its place", path)  # ENOENT
    except OSError:
        os.close(fd)
        raise
    return fd


def _lock(fd: int, deadline: float) -> None:
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_PAUSE)  # flock(2) has no deadline, and what holds the lock may be stopped


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
