"""The one way files are written in ``render``: whole or not at all.

A temporary file beside the target takes the bytes and is renamed over it, so a reader sees the old file
or the new one and SIGKILL leaves the old one. While the temporary file exists it is guarded (the warden
removes guarded files when moorage is killed); :func:`sweep` collects what a run without a warden left.

There is no fsync. SIGKILL does not need it: a renamed file is complete for all readers the moment it is
renamed. A power cut may need it, but then a rendered document can be made again, and the cache checks
what it reads; one fsync is a flush of the disk (0.3 ms per file on a fast virtual one against 0.18 ms for
all the rest, a turn or two of a spinning one), and ext4 flushes renamed files by itself (``auto_da_alloc``).
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from moorage.errors import OutputError
from moorage.notebooks.output.guard import UNGUARDED, Guard, guarded
from moorage.regular import open_regular

Before = Callable[[Path], None]
"""Called with the complete temporary file just before it is renamed; what it raises leaves the old file."""

_PUT_THERE = "Something that is no file has just been put there"
# Where a folder can be held by a descriptor that needs no right to list it.
_HELD = sys.platform == "linux"
_STRAY = re.compile(r"^\..*\.moorage-(\d+)-([0-9a-f]{6})[0-9a-f]{6}$", re.DOTALL)
_NAME_MAX = 255
_FOREIGN_AGE = 3600.0
_ADVICE: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("The disk is full", "Free some space and give the same command again"),
    errno.EDQUOT: ("The disk quota is used up", "Free some space and give the same command again"),
    errno.EFBIG: ("The file is larger than this file system or ulimit -f allows", "Write it elsewhere"),
    errno.EROFS: ("The file system is read-only", "Choose another place with -o"),
    errno.EACCES: ("Permission denied", "Make the directory writable or choose another place with -o"),
    errno.EPERM: ("Permission denied", "Make the directory writable or choose another place with -o"),
    errno.EISDIR: ("A directory is in the way", "Remove it or choose another name with -o"),
    errno.ENOTDIR: ("A file stands where a directory is needed", "Remove it or choose another place with -o"),
    errno.EEXIST: ("A file stands where a directory is needed", "Remove it or choose another place with -o"),
    errno.ENAMETOOLONG: ("The name is too long for this file system", "Choose a shorter one"),
    errno.ELOOP: ("The symbolic links lead in a circle", "Remove them"),
    errno.ENXIO: ("It is a pipe that nothing reads", "Choose another name with -o"),
    errno.ENOENT: ("The directory is gone", "See what removes it while moorage writes"),
}


def write_whole(
    path: Path,
    data: bytes,
    *,
    guard: Guard = UNGUARDED,
    mode: int = 0o666,
    before: Before | None = None,
    follow: bool = True,
) -> None:
    """Write ``data`` to ``path``, whole or not at all; missing parent directories are made.

    Args:
        path: where to; a symbolic link is followed, a pipe or device is written to directly.
        data: all bytes of the file.
        guard: deletes the temporary file should moorage be killed.
        mode: permissions of a new file, cut by the umask; a file that exists keeps its own.
        before: called with the complete temporary file.
        follow: as in :func:`whole_file`.

    Raises:
        OutputError: it cannot be written; the temporary file is gone and the old file untouched.
    """
    with whole_file(path, guard=guard, mode=mode, before=before, follow=follow) as file:
        file.write(data)


def copy_whole(
    source: Path,
    target: Path,
    *,
    guard: Guard = UNGUARDED,
    before: Before | None = None,
    follow: bool = True,
) -> None:
    """Copy the bytes of ``source`` to ``target``, whole or not at all; never a link to it.

    A new file gets the permissions of the source.

    Raises:
        OutputError: the source cannot be read or the target not be written.
    """
    try:
        reading = open_regular(source)
    except OSError as error:
        raise OutputError(f"cannot copy {source}", why=f"It cannot be read: {error.strerror}") from error
    with reading:
        mode = stat.S_IMODE(os.fstat(reading.fileno()).st_mode)
        with whole_file(target, guard=guard, mode=mode, before=before, follow=follow) as file:
            shutil.copyfileobj(reading, file, 1024 * 1024)


@contextmanager
def whole_file(
    path: Path,
    *,
    guard: Guard = UNGUARDED,
    mode: int = 0o666,
    within: Path | None = None,
    before: Before | None = None,
    follow: bool = True,
) -> Iterator[IO[bytes]]:
    """Yield a file to write to; leaving the block well puts it in place of ``path``.

    Leaving it by an exception (a cancellation too) removes what was written and leaves ``path`` as it was.

    Args:
        path: as in :func:`write_whole`.
        guard: as in :func:`write_whole`.
        mode: as in :func:`write_whole`.
        within: directory for the temporary file, on the same file system; default is beside ``path``.
        before: as in :func:`write_whole`.
        follow: False where it was looked at already, without links in it: a link, pipe or device has been
            put there or in the place of one of its folders since, maybe by another user, and is neither
            followed nor written to.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        if not follow and _HELD:
            with _beside_links(path, mode, guard, before) as file:
                yield file
            return
        target, old = _found(path) if follow else _unlinked(path)
        if old is None:
            target.parent.mkdir(parents=True, exist_ok=True)
        elif stat.S_ISDIR(old.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        elif not stat.S_ISREG(old.st_mode):
            with _special(path) as file:
                yield file
            return
        temporary = (within or target.parent) / temporary_name(target.name)
        with guarded(guard, temporary):
            try:
                with _create(temporary, mode, old) as file:
                    yield file
                if before is not None:
                    before(temporary)
                temporary.replace(target)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink()
                raise
    except OSError as error:
        raise cannot_write(path, error) from error


@contextmanager
def _beside_links(path: Path, mode: int, guard: Guard, before: Before | None) -> Iterator[IO[bytes]]:
    """Do what :func:`whole_file` does in a folder that is held, so that nothing can be put in its place."""
    path = Path(os.path.normpath(Path.cwd() / path))
    folder = _held(path.parent)
    try:
        old = None
        with suppress(FileNotFoundError):
            old = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
        if old is not None and stat.S_ISDIR(old.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if old is not None and not stat.S_ISREG(old.st_mode):
            raise OSError(0, _PUT_THERE)
        temporary = path.parent / temporary_name(path.name)
        with guarded(guard, temporary):
            try:
                with _create(temporary, mode, old, folder) as file:
                    yield file
                if before is not None:
                    before(temporary)
                os.replace(temporary.name, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary.name, dir_fd=folder)
                raise
    finally:
        os.close(folder)


def _held(folder: Path) -> int:
    """Return a descriptor of an absolute path's folder, made where it is missing; no link leads there.

    Raises:
        OSError: a link is in the path, a file, it may not be made, or this is not Linux.
    """
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, "Only Linux can hold a folder that may not be listed")
    flags = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_PATH
    held = os.open(folder.anchor, flags)
    for name in folder.parts[1:]:
        above = held
        try:
            try:
                held = os.open(name, flags, dir_fd=above)
            except FileNotFoundError:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=above)
                held = os.open(name, flags, dir_fd=above)
        except NotADirectoryError:
            if stat.S_ISLNK(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):
                raise OSError(0, _PUT_THERE) from None
            raise
        finally:
            os.close(above)
    return held


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other runs out; the folder itself is locked, so no lock file is left behind.

    Raises:
        OSError: the folder cannot be opened.
    """
    if sys.platform == "win32":
        yield
    else:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with suppress(OSError):  # some network file systems have no locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def cannot_write(path: Path, error: OSError) -> OutputError:
    """Return the sentence for ``error``, which came up while ``path`` was being written."""
    why, do = _ADVICE.get(error.errno or 0, (error.strerror or str(error), ""))
    return OutputError(f"cannot write {path}", why=why, do=do)


def temporary_name(name: str) -> str:
    """Return a name of its own for a temporary file that becomes ``name``.

    It tells this process and where it runs, so that :func:`sweep` knows when it is no longer needed.
    """
    tail = f".moorage-{os.getpid()}-{_place()}{os.urandom(3).hex()}"
    head = os.fsencode(name)[: _NAME_MAX - 1 - len(tail)]
    return "." + head.decode(errors="ignore") + tail


def sweep(folder: Path | int) -> int:
    """Remove temporary files in ``folder`` (a path or a descriptor) whose process is gone; return how many.

    A process elsewhere (another container or machine on a shared disk, a boot before this one) cannot be
    asked: its files are removed an hour after they were last written.

    Raises:
        Nothing: what cannot be listed or removed stays.
    """
    removed = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _STRAY.match(entry.name)
            if found is None or not _abandoned(entry, int(found[1]), found[2]):
                continue
            with suppress(OSError):
                # Of a descriptor's entries the path is the name.
                os.unlink(entry.path, dir_fd=folder if isinstance(folder, int) else None)
                removed += 1
    return removed


def _abandoned(entry: os.DirEntry[str], pid: int, place: str) -> bool:
    if place == _place():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except OverflowError:
            return True
        except PermissionError:
            return False
    with suppress(OSError):
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > _FOREIGN_AGE and pid != os.getpid()
    return False


def _place() -> str:
    """Return six hex digits for this boot and pid namespace: where a pid means the same process."""
    known = b""
    with suppress(OSError):
        known = Path("/proc/sys/kernel/random/boot_id").read_bytes()
        known += str(Path("/proc/self/ns/pid").stat().st_ino).encode()
    return hashlib.sha256(known).hexdigest()[:6]


def _found(path: Path) -> tuple[Path, os.stat_result | None]:
    target = Path(os.path.realpath(path))
    try:
        return target, target.stat()
    except FileNotFoundError:
        return target, None


def _unlinked(path: Path) -> tuple[Path, os.stat_result | None]:
    target = Path(os.path.realpath(path.parent), path.name)
    try:
        status = target.lstat()
    except FileNotFoundError:
        return target, None
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise OSError(0, _PUT_THERE)
    return target, status


def _special(path: Path) -> IO[bytes]:
    """Open a device or pipe for writing; OSError for a pipe that nothing reads, where others would wait."""
    descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_NONBLOCK", 0))
    if sys.platform != "win32":
        os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "wb")


def _create(path: Path, mode: int, old: os.stat_result | None, folder: int | None = None) -> IO[bytes]:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
    name = path if folder is None else path.name
    descriptor = os.open(name, flags, mode if old is None else 0o600, dir_fd=folder)
    try:
        if sys.platform != "win32" and old is not None:
            new = os.fstat(descriptor)
            if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
                with suppress(OSError):  # only root may give files away
                    os.fchown(descriptor, old.st_uid, old.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
        return os.fdopen(descriptor, "wb")
    except BaseException:
        os.close(descriptor)
        raise
