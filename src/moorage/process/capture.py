"""What a process says: the newest part of its stdout and stderr, in order of arrival, bounded."""

from __future__ import annotations

import os
import sys
from collections import deque
from typing import TYPE_CHECKING

from moorage.process.tee import Tee

if TYPE_CHECKING:
    import asyncio

_PIECE = 1 << 16
_PIPE = 1 << 20  # a pipe holds at most this much, unless root made it larger


class Capture:
    """Reads two pipes as their data comes and never lets their writer wait.

    One piece is read per wake-up of the loop, so a process that writes without end slows nothing else.

    Args:
        loop: watches the pipes until :meth:`close`; None for none, until :meth:`watch`.
        keep: how many bytes of each pipe to keep.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None, keep: int) -> None:
        self._loop = loop
        self._keep = keep
        self._pieces: deque[tuple[int, bytearray]] = deque()
        self._sizes: dict[int, int] = {}
        self._echoes: dict[int, Tee] = {}

    def open(self, echo: int | None = None) -> int:
        """Make a pipe and watch its read end.

        Args:
            echo: a descriptor that also gets what is read, whose reader the process then waits for.

        Returns:
            the write end, blocking as programs expect; the caller closes it.

        Raises:
            OSError: no descriptors are left.
        """
        reader, writer = os.pipe()
        if echo is not None and self._loop is not None:
            try:
                self._echoes[reader] = Tee(self._loop, echo)
            except OSError:
                os.close(reader)
                os.close(writer)
                raise
        if sys.platform != "win32":
            os.set_blocking(reader, False)
        self._sizes[reader] = 0
        self._listen(reader)
        return writer

    def text(self) -> str:
        """Return what is kept, decoded as UTF-8 with replacement characters."""
        return b"".join(piece for _, piece in self._pieces).decode(errors="replace")

    def drain(self) -> None:
        """Read what the pipes hold now, without waiting and without an end to a writer that never stops."""
        for reader in list(self._sizes):
            left = _PIPE
            while left > 0 and (count := self._read(reader)):
                left -= count

    def watch(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Read in another loop from now on, None: in none. Only where nothing is passed on."""
        for reader in self._sizes:
            self._unlisten(reader)
        self._loop = loop
        for reader in self._sizes:
            self._listen(reader)

    def abandon(self) -> None:
        """Close both pipes and read nothing more; for one that no loop reads."""
        while self._sizes:
            os.close(self._sizes.popitem()[0])

    def close(self) -> None:
        """Drain, then close both pipes. What is kept stays readable."""
        self.drain()
        for reader in list(self._sizes):
            self._drop(reader)

    def _read(self, reader: int) -> int:
        if reader not in self._sizes:
            return 0
        try:
            data = os.read(reader, _PIECE)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        if data:
            self._add(reader, data)
            echo = self._echoes.get(reader)
            if echo is not None and not echo.write(data, lambda: self._listen(reader)):
                self._unlisten(reader)
        else:
            self._drop(reader)
        return len(data)

    def _listen(self, reader: int) -> None:
        if reader in self._sizes and self._loop is not None:
            self._loop.add_reader(reader, self._read, reader)

    def _unlisten(self, reader: int) -> None:
        if self._loop is not None:
            self._loop.remove_reader(reader)

    def _drop(self, reader: int) -> None:
        if (echo := self._echoes.pop(reader, None)) is not None:
            echo.close()
        del self._sizes[reader]
        self._unlisten(reader)
        os.close(reader)

    def _add(self, reader: int, data: bytes) -> None:
        data = data[max(0, len(data) - self._keep) :]
        if self._pieces and self._pieces[-1][0] == reader and len(self._pieces[-1][1]) < 4096:
            self._pieces[-1][1].extend(data)
        else:
            self._pieces.append((reader, bytearray(data)))
        self._sizes[reader] += len(data)
        over = self._sizes[reader] - self._keep
        at = 0
        while over > 0:
            owner, piece = self._pieces[at]
            if owner != reader:
                at += 1
            elif len(piece) <= over:
                over -= len(piece)
                self._sizes[reader] -= len(piece)
                del self._pieces[at]
            else:
                del piece[:over]
                self._sizes[reader] -= over
                over = 0
