"""How many temporary servers the descriptors of a process can carry. No I/O, no clock.

What a visitor has open at most was counted in Chromium, by kind, through the proxy:

==========================================  ========  ===========  ==========  =====
JupyterLab with two notebooks, a terminal   visitor   server       of these    link
==========================================  ========  ===========  ==========  =====
while a page loads                          10        9            4 x 2       1
at rest                                     10 (6 *)  6 (2 *)      4 x 2       1
Notebook 7: the tree and two notebooks      10        10           4 x 2       1
==========================================  ========  ===========  ==========  =====

"Of these" are websockets, two sockets each; those with an asterisk are unused, and closed where descriptors
are short. The link leads to the server's keeper; behind walls the service holds the server's socket as well.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

EACH = 21
"""Descriptors that a server with its visitor may need; while it starts it has less than half of them."""
OWN = 7
"""... and how many of these are no connections of its visitor, while it starts."""
LINKS = 2
"""... and later: the link to its keeper, and its socket, which is held where walls are."""
DOOR = 2
"""What one that may reach hosts has beside: the socket of its proxy, and a connection that waits there."""
PAGES = 48
"""Descriptors that servers leave for the pages of the service: sixteen requests at once have three each."""
PAGES_PART = 32
"""... or so small a part of the limit, where that is more."""


class DescriptorCount(Struct, frozen=True):
    """What is open at one time.

    Attributes:
        limit: how many the process may have open.
        reserve: how many of them no visitor gets.
        open: how many there are.
        unused: connections among them that are closed where descriptors are short.
        held: how many of the used ones each server has that has not ended.
        each: how many a server may need.
        promised_hosts: how many connections to hosts may take beside those that they have.
    """

    limit: int
    reserve: int
    open: int
    unused: int = 0
    held: Sequence[int] = ()
    each: int = EACH
    promised_hosts: int = 0

    @property
    def promised(self) -> int:
        """How many the servers may still need beside what is used."""
        return sum(max(0, self.each - held) for held in self.held)

    @property
    def servers(self) -> int:
        """How many servers fit, those that there are among them; fewer than these where they use more."""
        pages = max(PAGES, self.limit // PAGES_PART)
        used = self.open - self.unused + self.promised + self.promised_hosts
        left = self.limit - self.reserve - pages - used
        return max(0, len(self.held) + left // self.each)


def served_elsewhere(room: int, used: int, servers: int) -> int:
    """Return how many servers fit where other processes have the connections of visitors.

    Args:
        room: how many descriptors all of them have for that; an eighth is left, for one may fill up first.
        used: how many of these are used.
        servers: how many there are.
    """
    each = EACH - LINKS
    left = room * 7 // 8 - max(used, servers * each)
    return max(0, servers + left // each)
