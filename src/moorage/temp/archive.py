"""A folder as a zip file that is made while it is sent: in little memory, and on no disk."""
# ruff: noqa: E402 - nothing of it is there on Windows

from __future__ import annotations

import asyncio
import os
import stat
import sys
import threading
import time
import zipfile
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

assert sys.platform != "win32", "what is read by descriptors of folders needs Unix"

from moorage.tasks import in_thread

PIECE = 256 * 1024
"""Bytes that are read and sent at a time."""
AHEAD = 4
"""Pieces that are made before they are taken."""
_DOS_TIMES = range(1980, 2108)
"""Years that a zip file can say."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


async def zipped(folder: Path) -> AsyncGenerator[bytes, None]:
    """Yield a zip file of a folder, piece by piece.

    Regular files go in as they are when their turn comes, and links as links, which are followed nowhere; all
    else is left out, and so is what cannot be read.

    Args:
        folder: its files may change meanwhile, and be exchanged for links.

    Raises:
        OSError: there is no such folder.

    Leaving it early ends the reading.
    """
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[bytes] = asyncio.Queue()
    room = threading.Semaphore(AHEAD)
    left = threading.Event()

    def sent(piece: bytes) -> None:
        if not left.is_set():
            room.acquire()
        if left.is_set():  # be it while it waited
            raise BrokenPipeError
        loop.call_soon_threadsafe(pieces.put_nowait, piece)

    made = in_thread(lambda: _write(folder, sent), name="zip a visitor's files")
    made.add_done_callback(lambda made: _over(made, pieces))
    try:
        while piece := await pieces.get():
            room.release()
            yield piece
        await made
    finally:
        left.set()
        room.release()


def _over(made: asyncio.Future[None], pieces: asyncio.Queue[bytes]) -> None:
    if not made.cancelled():
        made.exception()  # looked at here, too: where the receiver has left, nothing else does
    pieces.put_nowait(b"")


class _Sink:
    """What a zip file is written to: pieces of some size, in order."""

    def __init__(self, sent: Callable[[bytes], None]) -> None:
        self._sent = sent
        self._buffer = bytearray()

    def write(self, data: bytes) -> int:
        self._buffer += data
        if len(self._buffer) >= PIECE:
            self.flush()
        return len(data)

    def close(self) -> None:
        self.flush()

    def flush(self) -> None:
        if self._buffer:
            self._sent(bytes(self._buffer))
            self._buffer.clear()


def _write(folder: Path, sent: Callable[[bytes], None]) -> None:
    sink = _Sink(sent)
    # What cannot be sought in is written with sizes behind the data (APPNOTE.TXT, 4.3.9).
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for name, found, directory in _entries(folder):
            info = zipfile.ZipInfo(name, _time(found.st_mtime))
            info.external_attr = found.st_mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            if stat.S_ISDIR(found.st_mode):
                archive.writestr(info, b"", zipfile.ZIP_STORED)
            elif stat.S_ISLNK(found.st_mode):
                with suppress(OSError):
                    archive.writestr(info, os.readlink(Path(name).name, dir_fd=directory))
            else:
                _copy(archive, info, directory)
    sink.flush()


def _copy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, directory: int) -> None:
    """Add a regular file, if it is one still."""
    try:
        descriptor = os.open(Path(info.filename).name, _READ, dir_fd=directory)
    except OSError:
        return
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return
        with archive.open(info, "w", force_zip64=True) as into:
            while data := _read(file.read):
                into.write(data)


def _read(read: Callable[[int], bytes]) -> bytes:
    try:
        return read(PIECE)
    except OSError:  # what was read before is there
        return b""


def _entries(folder: Path) -> Iterator[tuple[str, os.stat_result, int]]:
    """Yield names within the folder, what each is, and a descriptor of the folder that it is in."""
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield from _entries_below(top)
    finally:
        os.close(top)


def _entries_below(top: int) -> Iterator[tuple[str, os.stat_result, int]]:
    for path, _, _, directory in os.fwalk(".", follow_symlinks=False, dir_fd=top):
        above = Path(path)
        for name in sorted(os.listdir(directory)):  # noqa: PTH208 - by descriptor
            try:
                found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except OSError:
                continue
            kind = stat.S_IFMT(found.st_mode)
            inner = str(above / name)
            if kind == stat.S_IFDIR:
                yield f"{inner}/", found, directory
            elif kind in {stat.S_IFREG, stat.S_IFLNK}:
                yield inner, found, directory


def _time(seconds: float) -> tuple[int, int, int, int, int, int]:
    year, month, day, hour, minute, second = time.localtime(seconds)[:6]
    return (year, month, day, hour, minute, second) if year in _DOS_TIMES else (1980, 1, 1, 0, 0, 0)
