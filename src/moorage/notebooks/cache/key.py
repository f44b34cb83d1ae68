"""The key that what a cache holds is authenticated with: this user's, or one shared on purpose.

Without it a pull request could bring a cache along that says what notebooks print and what is written where.
The user's key lies outside of every project; ``MOORAGE_CACHE_KEY`` is for machines that share a cache.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from moorage.errors import OutputError, UsageError
from moorage.notebooks.output.atomic import cannot_write

VARIABLE: Final = "MOORAGE_CACHE_KEY"
_SHORTEST = 16
_BYTES = 32


def cache_key(environ: Mapping[str, str], *, folder: Path | None = None) -> bytes:
    """Return the key: the variable's, else this user's, which is made on first use.

    Args:
        environ: the environment.
        folder: where the user's key is kept; None for the user's state folder.

    Raises:
        UsageError: the variable's text is too short for a secret.
        OutputError: the user's key can be neither read nor made, or others can read it.
    """
    text = environ.get(VARIABLE, "")
    if text:
        if len(text) < _SHORTEST:
            why = f"It has {len(text)} characters, and all such keys can be tried"
            raise UsageError(f"{VARIABLE} is too short", why=why, do=f"Give at least {_SHORTEST}")
        return hashlib.sha256(b"moorage cache\0" + os.fsencode(text)).digest()
    path = (_state() if folder is None else folder) / "cache-key"
    try:
        return _read(path)
    except FileNotFoundError:
        _make(path)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    try:
        return _read(path)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error


def _state() -> Path:
    import platformdirs

    return platformdirs.user_state_path("moorage")


def _unusable(path: Path, why: str) -> OutputError:
    return OutputError(f"the key {path} cannot be used", why=why, do="Remove it: a new one will be made")


def _read(path: Path) -> bytes:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "It is no file")
        if sys.platform != "win32" and (status.st_uid != os.geteuid() or status.st_mode & 0o077):
            raise OSError(0, "It belongs to another user, or others can read it")
        key = os.read(descriptor, _BYTES + 1)
    finally:
        os.close(descriptor)
    if len(key) != _BYTES:
        raise OSError(0, "It is damaged")
    return key


def _make(path: Path) -> None:
    """Put a new key in place, unless another process does so first."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, secrets.token_bytes(_BYTES))
        finally:
            os.close(descriptor)
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links: of two processes at once the later one wins
            temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
