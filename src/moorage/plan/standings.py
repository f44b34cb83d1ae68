"""What follows from the standings of visitors: which name of a browser counts, what is old or forgotten.

No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from moorage.plan.visits import InQueue, OnTheWay, ServerGone, ServerId, ServerReady, Standing, VisitorId

REMEMBERED = 1000
"""Of so many visitors, the newest, is kept what became of their last server."""


def is_live(has: Standing | None) -> bool:
    """Tell whether a visitor has a server, or waits for one."""
    return isinstance(has, OnTheWay | ServerReady)


def known_name(names: Sequence[VisitorId], standings: Mapping[VisitorId, Standing]) -> VisitorId | None:
    """Return under which of its names a browser counts; None for one without.

    That is one that has a server, else one that waits in the queue, else one that had something, else the
    first: a browser that has a server gets no other one by a place that another of its names has.

    Args:
        names: of the browser.
        standings: of all visitors.
    """

    def rank(name: VisitorId) -> int:
        has = standings.get(name)
        if isinstance(has, InQueue):
            return 1
        if is_live(has):
            return 0
        return 3 if has is None else 2

    return min(names, key=rank, default=None)  # the first of those with the same rank


def oldest_gone(standings: Mapping[VisitorId, Standing]) -> list[VisitorId]:
    """Return the visitors without a server that are too many to be remembered.

    Args:
        standings: of all visitors; those whose server has ended, in the order of the ends.
    """
    gone = [visitor for visitor, has in standings.items() if isinstance(has, ServerGone)]
    return gone[: max(0, len(gone) - REMEMBERED)]


def ready_for(
    seconds: float, now: float, visitors: Iterable[VisitorId], standings: Mapping[VisitorId, Standing]
) -> list[ServerId]:
    """Return the servers of visitors that are ready, and were handed out so long ago.

    Args:
        seconds: since the hand-out, at least; 0 for none.
        now: the time.
        visitors: whose servers count.
        standings: of all visitors.
    """
    found = (standings.get(visitor) for visitor in visitors) if seconds else ()
    return [has.server for has in found if isinstance(has, ServerReady) and now - has.since >= seconds]
