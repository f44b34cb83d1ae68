"""What a visitor is told of its memory: that the system has ended processes for want of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MemoryTold:
    """What has happened.

    Args:
        limit: bytes of memory that the visitor may have.
        kills: how many of its processes the system has ended because they were used up.
    """

    limit: int
    kills: int

    @property
    def words(self) -> str:
        """Sentences, without what ends the last one; empty where nothing is to be told."""
        if not self.kills:
            return ""
        size = f"{self.limit >> 20} MiB of memory"
        if self.kills == 1:
            return f"Your {size} were used up. The system ended the process that held most: often a kernel"
        return f"Your {size} were used up. The system has ended {self.kills} processes that held most so far"
