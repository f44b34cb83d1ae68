"""Reading files of others: regular files only, at most so much, and never longer than there is a use for it.

A name may lead to a pipe that nothing writes to, or to a device that never ends: opening the one or reading
the other would hang. What is no regular file is not opened here, and raises an OSError like every other
reason for which a file cannot be read.
"""

from __future__ import annotations

import contextvars
import errno
import os
import stat
import threading
from pathlib import Path
from typing import BinaryIO

MOST = 64 * 1024 * 1024
"""What a file of settings may hold, in bytes."""

MOST_DOCUMENT = 1024 * 1024 * 1024
"""What a document or a page may hold, in bytes."""

_CHUNK = 1024 * 1024
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # a pipe put there meanwhile does not hang
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}

reading_ends: contextvars.ContextVar[threading.Event | None] = contextvars.ContextVar(
    "reading_ends", default=None
)
"""Set in a thread that reads for a task: once the event is, what reads there ends with an OSError."""


def raise_if_ended() -> None:
    """Raise OSError (ECANCELED) once there is no use for what is read any more; see :data:`reading_ends`."""
    event = reading_ends.get()
    if event is not None and event.is_set():
        raise OSError(errno.ECANCELED, "reading it was cancelled")


def open_regular(path: str | Path) -> BinaryIO:
    """Open a regular file for reading, unbuffered; links are followed.

    Raises:
        OSError: it cannot be opened, or is a pipe, device or socket (EINVAL), or a folder (EISDIR).
    """
    _check(os.stat(path).st_mode, path)  # noqa: PTH116 - opening a device may do something already
    descriptor = os.open(path, _FLAGS)
    try:
        _check(os.fstat(descriptor).st_mode, path)
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb", buffering=0)


def _check(mode: int, path: str | Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise OSError(errno.EINVAL, f"it is {kind} and no regular file", str(path))


def read_regular(path: str | Path, most: int = MOST) -> bytes:
    """Return the content of a regular file.

    Args:
        path: the file; links are followed.
        most: bytes it may hold.

    Raises:
        OSError: it cannot be read, is no regular file (EINVAL), or holds more (EFBIG).
    """
    parts, length = [], 0
    with open_regular(path) as file:
        while part := file.read(_CHUNK):
            length += len(part)
            if length > most:
                raise OSError(errno.EFBIG, f"it holds more than {most >> 20} MiB", str(path))
            parts.append(part)
            raise_if_ended()
    return b"".join(parts)


def read_text(path: str | Path, most: int = MOST) -> str:
    """Return the text of a regular file, what is not UTF-8 in it replaced.

    Raises:
        OSError: see :func:`read_regular`.
    """
    return read_regular(path, most).decode("utf-8", "replace")


def digest_regular(path: str | Path) -> str:
    """Return the sha256 of a regular file in hexadecimal, about 1 ms per MB.

    Raises:
        OSError: see :func:`read_regular`; no size is too large.
    """
    import hashlib  # noqa: PLC0415 - loads OpenSSL, which most readers of files have no use for

    digest = hashlib.sha256()
    with open_regular(path) as file:
        while part := file.read(_CHUNK):
            digest.update(part)
            raise_if_ended()
    return digest.hexdigest()
