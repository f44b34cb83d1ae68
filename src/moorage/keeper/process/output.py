"""What a charge writes: on disk in two segments, bounded, and its end in memory.

Standard library only, from Python 3.9 on, and nothing of the package.
"""
# ruff: noqa: PTH105, PTH108 - pathlib is too large for a keeper

from __future__ import annotations

import errno
import os
import sys

assert sys.platform != "win32", "keepers need Unix sockets and fork"

TAIL = 8 * 1024
"""Bytes of the newest output that are kept in memory, and told with each status."""
KEPT = 1 << 16
"""Bytes of the newest output that stay on a full disk, where there is no older output to make room."""
LEAST = 1 << 12
"""Bytes that the two segments have at least."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class OutputLog:
    """The log of one charge, in the working directory.

    Attributes:
        total: bytes that the charge has written.
        dropped: bytes of these that are on disk no more, or never were.

    Args:
        name: of the newer segment's file; the older one has ``.1`` behind it.
        most: bytes that both may have together.
    """

    def __init__(self, name: str, most: int) -> None:
        self.total = 0
        self.dropped = 0
        self._name, self._older = name, name + ".1"
        self._half = max(most, LEAST) // 2
        self._tail = bytearray()
        self._file = -1
        self._sizes = [0, 0]  # of the newer segment and of the older one
        self._missing = 0
        self._why = ""

    def write(self, data: bytes) -> None:
        """Take what the charge has written. It is never refused: what cannot be stored is counted."""
        self.total += len(data)
        self._tail += data
        del self._tail[:-TAIL]
        for at in range(0, len(data), self._half):
            self._store(data[at : at + self._half])

    def tail(self) -> str:
        """Return the newest output, decoded as UTF-8 with replacement characters."""
        return self._tail.decode(errors="replace")

    def close(self) -> None:
        """Say in the log what is missing at its end, if anything is, and close it."""
        if self._missing:
            self._append(self._remark())
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _store(self, data: bytes) -> None:
        if self._sizes[0] + len(data) > self._half:
            self._shift()
        if self._missing and self._append(self._remark()):
            self._missing = 0
        if self._missing or not self._append(data):
            self._missing += len(data)
            self.dropped += len(data)

    def _remark(self) -> bytes:
        return f"\n[moorage: {self._missing} bytes of output are missing here: {self._why}]\n".encode()

    def _append(self, data: bytes) -> bool:
        """Write all of it, or nothing; where the disk is full the oldest output makes room."""
        while True:
            try:
                self._write(data)
            except OSError as error:
                self._why = error.strerror or str(error)
                if error.errno in _FULL and self.make_room():
                    continue
                return False
            return True

    def _write(self, data: bytes) -> None:
        if self._file < 0:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            self._file = os.open(self._name, flags, 0o600)
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            try:
                os.ftruncate(self._file, self._sizes[0])
            except OSError:  # then a torn piece stays, before the word about what is missing
                raise error from None
            raise
        self._sizes[0] += len(data)

    def make_room(self) -> bool:
        """Give up the older segment, or else all but the end of the newer one; False where that is little."""
        if self._sizes[1]:
            try:  # noqa: SIM105 - contextlib would be one more module to load
                os.unlink(self._older)
            except OSError:  # gone by another hand, which made room too
                pass
            self.dropped += self._sizes[1]
            self._sizes[1] = 0
            return True
        return self._sizes[0] >= LEAST and self._file >= 0 and self._shorten()

    def _shorten(self) -> bool:
        """Keep of the newer segment no more than half, and no more than fits in memory."""
        size = self._sizes[0]
        end = min(size // 2, KEPT)
        try:
            data = os.pread(self._file, end, size - end)
            os.ftruncate(self._file, 0)
            self._sizes[0] = 0
            self._write(data)
        except OSError as error:
            self._why = error.strerror or str(error)
        self.dropped += size - self._sizes[0]
        return self._sizes[0] < size

    def _shift(self) -> bool:
        """Make the newer segment the older one, which is dropped."""
        try:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
                os.replace(self._name, self._older)
        except OSError as error:
            self._why = error.strerror or str(error)
            return False
        self.dropped += self._sizes[1]
        self._sizes = [0, self._sizes[0]]
        return True
