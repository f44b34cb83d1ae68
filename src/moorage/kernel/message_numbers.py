"""Numbers in message ids: one that is missing is a message that the kernel's publisher has dropped.

``jupyter_client.session.Session`` ends each message id with a number, one higher each time. Not every number
that does not arrive on iopub was dropped there:

- replies have numbers, too: ours come on other channels, those to other clients not at all, and an idle on
  iopub tells of each;
- a number is spent where a result has nothing to show, or where a hook of the user's keeps a display.

So a gap counts where something may have been dropped at all: when the message before it was made,
:data:`~moorage.kernel.published.MANY` messages before that had not arrived. And where it concerns this
process: a message beside it was caused by a request from here.

Source: ``Session.msg_id`` in jupyter_client.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Container
from datetime import datetime
from math import inf

from moorage.kernel.published import MANY
from moorage.kernel.request import Asking
from moorage.wire.messages import Message


class _Gap:
    """Numbers that were passed over, the last one excluded, and how many of them have come since."""

    def __init__(self, first: int, end: int) -> None:
        self.first, self.end, self.came = first, end, 0


class Numbers:
    """For kernels that number their messages; of others nothing is ever found missing."""

    def __init__(self, own: Container[str] | None = None, *, clock: Callable[[], float] = time.time) -> None:
        """Begin with the next message.

        Args:
            own: the sessions of this process; None where the kernel has no other clients.
            clock: tells the time in seconds, as the kernel's dates do.
        """
        self._own = own
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Begin with the next message."""
        self._sender = ""
        self._next = -1
        self._is_own = False  # whether the latest message was caused from here
        self._crowded = False  # and whether some may have been dropped behind it
        self._gaps: list[_Gap] = []
        self._elsewhere: list[int] = []  # numbers that came on other channels
        self._unseen = 0  # replies to others
        self._arrivals: deque[float] = deque(maxlen=MANY)
        self._delay = inf  # the least there was between a message's date and its arrival, in seconds

    async def begin(self, client: Asking) -> None:
        """Do nothing: the messages say whose they are."""

    def handle(self, message: Message) -> None:
        """Take note of a message's number."""
        number = self._number(message)
        if message.channel != "iopub":
            if number is not None:
                self._elsewhere.append(number)
            return
        was_crowded, self._crowded = self._crowded, self._arrived(message.header.date)
        if number is None:
            return
        was_own, self._is_own = self._is_own, self._caused_here(message)
        self._follow_others(message)
        if number < self._next:
            self._fill(number)
            return
        if number > self._next >= 0 and was_crowded and (was_own or self._is_own):
            self._gaps.append(_Gap(self._next, number))
        self._next = number + 1

    async def missing(self, client: Asking) -> int:
        """Return how many numbers lack their message."""
        if self._count():
            await client.flush()  # on another channel one may still be on its way
        gap = self._count()
        self._gaps.clear()
        self._elsewhere.clear()
        return gap

    def _number(self, message: Message) -> int | None:
        """Return a message's number; None where it has none, or another sender than the kernel."""
        sender, _, digits = message.header.msg_id.rpartition("_")
        # The number of digits is bounded: what comes from a kernel may be anything.
        if not sender or not digits.isdecimal() or len(digits) > 15:
            return None
        if sender != self._sender:
            if self._sender and message.msg_type != "status":
                return None  # a child process has a sender of its own
            self.forget()
            self._sender = sender
        return int(digits)

    def _arrived(self, date: str) -> bool:
        """Note an arrival on iopub; return whether messages may have been dropped just behind it."""
        now, made = self._clock(), _seconds(date)
        crowded = len(self._arrivals) == MANY
        if made is not None:
            self._delay = min(self._delay, now - made)  # clocks of two machines may differ
            crowded = crowded and self._arrivals[0] >= made + self._delay
        self._arrivals.append(now)
        return crowded

    def _caused_here(self, message: Message) -> bool:
        return self._own is None or message.parent_header.get("session") in self._own

    def _follow_others(self, message: Message) -> None:
        if message.msg_type != "status":
            return
        state = message.content.get("execution_state")
        if self._is_own and state == "busy" and not self._gaps:
            self._unseen = 0
        elif not self._is_own and state == "idle":
            self._unseen += 1

    def _fill(self, number: int) -> None:
        for gap in reversed(self._gaps):
            if gap.first <= number < gap.end:
                gap.came += 1
                if gap.came == gap.end - gap.first:
                    self._gaps.remove(gap)
                return

    def _count(self) -> int:
        missing = sum(gap.end - gap.first - gap.came for gap in self._gaps)
        elsewhere = sum(
            any(gap.first <= number < gap.end for gap in self._gaps) for number in self._elsewhere
        )
        return max(0, missing - elsewhere - self._unseen)


def _seconds(date: str) -> float | None:
    """Return a header's date as seconds since 1970; None where it has none."""
    try:
        return datetime.fromisoformat(date).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
