"""The cache's folder: checked records, blobs named by their content, and file states.

Everything is written whole (``atomic``), a record after the blobs it names, so any moment is a good one
for SIGKILL and two runs need no lock. What is read is checked: a record carries the digest of its payload,
a blob is named by its own. Whatever fails the check is not there.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import msgspec

from moorage.regular import digest_regular, open_regular, raise_if_ended, read_regular
from moorage.render.output.atomic import Guard, no_guard, sweep, whole_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Kind = Literal["recipes", "runs"]
"""``recipes``: by source bytes and settings. ``runs``: by what changes the execution."""

_MAGIC = b"moorage-cache-1 "
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
    """

    digest: str
    size: int
    mtime_ns: int


class Files:
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
        young = status.st_mtime_ns > time.time_ns() - _RACY
        return FileState(digest, status.st_size, 0 if young else status.st_mtime_ns)

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

    def same(self, path: Path, then: FileState) -> bool:
        """Return whether ``path`` holds what it held then; reads it only if size and time do not tell."""
        try:
            status = path.stat()
        except (OSError, ValueError):
            return not then.digest
        if not stat.S_ISDIR(status.st_mode):
            if then.mtime_ns and (status.st_size, status.st_mtime_ns) == (then.size, then.mtime_ns):
                return True
            if status.st_size != then.size:
                return False
        return self.state(path).digest == then.digest

    def _digest(self, path: Path, status: os.stat_result) -> str:
        mark = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        known = self._known.get(str(path))
        if known is not None and known[0] == mark:
            return known[1]
        began = time.time_ns()
        digest = digest_regular(path)
        if status.st_mtime_ns < began - _RACY:
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
        guard: told each temporary file before it exists.
        unguard: told it when it is gone.
    """

    def __init__(self, folder: Path, *, guard: Guard = no_guard, unguard: Guard = no_guard) -> None:
        self.folder = folder
        self._base = f"{folder}/"
        self._guard = guard
        self._unguard = unguard
        sweep(folder / "tmp")

    def read(self, kind: Kind, key: str, *, use: bool = True) -> bytes | None:
        """Return the payload of a record, or None when there is none or it is damaged.

        Args:
            kind: which records.
            key: its name.
            use: count it as used today, so that pruning takes others first.
        """
        try:
            with open_regular(f"{self._base}{kind}/{key[:2]}/{key}") as file:
                status = os.fstat(file.fileno())
                data = file.read(status.st_size)
                if use and status.st_mtime < time.time() - 86400:  # the least recently used go first
                    with suppress(OSError):
                        os.utime(file.fileno())
        except OSError:
            return None
        head, _, payload = data.partition(b"\n")
        return payload if head == _MAGIC + hashlib.sha256(payload).hexdigest().encode() else None

    def write(self, kind: Kind, key: str, payload: bytes) -> None:
        """Write a record, over one of the same name.

        Raises:
            OutputError: it cannot be written.
        """
        head = _MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n"
        self._put(self.folder / kind / key[:2] / key, head + payload)

    def add(self, data: bytes) -> str:
        """Keep ``data`` as a blob and return its digest.

        Raises:
            OutputError: it cannot be written.
        """
        digest = hashlib.sha256(data).hexdigest()
        if not self.has(digest, len(data), use=True):
            self._put(self.blob(digest), data)
        return digest

    def add_file(self, path: Path) -> FileState:
        """Keep the bytes of a file as a blob and return its state.

        Raises:
            OutputError: it cannot be written, or changes while it is read.
            OSError: it cannot be read.
        """
        state = FileState(hashlib.sha256(data := read_regular(path, _LARGEST_BLOB)).hexdigest(), len(data), 0)
        if not self.has(state.digest, state.size, use=True):
            self._put(self.blob(state.digest), data)
        return state

    def get(self, digest: str) -> bytes | None:
        """Return a blob, or None when it is gone; a damaged one is removed, so that it can come back."""
        path = self.blob(digest)
        try:
            data = read_regular(path, _LARGEST_BLOB)
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest() == digest:
            return data
        with suppress(OSError):
            path.unlink()
        return None

    def has(self, digest: str, size: int, *, use: bool = False) -> bool:
        """Return whether a blob of that digest and size is here; ``use`` keeps pruning away from it."""
        path = self.blob(digest)
        try:
            if path.stat().st_size != size:
                return False
            if use:
                os.utime(path)
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
        self._put(self.folder / name, b"")

    def _put(self, path: Path, data: bytes) -> None:
        temporary = self.folder / "tmp"
        if not temporary.is_dir():
            with suppress(OSError):
                temporary.mkdir(parents=True, exist_ok=True)
            self._write(self.folder / ".gitignore", b"*\n")
            self._write(self.folder / "CACHEDIR.TAG", _TAG)  # https://bford.info/cachedir/
        self._write(path, data)

    def _write(self, path: Path, data: bytes) -> None:
        within = self.folder / "tmp"
        with whole_file(path, guard=self._guard, unguard=self._unguard, within=within) as file:
            file.write(data)
