"""How a keeper kills its charge and all that the charge started, with what the system offers.

Standard library only, from Python 3.9 on, and nothing of the package.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

if sys.platform == "linux":
    if TYPE_CHECKING or __name__.startswith("moorage."):
        from moorage.process import procfs
        from moorage.process.warden.kill_tree import TreeKill
    else:
        import procfs
        from warden.kill_tree import TreeKill

assert sys.platform != "win32", "keepers need Unix sockets and fork"

if TYPE_CHECKING:

    class ChargeKill(Protocol):
        """The killing of a charge's tree, step by step; the dead are reaped between steps."""

        @property
        def left(self) -> int:
            """How many processes could not be killed, for this user may not."""
            ...

        def strike(self) -> bool:
            """Send what is due; return True when nothing is left that can be killed."""
            ...

        def pause(self) -> float:
            """Return how many milliseconds the next step may wait for news of a death."""
            ...


if sys.platform == "linux":

    class DescendantKill:
        """Kills all descendants of this process, a subreaper, as a warden does.

        Args:
            spared: process id of a child that is left alone with its own descendants; 0 for none.
        """

        def __init__(self, spared: int = 0) -> None:
            self._kill = TreeKill()
            self._spared = spared
            self._own = os.getpid()

        @property
        def left(self) -> int:
            """How many processes could not be killed."""
            return self._kill.left

        def strike(self) -> bool:
            """Send what is due; return True when nothing is left that can be killed."""
            table = procfs.table()
            roots = procfs.roots(table, self._own)
            found = [table[pid] for pid, root in roots.items() if root != self._spared]
            return self._kill.strike([one for one in found if not one.dead])

        def pause(self) -> float:
            """Return how many milliseconds the next step may wait for news of a death."""
            return self._kill.pause()


class GroupKill:
    """Kills a process group: where neither subreapers nor /proc are, what called setsid is not reached."""

    left = 0

    def __init__(self, group: int) -> None:
        self._group = group
        self._steps = 0

    def strike(self) -> bool:
        """Send SIGKILL; return True when the group is empty."""
        self._steps += 1
        try:
            os.killpg(self._group, signal.SIGKILL)
        except ProcessLookupError:
            return True
        except PermissionError:  # macOS: all that is left of it are zombies
            return self._steps > 1
        return False

    def pause(self) -> float:
        """Return how many milliseconds the next step may wait for news of a death."""
        return min(10.0 * self._steps, 500.0)


def tree_kill(charge: int, *, reaps_orphans: bool, spared: int = 0) -> ChargeKill:
    """Return what kills a charge's tree.

    Args:
        charge: its process id, also that of its process group.
        spared: process id of the warden that is left alone; 0 for none.
        reaps_orphans: whether this process is a subreaper.
    """
    if sys.platform == "linux" and reaps_orphans:
        return DescendantKill(spared)
    return GroupKill(charge)
