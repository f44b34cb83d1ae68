"""How a keeper starts its charge, puts it to sleep, and starts the one in its place.

Without walls a warden beside the charge has what outlives it, and the keeper forks each charge. Behind walls
the warden is within, and does all that: see :mod:`moorage.keeper.process.tended`. Standard library only, from
Python 3.9 on, and nothing of the package.
"""

from __future__ import annotations

import errno
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.keeper.process import beside, charge, tree
else:
    from keeper.process import beside, charge, tree

if sys.platform == "linux":
    if TYPE_CHECKING or __name__.startswith("moorage."):
        from moorage.keeper.process import tended
    else:
        from keeper.process import tended

assert sys.platform != "win32", "keepers need Unix sockets and fork"


class Starter:
    """Starts the charges of one keeper.

    Args:
        marker: the keeper's id.
        prctl: the C library's; None where there is none.
        execute: how a charge becomes its program; None for execve(2).
        forks: what else forks can become; None where they cannot, and where the keeper is no subreaper.

    Attributes:
        warden: process id of the warden beside the charge; 0 for none.
    """

    def __init__(
        self, marker: str, prctl: Any, execute: charge.Execute | None, forks: beside.Forks | None
    ) -> None:
        self.warden = 0
        self._marker, self._prctl, self._execute, self._forks = marker, prctl, execute, forks
        self._stdout, self._umask = -1, 0

    def first(self, spec: dict[str, Any]) -> charge.Charge:
        """Start the charge for the first time, and a warden where one is wanted.

        Args:
            spec: the message ``start``.

        Raises:
            StartRefused: no process, or no descriptors are left; there can be no warden.
        """
        if not spec.get("warden"):
            return charge.Charge(spec, self._marker, self._prctl, self._execute)
        self._umask = spec["umask"]
        if self._forks is None:
            raise charge.StartRefused("warden", errno.ENOSYS)
        if sys.platform == "linux" and spec.get("walls"):
            return tended.TendedCharge(spec, self._marker, self._prctl, self._execute, self._forks)
        try:
            self.warden = beside.fork_warden(self._forks.keep_kernels, self._marker)
            reader, self._stdout = os.pipe()
        except OSError as error:
            raise charge.StartRefused("warden", error.errno or 0) from None
        return charge.Charge(spec, self._marker, self._prctl, self._execute, (reader, os.dup(self._stdout)))

    def tender(self, kept: charge.Charge | None) -> int | None:
        """Return the process id of what tends a charge behind walls, so that it can sleep; None without."""
        found = None
        if sys.platform == "linux" and isinstance(kept, tended.TendedCharge):
            found = kept.pid
        return found

    def lost(self, kept: charge.Charge) -> bool:
        """Tell whether what tended a charge is gone."""
        lost = False
        if sys.platform == "linux" and isinstance(kept, tended.TendedCharge):
            lost = kept.lost
        return lost

    def put_to_sleep(self, kept: charge.Charge) -> tree.ChargeKill:
        """Begin to kill a charge and all it started, but not what the warden has; return that killing."""
        if sys.platform == "linux" and isinstance(kept, tended.TendedCharge):
            return kept.put_to_sleep()
        kept.doom()
        return tree.tree_kill(kept.pid, reaps_orphans=True, spared=self.warden)

    def next(self, before: charge.Charge, spec: dict[str, Any]) -> charge.Charge:
        """Start a charge in the place of one that was put to sleep, and return it.

        Args:
            before: that one; where it is tended, it is the same one again.
            spec: the message ``wake``.

        Raises:
            StartRefused: as :meth:`first`.
            OSError: no descriptors are left.
        """
        if sys.platform == "linux" and isinstance(before, tended.TendedCharge):
            before.wake(spec)
            return before
        spec = {**spec, "umask": self._umask, "process": None}
        pipe = before.pipe_for_next(self._stdout)
        started = charge.Charge(spec, self._marker, self._prctl, self._execute, pipe)
        before.close()
        return started
