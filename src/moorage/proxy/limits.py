"""Descriptors: how many there may be, how many are open for what, and the reserve that no visitor gets."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

RESERVE = 64
"""Descriptors kept for the interface, error pages, logs and answers to visitors that are refused."""
MANY = 1 << 20
"""As good as no limit."""


def raise_limit() -> int:
    """Raise this process's limit of open descriptors as far as it may, and return it.

    Node does so at its start; CPython keeps the soft limit, which is 1024 on most systems.
    """
    if sys.platform == "win32":  # which does not count descriptors
        return MANY
    else:  # noqa: RET505 - the types of other systems are checked, too
        import resource  # noqa: PLC0415 - not on Windows

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        for wanted in (
            hard,
            10240,
        ):  # macOS has no hard limit, and allows 10240
            if soft != hard and (hard == resource.RLIM_INFINITY or wanted <= hard):
                try:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                except (OSError, ValueError):
                    continue
                break
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return MANY if soft == resource.RLIM_INFINITY else min(soft, MANY)


def open_descriptors() -> int:
    """Return how many descriptors this process has open; a guess where the system does not tell."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return sum(1 for _ in Path(folder).iterdir()) - 1
        except OSError:
            continue
    return 32


class DescriptorBudget:
    """Counts the sockets of visitors and servers against what the limit leaves for them.

    Args:
        limit: of the process.
        used: by everything else.

    Attributes:
        reserve: how many no visitor and no server gets.
        room: how many they may have.
        leaving: sockets that are counted and as good as closed.
        promised: how many of these are not for connections to pages of this very process.
        kinds: open sockets of each kind: ``visitor``, ``upstream``, ``page`` for the other end of those
            that lead to this process's own pages, and ``forward`` for connections of servers to hosts. A
            websocket is counted once more as ``websocket``.
    """

    __slots__ = ("_refusals", "kinds", "leaving", "limit", "promised", "reserve", "room")

    def __init__(self, limit: int, used: int) -> None:
        self.reserve = min(RESERVE, max(8, limit // 8))
        self.limit = limit
        self.leaving = self.promised = 0
        self._refusals = self.reserve // 2
        self.kinds: Counter[str] = Counter()
        self.recount(used)

    def recount(self, opened: int) -> None:
        """Have the room be what everything else leaves.

        Args:
            opened: how many descriptors are open now, these sockets among them.
        """
        self.room = max(2, self.limit - self.reserve - (opened - self.open))

    @property
    def open(self) -> int:
        """How many sockets there are."""
        kinds = self.kinds
        return kinds["visitor"] + kinds["upstream"] + kinds["page"] + kinds["forward"]

    def may_refuse(self) -> bool:
        """Tell whether a visitor more may be kept for as long as it takes to say why it is refused.

        Half of the reserve is for that: a storm of visitors must not use up the interface's half.
        """
        return self.open < self.room + self._refusals

    def has_room(self, sockets: int, *, pages: bool = False) -> bool:
        """Tell whether so many sockets more may be opened.

        Args:
            sockets: how many.
            pages: whether they are for pages of this process.
        """
        return self.open - self.leaving + sockets + (self.promised if pages else 0) <= self.room

    def opening(self, *, pages: bool) -> None:
        """Count a connection to a server, or to pages of this process: both of its ends are here then."""
        self.kinds["upstream"] += 1
        if pages:
            self.kinds["page"] += 1

    def closed(self, *, pages: bool) -> None:
        """Count one no more."""
        self.kinds["upstream"] -= 1
        if pages:
            self.kinds["page"] -= 1
