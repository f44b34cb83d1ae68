"""The cache's folder: signed records, blobs named by their content, and file states.

Everything appears by renaming, a record after the blobs it names, so any moment is a good one for SIGKILL
and two runs need no lock. What is read is checked: a record carries an HMAC of its payload, its kind and
its name (:mod:`moorage.notebooks.cache.key`), a blob is named by its digest. Whatever fails the
check is not there.

A folder is a cache when the file ``moorage-cache`` in it was signed with the same key. No other is read from,
written to or tidied. No link is followed, and only names that the store itself gives are ever removed.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Literal

import msgspec

from moorage.errors import UsageError
from moorage.notebooks.cache.folders import NO_LINK, opened
from moorage.notebooks.cache.state import make_state
from moorage.notebooks.output.atomic import cannot_write, sweep, temporary_name
from moorage.notebooks.output.guard import UNGUARDED, Guard, guarded
from moorage.regular import digest_regular, raise_if_ended, read_regular

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LARGE: Final = "large"
"""Stands for the digest of a file that is not read: its size and its times tell."""

Kind = Literal["recipes", "runs"]
"""``recipes``: by source bytes and settings. ``runs``: by what changes the execution."""

Shelf = Literal["recipes", "runs", "blobs"]

MARK: Final = "moorage-cache"
_MAGIC = b"moorage-cache-2 "
_NAME = re.compile(r"[0-9a-f]{4,64}")
_LARGEST_RECORD = 256 << 20
_TAG = b"""Signature: 8a477f597d28d172789f06886806bc55
# This folder holds what moorage rendered before. It may be deleted at any time.
"""
_RACY = 2_000_000_000
_LARGEST_BLOB = 1024 * 1024 * 1024


class FileState(msgspec.Struct, frozen=True, array_like=True):
    """What a file held.

    Attributes:
        digest: sha256 of its bytes; of names and digests for a directory; empty when there is none.
        size: bytes.
        mtime_ns: time of last change, or 0 when it is too young to prove anything: a change within the
            same tick of the clock would not show.
        ctime_ns: when the file itself was last touched, which no program sets: ``mv``, ``cp -p`` and archives
            bring old times along.
    """

    digest: str
    size: int
    mtime_ns: int
    ctime_ns: int = 0


class FileStates:
    """States of files; no file is read twice while its size, time and inode stay the same."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, int, int, int], str]] = {}

    def state(self, path: Path) -> FileState:
        """Return the state of a file or directory now; an unreadable one counts as missing.

        Reads the file (about 1 ms per MB) unless it is known.
        """
        try:
            status = path.stat()
            if stat.S_ISDIR(status.st_mode):
                return FileState(self._tree(path), 0, 0)
            digest = self._digest(path, status)
        except (OSError, ValueError):
            return FileState("", 0, 0)
        if max(status.st_mtime_ns, status.st_ctime_ns) > time.time_ns() - _RACY:
            return FileState(digest, status.st_size, 0)
        return FileState(digest, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def learn(self, paths: Iterable[Path]) -> None:
        """Read files, so that what they hold is known from now on; for a thread beside the loop.

        A file that was young when its reading began is read once more if that took long: only then does its
        time tell when it changes again. What is still young is small enough to be read again in no time.

        Raises:
            OSError: there is no use for it any more, see :data:`moorage.regular.reading_ends`.
        """
        for path in paths:
            for _ in range(2):
                with suppress(OSError, ValueError):
                    self._digest(path, path.stat())
                raise_if_ended()
                if str(path) in self._known:
                    break

    def same(self, path: Path | str, then: FileState) -> bool:
        """Return whether ``path`` holds what it held then; reads it only if size and time do not tell."""
        try:
            status = os.stat(path)  # noqa: PTH116 - hot
        except (OSError, ValueError):
            return not then.digest
        if not stat.S_ISDIR(status.st_mode):
            times = (status.st_mtime_ns, status.st_ctime_ns)
            if then.mtime_ns and (status.st_size, *times) == (then.size, then.mtime_ns, then.ctime_ns):
                return True
            if status.st_size != then.size or then.digest == LARGE:
                return False
        return self.state(Path(path)).digest == then.digest

    def _digest(self, path: Path, status: os.stat_result) -> str:
        mark = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        known = self._known.get(str(path))
        if known is not None and known[0] == mark:
            return known[1]
        began = time.time_ns()
        digest = digest_regular(path)
        if max(status.st_mtime_ns, status.st_ctime_ns) < began - _RACY:
            self._known[str(path)] = (mark, digest)
        return digest

    def _tree(self, folder: Path) -> str:
        summary = hashlib.sha256(b"directory")
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                summary.update(os.fsencode(path.relative_to(folder)) + b"\0")
                summary.update(self._digest(path, path.stat()).encode())
        return summary.hexdigest()


class Store:
    """Records and blobs below one folder.

    Args:
        folder: made when the first thing is written.
        key: authenticates all records.
        guard: deletes temporary files should moorage be killed.

    Raises:
        UsageError: the folder is there and is no cache, or no cache of that key.
    """

    def __init__(self, folder: Path, *, key: bytes, guard: Guard = UNGUARDED) -> None:
        self.folder = folder
        self._key = key
        self._guard = guard
        try:
            with opened(folder) as descriptor:
                self._check(descriptor)
            with opened(folder, "tmp") as descriptor:
                sweep(descriptor)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise _refused(folder, error.strerror or str(error)) from error

    def read(self, kind: Kind, key: str, *, use: bool = True) -> bytes | None:
        """Return the payload of a record, or None when there is none, or none of ours.

        Args:
            kind: which records.
            key: its name.
            use: count it as used today, so that pruning takes others first.
        """
        try:
            data = self._bytes(kind, key, most=_LARGEST_RECORD, use=86400.0 if use else None)
        except OSError:
            return None
        head, _, payload = data.partition(b"\n")
        return payload if hmac.compare_digest(head, self._head(kind, key, payload)) else None

    def write(self, kind: Kind, key: str, payload: bytes) -> None:
        """Write a record, over one of the same name.

        Raises:
            OutputError: it cannot be written.
        """
        self._put(kind, key, self._head(kind, key, payload) + b"\n" + payload)

    def add(self, data: bytes) -> str:
        """Keep ``data`` as a blob and return its digest.

        Raises:
            OutputError: it cannot be written.
        """
        digest = hashlib.sha256(data).hexdigest()
        if not self.has(digest, len(data), use=True):
            self._put("blobs", digest, data)
        return digest

    def add_file(self, path: Path) -> FileState:
        """Keep the bytes of a file as a blob and return its state.

        Raises:
            OutputError: it cannot be written, or changes while it is read.
            OSError: it cannot be read.
        """
        data = read_regular(path, _LARGEST_BLOB)
        return FileState(self.add(data), len(data), 0)

    def get(self, digest: str) -> bytes | None:
        """Return a blob, or None when it is gone; a damaged one is removed, so that it can come back."""
        try:
            data = self._bytes("blobs", digest, most=_LARGEST_BLOB)
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest() == digest:
            return data
        self.remove("blobs", digest)
        return None

    def intact(self, digest: str) -> Path | None:
        """Return the file of a blob, or None as :meth:`get` does."""
        try:
            with self._open("blobs", digest) as file:
                found = _digest_of(file)
        except OSError:
            return None
        if found == digest:
            return self.blob(digest)
        self.remove("blobs", digest)
        return None

    def has(self, digest: str, size: int, *, use: bool = False) -> bool:
        """Return whether a blob of that digest and size is here; ``use`` keeps pruning away from it."""
        try:
            with self._at("blobs", digest) as folder:
                status = os.stat(digest, dir_fd=folder, follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode) or status.st_size != size:
                    return False
                if use:
                    os.utime(digest, dir_fd=folder, follow_symlinks=False)
        except OSError:
            return False
        return True

    def blob(self, digest: str) -> Path:
        """Return where a blob is, or would be."""
        return self.folder / "blobs" / digest[:2] / digest

    def touch(self, name: str) -> None:
        """Write an empty file ``name``, whose time is the message.

        Raises:
            OutputError: it cannot be written.
        """
        self._put(None, name, b"")

    def entries(self, shelf: Shelf) -> Iterator[tuple[str, os.stat_result]]:
        """Yield name and state of everything that the store itself put on a shelf."""
        with suppress(OSError), opened(self.folder, shelf) as above:
            for part in sorted(os.listdir(above)):  # noqa: PTH208 - by descriptor
                if not re.fullmatch(r"[0-9a-f]{2}", part):
                    continue
                with suppress(OSError), opened(self.folder, shelf, part) as folder:
                    for name in os.listdir(folder):  # noqa: PTH208 - by descriptor
                        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                        if name[:2] == part and _NAME.fullmatch(name) and stat.S_ISREG(status.st_mode):
                            yield name, status

    def remove(self, shelf: Shelf, name: str) -> int:
        """Remove a record or blob and return 1; 0 when it is not there or no file."""
        try:
            with self._at(shelf, name) as folder:
                if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                    return 0
                os.unlink(name, dir_fd=folder)
        except OSError:
            return 0
        return 1

    def _head(self, kind: Kind, key: str, payload: bytes) -> bytes:
        signed = b"\0".join((kind.encode(), key.encode(), payload))
        return _MAGIC + hmac.digest(self._key, signed, "sha256").hex().encode()

    def _at(self, shelf: Shelf, name: str, *, make: bool = False) -> AbstractContextManager[int]:
        if not _NAME.fullmatch(name):
            raise FileNotFoundError(name)
        return opened(self.folder, shelf, name[:2], make=make)

    def _bytes(self, shelf: Shelf, name: str, *, most: int, use: float | None = None) -> bytes:
        """Return a file's bytes; one that was not used for ``use`` seconds counts as used now."""
        with self._open(shelf, name) as file:
            status = os.fstat(file.fileno())
            if use is not None and status.st_mtime < time.time() - use:  # the least recently used go first
                with suppress(OSError):
                    os.utime(file.fileno())
            return file.read(min(status.st_size, most))  # memory is set aside for as much as is asked for

    def _open(self, shelf: Shelf, name: str) -> BinaryIO:
        with self._at(shelf, name) as folder:
            file = os.fdopen(os.open(name, os.O_RDONLY | NO_LINK, dir_fd=folder), "rb")
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise FileNotFoundError(name)
        return file

    def _put(self, shelf: Shelf | None, name: str, data: bytes) -> None:
        path = self.folder / name if shelf is None else self.folder / shelf / name[:2] / name
        try:
            with suppress(FileNotFoundError):
                return self._rename(shelf, name, data)
            self._prepare()
            self._rename(shelf, name, data)
        except OSError as error:
            raise cannot_write(path, error) from error

    def _rename(self, shelf: Shelf | None, name: str, data: bytes) -> None:
        temporary = temporary_name(name)
        with guarded(self._guard, self.folder / "tmp" / temporary), opened(self.folder, "tmp") as here:
            there = opened(self.folder) if shelf is None else self._at(shelf, name, make=True)
            with there as folder:
                try:
                    _write(temporary, data, here)
                    os.rename(temporary, name, src_dir_fd=here, dst_dir_fd=folder)
                except BaseException:
                    with suppress(OSError):
                        os.unlink(temporary, dir_fd=here)
                    raise

    def _prepare(self) -> None:
        """Make the folder a cache: the mark first, so that SIGKILL leaves a cache or an empty folder."""
        if self.folder.parent.name == ".moorage":
            make_state(self.folder.parent)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with opened(self.folder, make=True) as descriptor:
            self._check(descriptor)
            _write(MARK, self._mark(), descriptor, flags=0)  # the same bytes, whichever run comes first
            for name, data in (
                (".gitignore", b"*\n"),
                ("CACHEDIR.TAG", _TAG),
            ):  # https://bford.info/cachedir/
                with suppress(FileExistsError):
                    _write(name, data, descriptor)
        with opened(self.folder, "tmp", make=True):
            pass

    def _mark(self) -> bytes:
        return hmac.digest(self._key, b"moorage cache", "sha256").hex().encode() + b"\n"

    def _check(self, folder: int) -> None:
        """Check that an open folder is a cache of this key, or empty.

        Raises:
            UsageError: it is neither.
            OSError: it cannot be looked at.
        """
        names = set(os.listdir(folder))
        if MARK in names:
            descriptor = os.open(MARK, os.O_RDONLY | NO_LINK, dir_fd=folder)
            with os.fdopen(descriptor, "rb") as file:
                regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
                mark = file.read(len(self._mark()) + 1) if regular else b""
            if hmac.compare_digest(mark, self._mark()):
                return
            if names == {MARK} and self._mark().startswith(mark) and regular:  # it is about to be written
                return
        if names:
            raise _refused(self.folder, "it holds files, and no run of this user with this key made it")


def _digest_of(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while part := file.read(1 << 20):
        digest.update(part)
    return digest.hexdigest()


def _refused(folder: Path, why: str) -> UsageError:
    do = "Delete it or choose another folder; one that is shared needs its MOORAGE_CACHE_KEY"
    return UsageError(f"{folder} is not taken as a cache", why=why, do=do)


def _write(name: str, data: bytes, folder: int, *, flags: int = os.O_EXCL) -> None:
    """Write a new file in an open folder; what is there already is left alone, and an error."""
    flags |= os.O_WRONLY | os.O_CREAT | NO_LINK
    with os.fdopen(os.open(name, flags, 0o666, dir_fd=folder), "wb") as file:
        file.write(data)
