"""The queue of visitors for whom there is no room yet. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator

from moorage.plan.visits import VisitorId

LAPSE = 120.0
"""Seconds after which a visitor has left whose page has not asked again. Browsers load a page that is out of
sight anew once a minute at times."""


class WaitingLine:
    """Visitors that wait, in the order in which they came.

    Attributes:
        called: those that got a server after they had waited, and have not come since.
    """

    def __init__(self) -> None:
        self._asked: dict[VisitorId, float] = {}  # when each did last
        self.called: set[VisitorId] = set()

    def __len__(self) -> int:
        return len(self._asked)

    def __contains__(self, visitor: VisitorId) -> bool:
        return visitor in self._asked

    def __iter__(self) -> Iterator[VisitorId]:
        return iter(tuple(self._asked))

    def join(self, visitor: VisitorId, now: float, *, first: bool = False) -> None:
        """Put a visitor at the end, or before all others."""
        self._asked = {visitor: now, **self._asked} if first else {**self._asked, visitor: now}

    def asked(self, visitor: VisitorId, now: float) -> None:
        """A visitor is still there."""
        self.called.discard(visitor)
        if visitor in self._asked:
            self._asked[visitor] = now

    def leave(self, visitor: VisitorId) -> None:
        """Take a visitor out, if it is in it."""
        self._asked.pop(visitor, None)

    def call(self, visitor: VisitorId) -> None:
        """Take a visitor out whose turn it is."""
        self.leave(visitor)
        self.called.add(visitor)

    def place(self, visitor: VisitorId) -> int:
        """Return a visitor's place, from 1 on.

        Raises:
            ValueError: it does not wait.
        """
        return list(self._asked).index(visitor) + 1

    def gone(self, now: float) -> list[VisitorId]:
        """Return those that have stopped asking."""
        return [visitor for visitor, asked in self._asked.items() if now - asked > LAPSE]
