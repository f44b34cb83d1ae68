"""The private directory of one kernel: for its connection file, and for its Unix sockets."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from moorage.errors import LaunchError

if TYPE_CHECKING:
    from moorage.process.warden.client import Warden

Owner = tuple[int, int] | None
"""User and group of a kernel; None where they are ours."""

_TMP = Path("/tmp")  # noqa: S108 - the directory there has a random name, and no other user may write to it


@contextmanager
def private_directory(warden: Warden, owner: Owner) -> Iterator[Path]:
    """Yield a directory that goes with the block, or with the warden should this process die.

    Args:
        warden: its directory holds it, unless another user is to enter: the warden's is closed to all others.
        owner: whose kernel is to use it; see :func:`hand_over`.

    Raises:
        LaunchError, OSError: it cannot be made.
        WardenLost: the warden that would remove it is gone.
    """
    if owner is None:
        directory = make_directory(warden)
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return
    # Two of them: the outer one is ours, so that its user cannot put something else in place of the inner.
    outer = _TMP / f"moorage-{secrets.token_hex(8)}"
    warden.guard(outer)
    try:
        outer.mkdir(0o700)
        outer.chmod(0o711)
        inner = outer / "k"
        inner.mkdir(0o700)
        yield inner
    finally:
        shutil.rmtree(outer, ignore_errors=True)
        warden.unguard(outer)


def make_directory(warden: Warden) -> Path:
    """Make a directory (0700) below the warden's; it goes with the warden at the latest.

    Raises:
        LaunchError: it cannot be made: the file system is full, or the warden's directory has gone.
    """
    try:
        return Path(tempfile.mkdtemp(prefix="", dir=warden.directory))
    except OSError as error:
        raise LaunchError(
            f"no directory can be made in {warden.directory}",
            why=error.strerror or str(error),
            do="Make room there, or set XDG_RUNTIME_DIR or TMPDIR to another folder of yours",
        ) from error


def hand_over(directory: Path, owner: Owner) -> None:
    """Give a private directory, and what we wrote there, to the user whose kernel is about to start.

    To be called once, and before that: later, the files in it are that user's doing.

    Raises:
        OSError: as the system says: only root may give something away.
    """
    if owner is not None and sys.platform != "win32":
        for path in (*directory.iterdir(), directory):
            os.chown(path, *owner, follow_symlinks=False)
