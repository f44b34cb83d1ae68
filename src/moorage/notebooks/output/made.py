"""Which files of an output folder moorage made: a record in the folder itself.

``.moorage-files`` holds a line of JSON for each file written: its name relative to the folder, the sha256 of
its bytes, its size and its time of last change. A line is appended before the file is renamed into place, so
SIGKILL at any moment leaves a file that some line describes. A file counts as moorage's as long as one of its
lines is true: what was changed by hand since is the user's.

Nothing in the record is believed beyond that. Its names stay below its folder, and a line without the very
bytes it names is good for nothing, so that a record planted by others gives away only what they knew already.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from moorage.notebooks.output.atomic import locked, write_whole

FILE_NAME: Final = ".moorage-files"
_LARGEST: Final = 64 << 20
_LOOKS = 5
_TAIL = 256
"""Bytes by which the end of what was read is known again."""
_KEPT_LINES = 8
"""Lines kept for a name when the record is rewritten: as many killed runs in a row may leave one untrue."""
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


class _Line(NamedTuple):
    digest: str
    size: int
    mtime_ns: int


class Made:
    """What moorage wrote into one folder, by this run and by others.

    Args:
        folder: the output folder; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / FILE_NAME
        self._mark: tuple[int, int, int] | None = None
        self._last = b""
        self._lines: dict[str, list[_Line]] = {}

    def names(self) -> frozenset[str]:
        """Return the names of all files written, changed since or not, relative to the folder."""
        self._read()
        return frozenset(self._lines)

    def holds(self, name: str, path: Path | str) -> bool:
        """Return whether ``path`` is as moorage wrote it; reads it only where its time does not tell.

        Args:
            name: relative to the folder, with forward slashes.
            path: where that is.
        """
        for _ in range(_LOOKS):
            self._read()
            before = self._mark
            if self._is_true(name, path):
                return True
            self._read()
            if self._mark == before:
                break  # else another run has written just now: its line came before its file
        return False

    def _is_true(self, name: str, path: Path | str) -> bool:
        lines = self._lines.get(name, ())
        try:
            status = os.lstat(path)
            if any((line.size, line.mtime_ns) == (status.st_size, status.st_mtime_ns) for line in lines):
                return True
            sizes = {line.size for line in lines}
            if status.st_size not in sizes or not stat.S_ISREG(status.st_mode):
                return False
            digest = _digest(path)
        except OSError:
            return False
        return any(line.digest == digest for line in lines)

    def add(self, name: str, path: Path) -> None:
        """Write down that a file is about to be put in place.

        Args:
            name: relative to the folder, with forward slashes.
            path: the complete file, still under another name.

        Raises:
            OSError: the record cannot be written, or is no file of this user's.
        """
        status = path.stat()
        line = json.dumps([name, _digest(path), status.st_size, status.st_mtime_ns]).encode() + b"\n"
        with locked(self.folder):
            self._shorten()
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _NO_LINK, 0o666)
            try:
                if not _may_count(os.fstat(descriptor), self.folder):
                    raise PermissionError(f"{self._path} belongs to another user, or is no file")
                size = os.lseek(descriptor, 0, os.SEEK_END)
                if size and os.lseek(descriptor, size - 1, os.SEEK_SET) and os.read(descriptor, 1) != b"\n":
                    line = b"\n" + line  # a full disk cut the last one off
                os.write(descriptor, line)
            finally:
                os.close(descriptor)

    def _read(self) -> None:
        try:
            if self._mark is not None and _mark(os.lstat(self._path)) == self._mark:
                return  # it is the very file that was read
            descriptor = os.open(self._path, os.O_RDONLY | _NO_LINK)
        except OSError:
            self._mark, self._lines = None, {}
            return
        try:
            status = os.fstat(descriptor)
            mark = _mark(status)
            if mark == self._mark:
                return
            self._take(descriptor, more=self._continues(descriptor, status))
            self._mark = mark
        except OSError:
            self._mark, self._lines = None, {}
        finally:
            os.close(descriptor)

    def _continues(self, descriptor: int, status: os.stat_result) -> bool:
        """Return whether the record begins with what is known, so that only what was appended is read."""
        if (
            self._mark is None
            or not self._last
            or not (self._mark[0] == status.st_ino and self._mark[1] <= status.st_size)
        ):
            return False
        os.lseek(descriptor, self._mark[1] - len(self._last), os.SEEK_SET)
        return os.read(descriptor, len(self._last)) == self._last

    def _take(self, descriptor: int, *, more: bool) -> None:
        if not more:
            self._lines, self._last = {}, b""
            os.lseek(descriptor, 0, os.SEEK_SET)
            if not _may_count(os.fstat(descriptor), self.folder):
                return
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(_LARGEST)
        for name, line in _parsed(data):
            self._lines.setdefault(name, []).append(line)
        # A line that is still being written is read again, and so is all before it.
        self._last = data[-_TAIL:] if data.endswith(b"\n") else (b"" if data else self._last)

    def _shorten(self) -> None:
        """Rewrite a record that holds many lines for each name; under the lock."""
        self._read()
        count = sum(len(lines) for lines in self._lines.values())
        if count <= 2 * _KEPT_LINES * len(self._lines) and (
            self._mark is None or self._mark[1] < _LARGEST // 2
        ):
            return
        kept = [
            json.dumps([name, *line]).encode() + b"\n"
            for name, lines in self._lines.items()
            for line in lines[-_KEPT_LINES:]
        ]
        # No link that another user may have put there since it was read.
        path = Path(os.path.realpath(self._path.parent), self._path.name)
        write_whole(path, b"".join(kept), follow=False)


def _mark(status: os.stat_result) -> tuple[int, int, int]:
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def _may_count(status: os.stat_result, folder: Path) -> bool:
    """Return whether a record is a file of this user's, of root's, or of the one whose folder it lies in."""
    if sys.platform == "win32":
        return stat.S_ISREG(status.st_mode)
    return stat.S_ISREG(status.st_mode) and status.st_uid in {0, os.geteuid(), folder.stat().st_uid}


def _parsed(data: bytes) -> Iterator[tuple[str, _Line]]:
    for text in data.split(b"\n"):
        with suppress(ValueError, RecursionError):
            found = _line(json.loads(text) if text else None)
            if found is not None:
                yield found


def _line(value: object) -> tuple[str, _Line] | None:
    if not isinstance(value, list) or [type(each) for each in value] != [str, str, int, int]:
        return None
    return value[0], _Line(*value[1:])


def _digest(path: Path | str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
