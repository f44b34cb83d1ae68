"""How much memory servers take, each with all it has started."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Collection, Mapping

from moorage.tasks import in_thread

if sys.platform == "linux":
    from moorage.process import procfs

FRESH = 5.0
"""Seconds for which a figure holds: reading it takes a millisecond of the processor for each process."""


class ServerMemory:
    """Looks at the processes of servers, not more often than every :data:`FRESH` seconds."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[float, int | None]] = {}
        self._looking = asyncio.Lock()

    async def of(self, pids: Collection[int]) -> Mapping[int, int]:
        """Return the memory in bytes by process id; what has ended or cannot be read is left out.

        Args:
            pids: processes, each told with its descendants. Pages that processes share are divided among
                them, so that the sum is what all take together.

        Cancelling is safe.
        """
        async with self._looking:
            self._known = {pid: known for pid, known in self._known.items() if pid in pids}
            now = time.monotonic()
            old = [pid for pid in pids if pid not in self._known or now - self._known[pid][0] > FRESH]
            if old:
                found = await in_thread(lambda: _look(old), name="look at memory")
                self._known |= {pid: (time.monotonic(), size) for pid, size in found.items()}
            return {pid: size for pid, (_, size) in self._known.items() if size is not None}


def _look(pids: Collection[int]) -> dict[int, int | None]:
    if sys.platform == "linux":
        return {pid: procfs.proportional(pid) for pid in pids}
    else:  # noqa: RET505 - without it mypy looks for what is not there on other systems
        return dict.fromkeys(pids)
