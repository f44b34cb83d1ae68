"""When visitors come, and how long each waits between two things that it does. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

SAVED_EVERY = 3
"""A notebook is saved after so many cells."""
SHORTEST, LONGEST = 0.5, 1.5
"""A pause between two cells, as a part of the average one."""


def arrivals(draws: Iterable[float], within: float) -> list[float]:
    """Return when visitors come: at random times, as people do, so that some come at once.

    Args:
        draws: a number from 0 to 1 for each visitor.
        within: seconds in which all come, the first one at once.

    Returns:
        Seconds from the first one on, in order.
    """
    times = sorted(draws)
    if not times:
        return []
    first, span = times[0], max(times[-1] - times[0], 1e-9)
    return [within * (time - first) / span for time in times] if len(times) > 1 else [0.0]


def pauses(draws: Iterator[float], average: float) -> Iterator[float]:
    """Yield how long a notebook's user looks at it before each cell, in seconds.

    Args:
        draws: numbers from 0 to 1, without end.
        average: seconds.
    """
    for draw in draws:
        yield average * (SHORTEST + (LONGEST - SHORTEST) * draw)
