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
    """

    __slots__ = ("_refusals", "kinds", "limit", "room")

    def __init__(self, limit: int, used: int) -> None:
        reserve = min(RESERVE, max(8, limit // 8))
        self.limit = limit
        self.room = max(2, limit - used - reserve)
        self._refusals = reserve // 2
        self.kinds: Counter[str] = Counter()

    @property
    def open(self) -> int:
        """How many sockets there are."""
        kinds = self.kinds
        return kinds["visitor"] + kinds["upstream"]

    def may_refuse(self) -> bool:
        """Tell whether a visitor more may be kept for as long as it takes to say why it is refused.

        Half of the reserve is for that: a storm of visitors must not use up the interface's half.
        """
        return self.open < self.room + self._refusals

    def has_room(self, sockets: int) -> bool:
        """Tell whether so many sockets more may be opened."""
        return self.open + sockets <= self.room
