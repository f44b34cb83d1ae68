"""How the warden kills one family of processes.

Loaded by the warden by its path, without the package.
"""

from __future__ import annotations

import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.process import procfs
else:
    import procfs

assert sys.platform == "linux", "the warden needs subreapers and pidfds"


class TreeKill:
    """The killing of one family.

    All of it is stopped first, until a look at the process table finds nothing new: what is stopped cannot
    fork, and as long as the parents live every descent can be seen. Then all of it is killed. It is
    over when two looks find nothing: one could miss a child whose parent ended while the table was read.
    """

    def __init__(self) -> None:
        self.frozen: set[tuple[int, int]] = set()
        self.rounds = 0
        self.empty = 0
        self.waits = 0
        self.left = 0

    def strike(self, family: list[procfs.Process]) -> bool:
        """Send what is due; return True when nothing is left that can be killed."""
        new = [one for one in family if (one.pid, one.start) not in self.frozen]
        self.left = 0
        if not family:
            self.empty += 1
            return self.empty > 1
        self.empty = 0
        if new and self.rounds < 8:
            self.rounds += 1
            self.waits = 0
            for one in new:
                procfs.send(one, signal.SIGSTOP)
                self.frozen.add((one.pid, one.start))
            return False
        self.waits += 1
        self.left = sum(not procfs.send(one, signal.SIGKILL) for one in family)
        return self.left == len(family)

    def pause(self) -> float:
        """Return how many milliseconds the next look may wait for news of a death."""
        return min(10.0 * self.waits, 500.0) if not self.empty else 0.0
