"""The state directory of a service: its lock, its key, the directories of its servers."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from moorage.directory import working_directory
from moorage.errors import OutputError, UsageError
from moorage.temp.identity import NO_LINKS

_SOCKET = "servers/0123456789abcdef/s"
LONGEST_SOCKET = 107
"""Bytes of the path of a Unix socket (sun_path, unix(7))."""


def state_path(given: str | None, port: int) -> Path:
    """Return the state directory of a service; it may not be there.

    Args:
        given: with ``--state``; None for the default.
        port: of the service, by which the default is.
    """
    if given is not None:
        return working_directory() / Path(given).expanduser()
    return platformdirs.user_state_path("moorage") / "temp" / str(port)


@contextmanager
def opened(path: Path) -> Iterator[None]:
    """Have a state directory for this process alone for as long as the block lasts; it is made if need be.

    Raises:
        UsageError: another process has it, other users may enter it, or its path is too long.
        OutputError: it cannot be made.
    """
    if len(os.fsencode(path / _SOCKET)) > LONGEST_SOCKET:
        raise UsageError(
            f"the state directory {path} cannot be used",
            why=f"The path of a Unix socket in it is longer than {LONGEST_SOCKET} bytes",
            do="Choose a shorter one with --state",
        )
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | NO_LINKS, 0o600)
    except OSError as error:
        why = error.strerror or str(error)
        raise OutputError(
            f"the state directory {path} cannot be used", why=why, do="Choose one with --state"
        ) from None
    with os.fdopen(descriptor, "rb+"):
        if stat.S_IMODE(found.st_mode) & 0o077 or (hasattr(os, "geteuid") and found.st_uid != os.geteuid()):
            raise UsageError(
                f"the state directory {path} cannot be used",
                why="Others may enter it, and keys and tokens are in it",
                do=f"Type: chmod 700 {path}",
            )
        _lock(descriptor, path)
        (path / "servers").mkdir(mode=0o700, exist_ok=True)
        yield


def _lock(descriptor: int, path: Path) -> None:
    if sys.platform == "win32":
        return
    import fcntl  # noqa: PLC0415 - not on Windows

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise UsageError(
            f"the state directory {path} is in use",
            why="Another moorage temp has it",
            do="End that one, or choose another with --state",
        ) from None
