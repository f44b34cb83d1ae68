"""What waits for a slow reader: in memory up to a bound, and beyond it in files without a name."""

from __future__ import annotations

import errno
from collections import deque
from typing import IO, Final

IN_MEMORY: Final = 16 << 20
"""Bytes that wait in memory."""
ON_DISK: Final = 1 << 30
"""Bytes that wait in files; more is an error."""
_PIECE: Final = 1 << 20
_FILE: Final = 64 << 20  # bytes after which a file gets no more: it goes when all of it has been read


class Backlog:
    """Bytes in the order in which they came, of which the first are taken first.

    The files lie in the folder for temporary files (``TMPDIR``) and have gone with this process, however
    that ends.

    Args:
        in_memory: bytes that are kept in memory.
        on_disk: bytes that the files may have in all.
    """

    def __init__(self, in_memory: int = IN_MEMORY, on_disk: int = ON_DISK) -> None:
        self._in_memory = in_memory
        self._on_disk = on_disk
        self._first = bytearray()
        self._files: deque[IO[bytes]] = deque()
        self._read = 0  # of the first file
        self._filed = 0  # bytes that are in files and were not read

    def __len__(self) -> int:
        return len(self._first) + self._filed

    def append(self, data: bytes) -> None:
        """Add bytes.

        Raises:
            OSError: there is no room for them.
        """
        if not self._files and len(self._first) + len(data) <= self._in_memory:
            self._first += data
            return
        if self._filed + len(data) > self._on_disk:
            raise OSError(errno.ENOSPC, f"Its reader takes nothing, and {len(self) >> 20} MiB wait for it")
        if not self._files or self._files[-1].seek(0, 2) >= _FILE:
            from tempfile import TemporaryFile

            self._files.append(TemporaryFile())  # noqa: SIM115 - closed when it has been read
        self._files[-1].seek(0, 2)
        self._files[-1].write(data)
        self._files[-1].flush()
        self._filed += len(data)

    def first(self, size: int) -> bytes:
        """Return the first bytes, at most ``size``; none where nothing waits."""
        if not self._first and self._filed:
            file = self._files[0]
            file.seek(self._read)
            piece = file.read(_PIECE)
            self._first += piece
            self._read += len(piece)
            self._filed -= len(piece)
            if self._read == file.seek(0, 2):
                self._files.popleft().close()
                self._read = 0
        return bytes(memoryview(self._first)[:size])

    def take(self, size: int) -> None:
        """Forget the first ``size`` bytes, which :meth:`first` has returned."""
        del self._first[:size]

    def clear(self) -> None:
        """Forget everything."""
        self._first.clear()
        self._read = self._filed = 0
        while self._files:
            self._files.popleft().close()
