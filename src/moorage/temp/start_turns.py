"""Turns of starting servers: so many start at once, and the others wait in the order of coming."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

FOR_EACH_PROCESSOR = 4
"""Servers that start at once, for each processor: a start waits for the disk, too. With more of them none is
ready sooner, and each takes so long that it may seem dead."""


def starts_at_once() -> int:
    """Return how many servers may start at once on this machine."""
    return FOR_EACH_PROCESSOR * (os.cpu_count() or 1)


class StartTurns:
    """Lets so many start at once.

    Args:
        at_once: how many, 1 or more.
    """

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Callable[[], None]]:
        """Wait for a turn, and yield what ends it; the end of the block ends it, too.

        Cancelling leaves it to the next.
        """
        await self._free.acquire()
        ended = False

        def end() -> None:
            nonlocal ended
            if not ended:
                ended = True
                self._free.release()

        try:
            yield end
        finally:
            end()
