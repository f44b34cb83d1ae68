"""A kernel that owes an answer and is silent: whether its process is stopped.

A stopped process says nothing and ends nothing, and no event of another program's process tells of it. So it
is looked at, every other second, while a request is under way and nothing has been heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from moorage.process.base import Handle

LOOKS = 2.0
"""Seconds of silence before a look, and between two of them."""


def standstill_of(handle: Handle) -> str:
    """Return what holds a process still, in words; empty where it runs, or where that is out of sight."""
    look: Callable[[], str] | None = getattr(handle, "standstill", None)
    return "" if look is None else look()


def advice(why: str, pid: int) -> str:
    """Return what lets a process go on that is held so, in a clause."""
    return f"`kill -CONT {pid}` lets it go on" if "SIG" in why else "it goes on when the debugger lets it"


class Standstill:
    """What is known of it for one kernel; all methods belong to the loop it was made in.

    Attributes:
        why: what holds the process still, in words; empty where it runs, as far as it was looked at.
    """

    def __init__(
        self, owed: Callable[[], bool], look: Callable[[], str], tell: Callable[[str], None]
    ) -> None:
        """Begin with a process that runs.

        Args:
            owed: tells whether the kernel owes an answer to any client.
            look: looks at the process; returns what holds it still.
            tell: called with every new ``why``.
        """
        self.why = ""
        self._owed, self._look, self._tell = owed, look, tell
        self._timer: asyncio.TimerHandle | None = None
        self._ran = monotonic()  # when it was last known to run
        self._since = 0.0  # until when the standstill under way has been counted
        self._seconds = 0.0

    def asked(self) -> None:
        """Take note that the kernel owes an answer."""
        if self._timer is None:
            self._ran = monotonic()
            self._arm()

    def heard(self) -> None:
        """Take note of a message from the kernel."""
        if self.why:
            self.look()  # it may have waited on the way
        else:
            self._ran = monotonic()
        if self._timer is None:
            self._arm()

    def look(self) -> str:
        """Look now, and return what holds the process still."""
        why, now = self._look(), monotonic()
        if self.why:
            self._seconds += now - self._since
        elif why:
            self._seconds += now - self._ran
        self._since = now
        if not why:
            self._ran = now
        if why != self.why:
            self.why = why
            self._tell(why)
        return why

    def seconds(self) -> float:
        """Return for how many seconds it stood still in all; :data:`LOOKS` too many for each time at most."""
        self.look()
        return self._seconds

    def forget(self) -> None:
        """Begin anew, with another process."""
        self.close()
        self.why = ""

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(LOOKS, self._due)

    def _due(self) -> None:
        self._timer = None
        owed = self._owed()
        if self.why or (owed and monotonic() - self._ran >= LOOKS):
            self.look()
        if owed or self.why:
            self._arm()
