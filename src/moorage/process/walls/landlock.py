"""Landlock: a second wall around files, which holds even where a mount would be missed.

What is written, made, removed or moved must lie below the visitor's own folders; abstract sockets and signals
stay among the processes that have this wall.

Loaded by keepers by its path, without the package: standard library only, from Python 3.9 on. Source:
landlock(7), include/uapi/linux/landlock.h; the numbers of its calls are the same on all architectures.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

assert sys.platform == "linux", "only Linux has it"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_PATH_BENEATH = 1
_WRITE_FILE, _REFER, _TRUNCATE, _IOCTL_DEV = 1 << 1, 1 << 13, 1 << 14, 1 << 15
_MAKE_AND_REMOVE = 0x1FF0  # from LANDLOCK_ACCESS_FS_REMOVE_DIR to _MAKE_SYM
_SCOPE_SOCKETS, _SCOPE_SIGNALS = 1, 2
_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """Return which version of Landlock this kernel has; 0 where it has none, or a filter forbids it."""
    found: int = _libc.syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION)
    return max(found, 0)


def rights(abi: int) -> int:
    """Return what is held back outside the visitor's own folders, as far as a version knows it."""
    held = _WRITE_FILE | _MAKE_AND_REMOVE
    held |= _REFER if abi >= 2 else 0
    held |= _TRUNCATE if abi >= 3 else 0
    return held


def restrict(writable: Sequence[str]) -> None:
    """Let this process, and all that it starts, write below some folders alone, for good.

    Args:
        writable: the folders; what is not there counts as nothing.

    Raises:
        OSError: there is no Landlock, or the process may still gain privileges.
    """
    abi = version()
    held = rights(abi)
    scopes = _SCOPE_SOCKETS | _SCOPE_SIGNALS if abi >= 6 else 0
    attribute = struct.pack("QQQ", held, 0, scopes)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    rules = _called(_CREATE, attribute, ctypes.c_size_t(size), 0)
    try:
        for path in writable:
            try:
                below = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                _called(_ADD, rules, _PATH_BENEATH, struct.pack("=Qi", held, below), 0)
            finally:
                os.close(below)
        _called(_RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _called(number: int, *words: object) -> int:
    result: int = _libc.syscall(number, *words)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
