"""Executions one after the other, where what a kernel publishes could not be told apart otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """The executions of one client; all methods belong to one loop."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = asyncio.Lock()
        self._errors: list[BaseException] = []

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until the executions before have ended. Cancelling is safe.

        Raises:
            BaseException: that of :meth:`fail`, where that was called meanwhile.
        """
        errors = self._errors
        async with self._lock:
            if errors:
                raise errors[0]
            yield

    def fail(self, error: BaseException) -> None:
        """Fail those that wait now, with ``error``."""
        self._errors.append(error)
        self._errors = []
