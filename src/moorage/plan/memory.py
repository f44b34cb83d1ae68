"""How many temporary servers the memory of the machine can carry. No I/O, no clock.

A server takes little when it begins, and most of what it will take within its first minute, when its visitor
opens notebooks. So what young ones may still take is set aside; what older ones have is what they have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

JUPYTER, OTHERS = 160 << 20, 64 << 20
"""Bytes that a server is expected to take until some have been measured: JupyterLab with two notebooks, each
with a forked kernel (measured in a crowd of 40), and a small web application."""
YOUNG = 60.0
"""Seconds after which a server is expected to have taken what it takes."""
FEW = 4
"""So many servers have to be measured before these say what one takes."""
LEAST_RESERVE, MOST_RESERVE = 256 << 20, 2048 << 20
"""Bytes that are left for what is not foreseen: servers that grow later, the system, other programs."""
RESERVED_PART = 16
"""... and which part of the memory that is there, between these."""


class MemoryCount(Struct, frozen=True):
    """How memory stands at one time.

    Attributes:
        total: bytes that all programs could have.
        available: bytes that programs could still get.
        expected: bytes that a server takes, as far as that is known.
        ages: seconds for which each server has been used that has not ended.
    """

    total: int
    available: int
    expected: int
    ages: Sequence[float] = ()

    @property
    def reserve(self) -> int:
        """Bytes that no visitor gets."""
        return min(MOST_RESERVE, max(LEAST_RESERVE, self.total // RESERVED_PART))

    @property
    def promised(self) -> int:
        """Bytes that the servers may still take: a young one grows evenly to what is expected of it."""
        return int(sum(self.expected * max(0.0, 1.0 - age / YOUNG) for age in self.ages))

    @property
    def servers(self) -> int:
        """How many servers fit, those that there are among them."""
        left = self.available - self.reserve - self.promised
        return len(self.ages) + max(0, left // self.expected)


def expected(measured: Iterable[int], otherwise: int) -> int:
    """Return how many bytes a server is expected to take: a quarter of those measured take more.

    Args:
        measured: bytes that servers take that are not young.
        otherwise: the answer where too few are measured.
    """
    found = sorted(measured)
    return max(1, found[len(found) * 3 // 4]) if len(found) >= FEW else otherwise
