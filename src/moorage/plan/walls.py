"""Which walls stand between visitors: what is asked for, what the machine gives, what is needed, in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Wall(StrEnum):
    """One wall, by what it is called."""

    FILES = "files"
    PROCESSES = "processes"
    NETWORK = "network"
    USERS = "user ids"
    RIGHTS = "no privileges"
    CALLS = "system calls"
    LANDLOCK = "Landlock"


SPACES = frozenset({Wall.FILES, Wall.PROCESSES, Wall.NETWORK, Wall.RIGHTS})
"""What namespaces give, all or none."""
NEEDED = SPACES | {Wall.CALLS}
"""Without one of these no other machine may reach the service. Root's need :attr:`Wall.USERS`, too."""
NAME = "moorage"
"""Host name behind walls."""
LEAST_IDS = 4096
"""User ids that there have to be, of which each server gets one."""
PREFERRED = 0x7000_0000
"""First user id that neither people nor containers have (uids-gids of systemd), up to 2^31 - 2."""


@dataclass(frozen=True)
class Share:
    """What one visitor may take.

    Args:
        disk: bytes of files, which are in memory.
        processes: and threads.
        files: that one process may have open.
        memory: bytes of all that it runs, ``disk`` among them; 0 for any number.
        cpus: processors' time in each second; 0 for as much as others leave.
    """

    disk: int = 512 << 20
    processes: int = 512
    files: int = 4096
    memory: int = 0
    cpus: float = 0.0


@dataclass(frozen=True)
class ServerIds:
    """User ids that belong to servers: ``count`` of them from ``first`` on."""

    first: int
    count: int

    def of(self, server: str) -> int:
        """Return the id of a server, by its random name: two have the same one with little likelihood."""
        return self.first + int(server, 16) % self.count


@dataclass(frozen=True)
class WallsGiven:
    """What a machine gives.

    Args:
        why: why it gives no namespaces, in a sentence; empty where it does.
        do: what to do about that.
        user_namespace: whether one is needed for the others.
        root: whether the service is the machine's or the container's user 0.
        ids: for servers of root; None where this root may not take any.
        calls: whether system calls can be filtered.
        landlock: whether there is Landlock.
    """

    why: str = ""
    do: str = ""
    user_namespace: bool = True
    root: bool = False
    ids: ServerIds | None = None
    calls: bool = False
    landlock: bool = False


@dataclass(frozen=True)
class Walls:
    """Which walls stand.

    Args:
        on: those.
        missing: those that would be needed.
        why: why that is so, in a sentence; empty where nothing is missing.
        do: what to do about it.
    """

    on: frozenset[Wall]
    missing: frozenset[Wall] = frozenset()
    why: str = ""
    do: str = ""

    @property
    def listed(self) -> str:
        """Those that stand, in words."""
        return _listed(self.on)

    def told(self, share: Share) -> list[str]:
        """Return what the start says: which walls there are, and what each visitor may take."""
        if not self.on:
            return [
                f"No walls between visitors: {self.why[:1].lower()}{self.why[1:]}",
                "Each of them can read and end what all others have, and what you have",
            ]
        lines = [f"Walls between visitors: {self.listed}"]
        if self.missing:
            lines.append(f"Not between them: {_listed(self.missing)}. {self.why}")
        files = f"{share.disk >> 20} MiB of files in memory"
        return [*lines, f"Each may take {files}, {share.processes} processes and threads"]


def planned(given: WallsGiven, *, wanted: bool) -> Walls:
    """Return which walls stand.

    Args:
        given: what the machine gives.
        wanted: whether there are to be any.
    """
    needed = NEEDED | ({Wall.USERS} if given.root else frozenset())
    if not wanted:
        return Walls(frozenset(), needed, "They are switched off (--no-walls)", "Leave --no-walls out")
    if given.why:
        return Walls(frozenset(), needed, given.why, given.do)
    on = set(SPACES)
    on |= {Wall.USERS} if given.root and given.ids is not None else set()
    on |= {Wall.CALLS} if given.calls else set()
    on |= {Wall.LANDLOCK} if given.landlock else set()
    missing = needed - on
    if Wall.USERS in missing:
        return Walls(frozenset(on), missing, _NO_IDS[0], _NO_IDS[1])
    if missing:
        return Walls(frozenset(on), missing, _NO_FILTER[0], _NO_FILTER[1])
    return Walls(frozenset(on))


def ids_of(extents: Iterable[tuple[int, int]]) -> ServerIds | None:
    """Return the user ids for servers, out of those that this process may use; None for too few.

    Args:
        extents: first id and count, as /proc/self/uid_map has them inside.
    """
    for first, count in extents:
        last = min(first + count, 2**31 - 2)
        if first <= PREFERRED and last - PREFERRED >= LEAST_IDS:
            return ServerIds(PREFERRED, last - PREFERRED)
    for first, count in sorted(extents, reverse=True):
        if count >= 4 * LEAST_IDS:  # the lower part is that of accounts
            return ServerIds(first + count // 2, count // 2 - 2)  # the highest one or two are nobody's, or -1
    return None


_NO_IDS = (
    "This root may not take other user ids",
    "Run it as an ordinary user, or in a container with more user ids",
)
_NO_FILTER = (
    "System calls cannot be filtered here",
    "Run it on x86-64, ARM64 or RISC-V, with a kernel that has seccomp",
)


def _listed(walls: frozenset[Wall]) -> str:
    return ", ".join(each for each in Wall if each in walls)
