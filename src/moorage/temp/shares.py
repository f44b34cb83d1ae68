"""What is asked for one visitor, by options or by a table of an offer, and what that comes to."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from moorage.errors import UsageError
from moorage.plan.walls import Share

LEAST_MEMORY, LEAST_DISK = 256 << 20, 1 << 20
"""Bytes that may be asked for."""
LEAST_PROCESSES, MOST_PROCESSES = 32, 1 << 20
LEAST_CPUS, MOST_CPUS = 0.01, 1024
_BESIDE_FILES = 128 << 20
"""Bytes that a visitor's server and one kernel need."""
_SIZE = re.compile(r"(\d{1,9})([KMGT]?)i?B?", re.IGNORECASE)
_UNITS = " KMGT"


@dataclass(frozen=True)
class AskedShare:
    """What is asked for; None for what is not. As :class:`~moorage.plan.walls.Share` has it."""

    disk: int | None = None
    processes: int | None = None
    memory: int | None = None
    cpus: float | None = None

    def over(self, below: AskedShare) -> AskedShare:
        """Return this, with what another one asks for where this one asks for nothing."""
        both = {each.name: (getattr(self, each.name), getattr(below, each.name)) for each in fields(self)}
        return AskedShare(**{name: other if own is None else own for name, (own, other) in both.items()})

    def share(self, dashes: str = "--") -> Share:
        """Return what each visitor may take.

        Args:
            dashes: before the names of options, for complaints.

        Raises:
            UsageError: files, which are in memory, would leave too little of it.
        """
        memory = self.memory or 0
        disk = min(Share.disk, memory // 2) if memory else Share.disk
        disk = disk if self.disk is None else self.disk
        if memory and memory - disk < _BESIDE_FILES:
            why = f"Files are in memory, which is to have {written(_BESIDE_FILES)} beside them"
            what = f"{dashes}disk {written(disk)} cannot be with {dashes}memory {written(memory)}"
            raise UsageError(what, why=why)
        return Share(disk, self.processes or Share.processes, memory=memory, cpus=self.cpus or 0.0)


def bytes_of(text: str) -> int:
    """Return a number of bytes that is written as ``512M`` or ``2G``; 0 for what is none."""
    found = _SIZE.fullmatch(text.strip())
    return 0 if found is None else int(found[1]) << 10 * _UNITS.index(found[2].upper() or " ")


def written(size: int) -> str:
    """Return a number of bytes as it is asked for: ``512M``."""
    power = next(power for power in (4, 3, 2, 1, 0) if not size % (1 << 10 * power))
    return f"{size >> 10 * power}{_UNITS[power]}".strip()


def told(share: Share) -> str:
    """Return what one visitor may take, in words."""
    memory = f"{share.memory >> 20} MiB of memory, " if share.memory else ""
    among = " among it" if share.memory else " in memory"
    cpus = f", {share.cpus:g} processors at most" if share.cpus else ""
    return f"{memory}{share.disk >> 20} MiB of files{among}, {share.processes} processes and threads{cpus}"
