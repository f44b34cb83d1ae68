"""What every machine with deadlines says about time."""

from __future__ import annotations

from msgspec import Struct


class Tick(Struct, frozen=True):
    """The time asked for by :class:`WakeAt` has come, or another time."""


class WakeAt(Struct, frozen=True):
    """Send :class:`Tick` at this time.

    Attributes:
        at: seconds of the machine's clock.
    """

    at: float
