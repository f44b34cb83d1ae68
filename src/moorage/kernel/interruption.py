"""The end of code: its kernel is interrupted, and given up where that does not help in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, Self

from moorage.errors import MoorageError


class Interruptible(Protocol):
    """A kernel, launched or attached."""

    def interrupt(self) -> None:
        """Interrupt what runs. Returns at once."""
        ...


class Interruption:
    """One such end, used as ``with``: leaving the block calls off what has not come to pass.

    Attributes:
        begun: whether the kernel was interrupted.
        gave_up: whether that did not help in time.
    """

    def __init__(self, kernel: Interruptible, grace: float, give_up: Callable[[], None]) -> None:
        """Describe it; in a running loop.

        Args:
            kernel: runs the code.
            grace: seconds that the code has to end after the interrupt.
            give_up: called when they are over, in the loop's thread.
        """
        self.begun = False
        self.gave_up = False
        self._kernel = kernel
        self._grace = grace
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.call_off()

    def begin_after(self, seconds: float) -> None:
        """Have it begin in so many seconds."""
        self.call_off()
        self._timer = self._loop.call_later(seconds, self.begin)

    def begin(self) -> None:
        """Interrupt the kernel now; a second time nothing happens.

        A kernel that has just died is no error here: what waits for the code is told.
        """
        if self.begun:
            return
        self.call_off()
        self.begun = True
        self._timer = self._loop.call_later(self._grace, self._over)
        with suppress(MoorageError):
            self._kernel.interrupt()

    def call_off(self) -> None:
        """Wait no longer: the code has ended, or nothing waits for it any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _over(self) -> None:
        self.gave_up = True
        self._give_up()
