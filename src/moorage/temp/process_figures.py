"""What servers take of the machine, each with all it has started: memory, and descriptors by kind."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

from moorage.tasks import in_thread
from moorage.wire.temp_admin import OpenFiles

if sys.platform == "linux":
    from moorage.process import procfs

T = TypeVar("T")

FRESH = 5.0
"""Seconds for which a figure holds: reading it takes a millisecond of the processor for each process."""
_KINDS = {"socket": "sockets", "pipe": "pipes"}
"""What the link of a descriptor in /proc begins with (proc(5)); what is neither and a path is a file."""

Look: TypeAlias = Callable[[int], T | None]


class ProcessFigures(Generic[T]):
    """Looks at the processes of servers, not more often than every :data:`FRESH` seconds.

    Args:
        look: tells a figure of a process and its descendants; None for what has ended or cannot be read.
    """

    def __init__(self, look: Look[T]) -> None:
        self._look = look
        self._known: dict[int, tuple[float, T | None]] = {}
        self._looking = asyncio.Lock()

    async def of(self, pids: Collection[int]) -> Mapping[int, T]:
        """Return the figure by process id; what has ended or cannot be read is left out.

        Args:
            pids: processes, each told with its descendants.

        Cancelling is safe.
        """
        async with self._looking:
            self._known = {pid: known for pid, known in self._known.items() if pid in pids}
            now = time.monotonic()
            old = [pid for pid in pids if pid not in self._known or now - self._known[pid][0] > FRESH]
            if old:
                found = await in_thread(
                    lambda: {pid: self._look(pid) for pid in old}, name="look at processes"
                )
                self._known |= {pid: (time.monotonic(), figure) for pid, figure in found.items()}
            return {pid: figure for pid, (_, figure) in self._known.items() if figure is not None}


def memory_of(pid: int) -> int | None:
    """Return the memory of a process and its descendants in bytes.

    Pages that processes share are divided among them, so that the sum is what all take together.
    """
    if sys.platform == "linux":
        return procfs.proportional(pid)
    else:  # noqa: RET505 - without it mypy looks for what is not there on other systems
        return None


def open_files_of(pid: int) -> OpenFiles | None:
    """Return the descriptors of a process and its descendants, by kind."""
    kinds: Counter[str] = Counter()
    known = False
    for one in _family(pid):
        try:
            found = [*Path(f"/proc/{one}/fd").iterdir()]
        except OSError:
            continue  # it has ended meanwhile, or belongs to another user
        known = True
        kinds.update(map(_kind, found))
    return OpenFiles(kinds["sockets"], kinds["pipes"], kinds["files"], kinds["others"]) if known else None


def _family(pid: int) -> list[int]:
    """Return a process and its descendants; none where the system does not tell."""
    if sys.platform == "linux":
        return [*procfs.family(pid)]
    else:  # noqa: RET505 - as above
        return []


def _kind(descriptor: Path) -> str:
    try:
        target = str(descriptor.readlink())
    except OSError:
        return "closed"  # meanwhile
    return "files" if target.startswith("/") else _KINDS.get(target.partition(":")[0], "others")
