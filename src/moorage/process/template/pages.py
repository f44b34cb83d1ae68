"""Which pages of memory kernels write to and read as they start, so that a spare has them before its launch.

A fork shares its template's memory. The first write to a page copies it, at 3 µs apiece, two thousand times
until the first result; the first read of a library's page is a fault as well. Kernels of one template do so
to nearly the same pages. So the template looks at two kernels from outside while they start
(``/proc/PID/pagemap``), and every spare after that has these pages copied and mapped by a few calls of
madvise(2), in two thirds of the time, and not in a launch's. Kernels need no more memory by it, for they
would copy these pages anyway; only the waiting spare does.

Loaded by the template by its path, without the package: standard library only, from Python 3.9 on.
"""
# ruff: noqa: PTH123 - pathlib would be one more thing a fork shares with its template

from __future__ import annotations

import ctypes
import os
import sys

assert sys.platform == "linux", "templates need the warden, and /proc"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MADV_POPULATE_READ, MADV_POPULATE_WRITE = 22, 23
"""From Linux 5.14 on; refused before: there pages are copied as they are written to."""
PRESENT, OF_FILE, EXCLUSIVE = 1 << 63, 1 << 61, 1 << 56
"""What pagemap says of a page: it is in memory; it is a file's, or shared; no other process has it."""
MOST_KERNELS = 2
"""Kernels that are looked at: what the second one did not need is not taken any more."""
ADDRESSES = 1 << 47
"""Where processes' addresses end, and the kernel's begin."""
SIZE = os.sysconf("SC_PAGE_SIZE")

_Run = tuple[int, int]


class Pages:
    """What kernels of one template need, as far as it was seen."""

    def __init__(self) -> None:
        self._madvise = ctypes.CDLL(None).madvise
        self._madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        self._needs: dict[int, tuple[set[int], set[int]]] = {}
        self.written: list[_Run] = []
        self.read: list[_Run] = []

    def wants(self, pid: int) -> bool:
        """Whether a look at this kernel tells anything new."""
        return pid in self._needs or len(self._needs) < MOST_KERNELS

    def look(self, pid: int) -> None:
        """See what a kernel needed so far; one that has ended, or may not be looked at, tells nothing."""
        try:
            self._needs[pid] = needed(pid)
        except (OSError, ValueError):
            return
        self.written = list(runs(set.intersection(*(written for written, _ in self._needs.values()))))
        self.read = list(runs(set.intersection(*(read for _, read in self._needs.values()))))

    def take(self) -> None:
        """Have in this process what kernels were seen to need."""
        for advice, found in ((MADV_POPULATE_WRITE, self.written), (MADV_POPULATE_READ, self.read)):
            for address, length in found:
                self._madvise(address, length, advice)


def needed(pid: int) -> tuple[set[int], set[int]]:
    """Return the numbers of pages a fork has by itself, and of files' pages it has read.

    Only pages that have an address in this process are looked at.

    Raises:
        OSError, ValueError: it has ended, or may not be looked at.
    """
    written: set[int] = set()
    read: set[int] = set()
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        for begin, end, writable in regions():
            first = begin // SIZE
            pagemap.seek(first * 8)
            entries = memoryview(pagemap.read((end // SIZE - first) * 8)).cast("Q")
            if writable:
                asked = PRESENT | OF_FILE | EXCLUSIVE
                found = (
                    at for at, entry in enumerate(entries, first) if entry & asked == PRESENT | EXCLUSIVE
                )
                written.update(found)
            else:
                read.update(at for at, entry in enumerate(entries, first) if entry & PRESENT)
    return written, read


def regions() -> Iterator[tuple[int, int, bool]]:
    """Yield this process's readable private regions: first address, end, whether they are writable."""
    with open("/proc/self/maps") as file:
        for line in file:
            where, rights, _ = line.split(" ", 2)
            begin, _, end = where.partition("-")
            if rights[0] == "r" and rights[3] == "p" and int(end, 16) <= ADDRESSES:
                yield int(begin, 16), int(end, 16), rights[1] == "w"


def runs(pages: Iterable[int]) -> Iterator[_Run]:
    """Yield addresses and lengths, in bytes, of neighbouring pages."""
    begin = end = 0
    for page in sorted(pages):
        if page != end:
            if end > begin:
                yield begin * SIZE, (end - begin) * SIZE
            begin = page
        end = page + 1
    if end > begin:
        yield begin * SIZE, (end - begin) * SIZE
