"""Pauses between attempts that fail in a row. No I/O, no clock."""

from __future__ import annotations

_MOST_DOUBLINGS = 64
"""Any pause has reached its longest by then; 2.0 to a power beyond a thousand is no float any more."""


def pause(first: float, longest: float, failures: int) -> float:
    """Return how long to wait before the next attempt: the first pause, twice as long, and so on.

    Args:
        first: seconds after the first failure.
        longest: seconds at most.
        failures: how many attempts in a row have failed; 0 is no pause.
    """
    if failures <= 0:
        return 0.0
    return float(min(first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS), longest))
