"""The warden's private directory: made, held by a lock, swept when its holder is dead.

The path is short because kernels put Unix sockets in it, and the address of one has 107 bytes at most.
Loaded by the warden by its path, without the package.
"""
# ruff: noqa: PTH101, PTH102, PTH106, PTH108, PTH115, PTH116, PTH117, PTH118, PTH119, PTH208 - pathlib would double the warden's start-up time

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
import time

assert sys.platform == "linux", "the warden needs subreapers and pidfds"

PREFIX = "mr-"
TMP = "/tmp"  # noqa: S108 - every directory made there is 0700 and has a random name
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_ROOM = 1 << 16  # bytes
_HALF_MADE = 60.0  # seconds after which a directory without a lock file has no maker any more


class PrivateDirectory:
    """A private directory that exists as long as its lock is held.

    Attributes:
        path: absolute path, mode 0700.
        lock: descriptor of the locked file; it is never inherited.
    """

    __slots__ = ("lock", "path")

    def __init__(self, path: str, lock: int) -> None:
        self.path = path
        self.lock = lock

    @property
    def name(self) -> str:
        """Last part of the path; no other directory of this machine has it."""
        return os.path.basename(self.path)

    def remove(self) -> None:
        """Delete the directory with all it holds, then let the lock go."""
        remove(self.path)
        os.close(self.lock)


class NoPlace(OSError):
    """No private directory can be made; the message names all that was tried, and why it will not do."""


def bases() -> list[str]:
    """Return the directories that may hold ours, best first."""
    return [path for path, objection in places() if not objection]


def places() -> list[tuple[str, str]]:
    """Return the directories that might hold ours, best first, each with why it may not, or an empty string.

    XDG_RUNTIME_DIR, as the XDG Base Directory Specification wants it: a directory of this user's, mode 0700.
    Then /tmp, and where that is full or read-only TMPDIR and JUPYTER_RUNTIME_DIR.
    """
    found = {}
    if runtime := os.environ.get("XDG_RUNTIME_DIR", ""):
        found[runtime] = _objection(runtime, runtime=True)
    found.setdefault(TMP, "")
    for name in ("TMPDIR", "JUPYTER_RUNTIME_DIR"):
        if path := os.environ.get(name, ""):
            found.setdefault(path, _objection(path, runtime=False))
    return list(found.items())


def _objection(path: str, *, runtime: bool) -> str:
    """Return why a directory may not hold ours, or an empty string."""
    try:
        status = os.lstat(path) if runtime else os.stat(path)
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or "it is no path"
    # 107 bytes for the whole address of a socket; ours are at most 40 bytes below the base.
    if not os.path.isabs(path) or len(os.fsencode(path)) > 64:
        return "it is no absolute path of at most 64 bytes, as the sockets in it need"
    if not stat.S_ISDIR(status.st_mode):
        return "it is a symbolic link" if stat.S_ISLNK(status.st_mode) else "it is no directory"
    if objection := _shared(status, runtime=runtime):
        return objection
    return "" if os.access(path, os.W_OK | os.X_OK) else "it cannot be written"


def _shared(status: os.stat_result, *, runtime: bool) -> str:
    """Return what lets another user tamper with a directory, or an empty string."""
    mode, owner = stat.S_IMODE(status.st_mode), status.st_uid
    if owner != os.getuid() and (runtime or owner != 0):
        return "it belongs to another user"
    if runtime and mode != 0o700:
        return f"its mode is {mode:04o} and not 0700"
    if mode & 0o022 and not mode & stat.S_ISVTX:
        return f"other users may write there, its mode is {mode:04o}"
    return ""


def make() -> PrivateDirectory:
    """Make a private directory and lock it.

    Raises:
        NoPlace: there is nowhere to make it.
    """
    reasons = []
    for base, reason in places():
        directory, objection = (None, reason) if reason else _make(base)
        if directory is not None:
            return directory
        reasons.append(f"{base}: {objection}")
    raise NoPlace(errno.EACCES, "; ".join(reasons))


def _make(base: str) -> tuple[PrivateDirectory | None, str]:
    """Return a new directory, or why there is none."""
    for _ in range(64):
        try:
            if (directory := _try(base)) is not None:
                return directory, ""
        except FileExistsError:
            continue
        except OSError as error:
            return None, error.strerror or str(error)
    return None, "every name is taken"


def _try(base: str) -> PrivateDirectory | None:
    name = "".join(_LETTERS[byte % len(_LETTERS)] for byte in os.urandom(8))
    path = os.path.join(base, PREFIX + name)
    os.mkdir(path, 0o700)
    lock = -1
    try:
        lock = os.open(
            os.path.join(path, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        # A sweeper may have come between the two lines above: then it has, or had, the lock, and another name
        # is taken.
        if _locked(lock) and _is(path, lock):
            _find_room(lock)
            return PrivateDirectory(path, lock)
    except OSError:
        remove(path)
        if lock >= 0:
            os.close(lock)
        raise
    os.close(lock)
    return None


def _find_room(file: int) -> None:
    """Look for room for the files of some kernels: an empty directory can be made where that is none."""
    try:
        os.posix_fallocate(file, 0, _ROOM)
        os.ftruncate(file, 0)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        # Some file systems know no such call.


def hold(path: str) -> int:
    """Lock the directory of a warden that has died; returns a descriptor, -1 where it is held or gone."""
    try:
        lock = os.open(os.path.join(path, ".lock"), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return -1
    if _locked(lock):
        return lock
    os.close(lock)
    return -1


def sweep(own: PrivateDirectory) -> list[str]:
    """Remove the directories of dead wardens of the same user.

    Returns:
        the names of those removed.
    """
    swept = []
    for base in bases():
        try:
            names = [name for name in os.listdir(base) if name.startswith(PREFIX) and len(name) == 11]
        except OSError:
            continue
        swept += [name for name in names if name != own.name and _sweep(os.path.join(base, name))]
    return swept


def _sweep(path: str) -> bool:
    try:
        status = os.lstat(path)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            return False
        lock = os.open(os.path.join(path, ".lock"), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        if _age(path) > _HALF_MADE:
            _remove_empty(path)
        return False
    except OSError:
        return False
    try:
        if not _locked(lock) or not _is(path, lock):
            return False
        remove(path)
        return True
    finally:
        os.close(lock)


def _remove_empty(path: str) -> None:
    """Delete a directory whose maker died before it locked it; one that holds files is another program's."""
    try:  # noqa: SIM105 - contextlib would be one more module to load
        os.rmdir(path)
    except OSError:
        pass


def _age(path: str) -> float:
    try:
        return time.time() - os.lstat(path).st_mtime
    except OSError:
        return 0.0


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is(path: str, lock: int) -> bool:
    try:
        named = os.stat(os.path.join(path, ".lock"), follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(named, os.fstat(lock))


def remove(path: str | bytes, within: int | None = None) -> None:
    """Delete a file, a symbolic link (not what it points to) or a whole directory; what is not there is fine.

    What cannot be deleted stays: nothing is left to tell it to when this runs.

    Args:
        path: what to delete.
        within: descriptor of the directory that a relative path begins in; None for the working directory.
    """
    try:
        os.unlink(path, dir_fd=within)
    except (IsADirectoryError, PermissionError):  # unlink(2) on a directory: EISDIR on Linux, else EPERM
        _remove_directory(path, within)
    except (OSError, ValueError):  # ValueError: no path, with a zero byte in it
        pass


def remove_guarded(path: bytes, link: bytes | None) -> None:
    """Delete what :func:`remove` does or, with ``link``, a symbolic link that says so and nothing else."""
    if link is None:
        remove(path)
        return
    try:
        if os.readlink(path) == link:
            os.unlink(path)
    except (OSError, ValueError):  # gone, or no link any more: then it is the user's
        pass


def _remove_directory(path: str | bytes, within: int | None) -> None:
    """Delete a directory. By descriptors: another user's process may put a link in the place of any name."""
    opened = []
    try:
        opened.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within))
        if os.fstat(opened[0]).st_mode & 0o700 != 0o700:
            os.chmod(f"/proc/self/fd/{opened[0]}", 0o700)
        opened.append(os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=opened[0]))
        # The lock last: a directory without one counts as ours only while it is empty.
        for name in sorted(os.listdir(opened[1]), key=".lock".__eq__):
            remove(name, opened[1])
        os.rmdir(path, dir_fd=within)
    except OSError:
        pass
    finally:
        for fd in opened:
            os.close(fd)
