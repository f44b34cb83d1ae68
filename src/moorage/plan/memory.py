"""How many temporary servers the memory of the machine can carry. No I/O, no clock.

A server takes little when it begins, and what it will take within minutes, when its visitor opens notebooks;
on a crowded machine that is late. So what young ones are not known to have yet is set aside; what older ones
have is what they have.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct

JUPYTER, OTHERS = 192 << 20, 64 << 20
"""Bytes that a server is expected to take until some have been measured: JupyterLab with two notebooks, each
with a forked kernel (165 MiB of the machine in a crowd of 150), and a small web application."""
MARGIN = 1.1
"""What is measured is a sample, and memory of processes alone: not page tables, buffers of sockets, files."""
YOUNG = 300.0
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
        running: servers that have not ended.
        young: how many of these are young.
        taken: bytes that a young one has taken, as far as that is known.
    """

    total: int
    available: int
    expected: int
    running: int = 0
    young: int = 0
    taken: int = 0

    @property
    def reserve(self) -> int:
        """Bytes that no visitor gets."""
        return min(MOST_RESERVE, max(LEAST_RESERVE, self.total // RESERVED_PART))

    @property
    def promised(self) -> int:
        """Bytes that the young servers may still take."""
        return self.young * max(0, self.expected - self.taken)

    @property
    def servers(self) -> int:
        """How many servers fit, those that there are among them."""
        left = self.available - self.reserve - self.promised
        return self.running + max(0, left // self.expected)


def expected(measured: Collection[int], otherwise: int) -> int:
    """Return how many bytes a server is expected to take: three quarters of those measured take less.

    Args:
        measured: bytes that servers take that are not young.
        otherwise: the answer where too few are measured.
    """
    found = sorted(measured)
    return max(1, int(found[len(found) * 3 // 4] * MARGIN)) if len(found) >= FEW else otherwise


def average(measured: Collection[int]) -> int:
    """Return how many bytes servers take on the average; 0 where none was measured."""
    return sum(measured) // len(measured) if measured else 0
