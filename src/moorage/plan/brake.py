"""When a server that computes without its visitor gets a smaller share, and is asked: no I/O, no clock.

============  ====================================  ========================================
state         event                                 what follows
============  ====================================  ========================================
FullShare     Measured, loaded for so long          ShareLowered; LowerShare
ShareLowered  Measured, loaded a quarter longer     ShareAsked; AskVisitor
lowered       Measured, at rest for so long         FullShare; RaiseShare
lowered       Acted                                 FullShare; RaiseShare
FullShare     Acted                                 the load begins to count anew
============  ====================================  ========================================

``lowered`` stands for ShareLowered and ShareAsked. A pause takes off the load as much as it lasts, so that a
short one at the right time is of no use. With a smaller share a program may get little of a full machine, so
that only what hardly wants a processor is at rest then.
"""

from __future__ import annotations

from typing import assert_never

from msgspec import Struct

LOADED = 0.9
"""Part of a processor that a server under full load uses, or waits for."""
RESTING = 0.1
"""... that one with a lowered share uses and waits for at most while it is at rest."""
_LOOKS = 20
_SELDOM = 30.0
_OFTEN = 1.0
_ASKED = 0.25
"""Part of the time until a share is lowered for which it is lowered without a question: what ends soon after
is not worth one."""


class Measured(Struct, frozen=True):
    """Processor time of all that a server has started.

    Attributes:
        used: seconds since the beginning of the count.
        waited: seconds for which its threads could run and had no processor, counted likewise.
    """

    used: float
    waited: float = 0.0


class Acted(Struct, frozen=True):
    """Its visitor did something: input came, or the question was answered."""


Event = Measured | Acted


class LowerShare(Struct, frozen=True):
    """Lower its share of the processors."""


class RaiseShare(Struct, frozen=True):
    """Give the whole share back."""


class AskVisitor(Struct, frozen=True):
    """Ask its visitor whether it is to go on with the whole share."""


Command = LowerShare | RaiseShare | AskVisitor


class FullShare(Struct, frozen=True):
    """It has its whole share."""


class ShareLowered(Struct, frozen=True):
    """Its share is lowered, since the time ``since``."""

    since: float


class ShareAsked(Struct, frozen=True):
    """Its share is lowered, and its visitor is asked, since the time ``since``."""

    since: float


State = FullShare | ShareLowered | ShareAsked


class Brake:
    """The brake of one server; :meth:`handle` is the only door to its state.

    Args:
        after: seconds of full load without its visitor after which its share is lowered.
        processors: that it may have; more than one count as one.
        state: that it begins with.
    """

    def __init__(self, after: float, processors: float = 1.0, state: State | None = None) -> None:
        self._after = after
        self._whole = min(1.0, processors)
        self.state: State = FullShare() if state is None else state
        self._before: tuple[float, Measured] | None = None
        self._load = 0.0 if isinstance(self.state, FullShare) else after
        self._began = None if isinstance(self.state, FullShare) else self.state.since - after

    def alone_for(self, now: float) -> float:
        """Return for how many seconds it has computed without its visitor, pauses among them."""
        return 0.0 if self._began is None else now - self._began

    def reprieves(self, now: float) -> bool:
        """Tell whether a busy kernel is use: not when a question was not answered for long."""
        return not (isinstance(self.state, ShareAsked) and now - self.state.since >= self._after)

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take in what happened and return what is to be done.

        Args:
            event: what happened.
            now: time in seconds.
        """
        match event:
            case Measured():
                return self._measured(event, now)
            case Acted():
                return self._full()
            case _:
                assert_never(event)

    def _measured(self, event: Measured, now: float) -> list[Command]:
        before, self._before = self._before, (now, event)
        if before is None or now <= before[0]:
            return []
        seconds = now - before[0]
        wanted = max(0.0, event.used - before[1].used) + max(0.0, event.waited - before[1].waited)
        full = isinstance(self.state, FullShare)
        if wanted / seconds < (LOADED if full else RESTING) * self._whole * (1 - 1e-9):
            self._load = max(0.0, self._load - seconds)
            return self._full() if not self._load else []
        if self._began is None:
            self._began = before[0]
        self._load = min(self._after, self._load + seconds)
        return self._loaded(now)

    def _loaded(self, now: float) -> list[Command]:
        match self.state:
            case FullShare() if self._load >= self._after:
                self.state = ShareLowered(now)
                return [LowerShare()]
            case ShareLowered(since) if now - since >= self._after * _ASKED:
                self.state = ShareAsked(now)
                return [AskVisitor()]
            case _:
                return []

    def _full(self) -> list[Command]:
        was, self.state = self.state, FullShare()
        self._load, self._began = 0.0, None
        return [] if isinstance(was, FullShare) else [RaiseShare()]


def look_every(after: float) -> float:
    """Return how many seconds are between two looks at processor time.

    Args:
        after: seconds of full load after which a share is lowered.
    """
    return min(_SELDOM, max(_OFTEN, after / _LOOKS))
