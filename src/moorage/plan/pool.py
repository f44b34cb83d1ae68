"""What a pool should do: keep some ready, give them out, start others in their place. No I/O, no clock.

=========  =======================================  =====================================
event      when                                     what follows
=========  =======================================  =====================================
Resized    at the beginning, or later               Start what is missing; nothing is ended
Wanted     one is ready                             Give it; its replacement is put off
Settled    its replacement was put off              Start it
Wanted     none is                                  Start one more, and all that were put off; the wish waits
Ready      a wish waits                             Give it to the oldest
Ready      no wish waits                            it is kept
Failed     a wish waits                             Refuse the oldest; back-off
Failed     no wish waits                            back-off
Died       it was ready, and not given away         back-off, then another is started
Withdrawn  its wish waits                           forgotten; what was started for it stays
Tick       a back-off or a putting off is over      Start what is missing
=========  =======================================  =====================================

A wish is answered by the next one that gets ready, whichever wish that was started for. Starts that fail in
a row are tried again after half a second, a second, and so on up to thirty; for a wish one starts at once.

A start takes a processor while the first request of the one just given out needs it. So it waits until that
request is answered (Settled), a quarter of a second at most, unless a wish waits: then none is put off.
"""

from __future__ import annotations

from collections import deque
from typing import NewType, assert_never

from msgspec import Struct

from moorage.plan.backoff import pause
from moorage.plan.clock import Tick, WakeAt

Spare = NewType("Spare", int)
"""Names one that was started ahead."""
Wish = NewType("Wish", int)
"""Names a request for one."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds between starts that fail in a row."""
PUT_OFF = 0.25
"""Seconds that the start of a replacement is put off at most."""


class Resized(Struct, frozen=True):
    """From now on so many shall be ready when no wish waits."""

    size: int


class Wanted(Struct, frozen=True):
    """One is wanted."""

    wish: Wish


class Withdrawn(Struct, frozen=True):
    """A wish no longer waits."""

    wish: Wish


class SpareReady(Struct, frozen=True):
    """One that was started can be given out."""

    spare: Spare


class Failed(Struct, frozen=True):
    """One could not be started."""

    spare: Spare


class Settled(Struct, frozen=True):
    """One that was given out has answered its first request, or was left."""

    spare: Spare


class SpareDied(Struct, frozen=True):
    """One that was ready has ended."""

    spare: Spare


Event = Resized | Wanted | Withdrawn | SpareReady | Failed | Settled | SpareDied | Tick


class StartSpare(Struct, frozen=True):
    """Start one."""

    spare: Spare


class Give(Struct, frozen=True):
    """Give one to a wish."""

    spare: Spare
    wish: Wish


class RefuseWish(Struct, frozen=True):
    """Fail a wish with what prevented the start of ``spare``."""

    wish: Wish
    spare: Spare


Command = StartSpare | Give | RefuseWish | WakeAt


class PoolPlan:
    """The whole of it; it begins with nothing to keep ready."""

    def __init__(self) -> None:
        self._size = 0
        self._count = 0
        self._starting: set[Spare] = set()
        self._ready: deque[Spare] = deque()
        self._waiting: deque[Wish] = deque()
        self._unsettled: dict[Spare, float] = {}  # given out, and until when its replacement is put off
        self._failures = 0
        self._closed_until = 0.0

    @property
    def ready(self) -> int:
        """How many can be given out at once."""
        return len(self._ready)

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take in what happened and return what is to be done, in order.

        Args:
            event: what happened; of a spare that is not known (any more) nothing follows.
            now: time in seconds, on any clock that never goes back.
        """
        match event:
            case Resized() | Settled() | Tick():
                return self._changed(event, now)
            case Wanted(wish):
                return self._wanted(wish, now)
            case Withdrawn(wish):
                return self._withdrawn(wish)
            case SpareReady(spare):
                return self._arrived(spare)
            case Failed(spare) | SpareDied(spare):
                return self._lost(spare, now)
            case _:
                assert_never(event)

    def _changed(self, event: Resized | Settled | Tick, now: float) -> list[Command]:
        match event:
            case Resized(size):
                self._size = size
            case Settled(spare):
                self._unsettled.pop(spare, None)
        return self._fill(now)

    def _wanted(self, wish: Wish, now: float) -> list[Command]:
        if self._ready:
            spare = self._ready.popleft()
            self._unsettled[spare] = now + PUT_OFF
            return [Give(spare, wish), *self._fill(now), WakeAt(now + PUT_OFF)]
        self._unsettled.clear()
        self._waiting.append(wish)
        return [self._start() for _ in range(len(self._waiting) - len(self._starting))] + self._fill(now)

    def _withdrawn(self, wish: Wish) -> list[Command]:
        if wish in self._waiting:
            self._waiting.remove(wish)
        return []

    def _arrived(self, spare: Spare) -> list[Command]:
        if spare not in self._starting:
            return []
        self._starting.remove(spare)
        self._failures = 0
        if self._waiting:
            return [Give(spare, self._waiting.popleft())]
        self._ready.append(spare)
        return []

    def _lost(self, spare: Spare, now: float) -> list[Command]:
        if spare in self._ready:
            self._ready.remove(spare)
            return self._pause(now)
        if spare not in self._starting:
            return []
        self._starting.remove(spare)
        refused: list[Command] = [RefuseWish(self._waiting.popleft(), spare)] if self._waiting else []
        return refused + self._pause(now)

    def _pause(self, now: float) -> list[Command]:
        self._failures += 1
        self._closed_until = now + pause(FIRST_PAUSE, LONGEST_PAUSE, self._failures)
        return [WakeAt(self._closed_until)]

    def _fill(self, now: float) -> list[Command]:
        """Start what is missing, unless a back-off delays it."""
        if now < self._closed_until:
            return []
        self._unsettled = {spare: until for spare, until in self._unsettled.items() if until > now}
        coming = len(self._ready) + len(self._starting) + len(self._unsettled)
        missing = self._size + len(self._waiting) - coming
        return [self._start() for _ in range(missing)]

    def _start(self) -> StartSpare:
        self._count += 1
        spare = Spare(self._count)
        self._starting.add(spare)
        return StartSpare(spare)
