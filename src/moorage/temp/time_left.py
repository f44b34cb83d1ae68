"""What is left of a server's time, and how visitors are told."""

from __future__ import annotations

from dataclasses import dataclass

TOLD_AT_MOST = 600.0
"""Seconds before the end from which on the notice in JupyterLab tells it; less where the time is short."""


@dataclass(frozen=True)
class TimeLeft:
    """What is left.

    Args:
        seconds: until the end; None where none is set.
        told: how many seconds before the end it is told.
        idle: whether the server goes on when it is used before.
        ended: how it has ended; None while it runs.
    """

    seconds: float | None = None
    told: float = 0.0
    idle: bool = False
    ended: str | None = None

    @property
    def words(self) -> str:
        """One sentence, without what ends it."""
        if self.ended is not None:
            return f"It has ended: {self.ended}"
        if self.seconds is None:
            return "It runs"
        unless = ", unless it is used" if self.idle else ""
        return f"It ends in {countdown(self.seconds)}{unless}"


def left(period: float, since: float, now: float, *, idle: bool = False) -> TimeLeft:
    """Return what is left of a period.

    Args:
        period: seconds that a server has; 0 for ever.
        since: when they began.
        now: on the same clock.
        idle: whether they begin again when it is used.
    """
    if not period:
        return TimeLeft()
    return TimeLeft(max(0.0, period - (now - since)), min(TOLD_AT_MOST, period / 4), idle)


def sooner(one: TimeLeft, other: TimeLeft) -> TimeLeft:
    """Return what is over first."""
    if one.seconds is None or other.seconds is None:
        return other if one.seconds is None else one
    return min(one, other, key=lambda each: each.seconds or 0.0)


def countdown(seconds: float) -> str:
    """Return a time in words, whole and rounded down: ``40 s``, ``12 min``, ``2 h 5 min``."""
    if seconds < 90:
        return f"{int(seconds)} s"
    hours, minutes = divmod(int(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
