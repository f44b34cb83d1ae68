"""The environments that records name, and whether each is today's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from moorage.notebooks.cache.environment import (
    RunEnvironment,
    built,
    changed_files,
    changed_packages,
    read_environment,
)

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.notebooks.cache.distributions import Distributions
    from moorage.notebooks.cache.names import Names
    from moorage.notebooks.cache.store import FileStates, Store

LOOK_COUNTS = 1.0
"""Seconds for which an environment found unchanged counts as that, while nothing of the run writes."""


class Environments:
    """Tells what changed in an environment since a result was stored.

    The notebooks of a run name the same few environments. Until the run writes a file or starts a kernel, one
    look at all files and folders of an environment counts for every notebook that ran in it, for a second at
    most: each of them could have been looked up at that moment. After :meth:`look_anew` each lookup looks for
    itself, since any cell may write what another notebook reads.

    Args:
        store: keeps them.
        root: paths below it are kept relative.
        files, names, distributions: look at what is there now.
        still: whether looks count before :meth:`look_anew` is called.
    """

    def __init__(
        self,
        store: Store,
        root: Path,
        files: FileStates,
        names: Names,
        distributions: Distributions,
        *,
        still: bool,
    ) -> None:
        self._store = store
        self._root = root
        self._files = files
        self._names = names
        self._distributions = distributions
        self._still = still
        self._known: dict[str, RunEnvironment] = {}
        self._packages: dict[str, tuple[object, str]] = {}
        self._looks: dict[str, float] = {}

    def look_anew(self) -> None:
        """From now on look at everything in each lookup."""
        self._still = False
        self.forget_looks()

    def forget_looks(self) -> None:
        """Look at everything again in the next lookups: the run is about to write a file."""
        self._looks.clear()

    def changed(self, digest: str) -> str:
        """Return what is another one than in the environment of that digest, or an empty string."""
        now = time.monotonic()
        if digest in self._looks and now - self._looks[digest] <= LOOK_COUNTS:
            return ""
        found = self._changed(digest)
        if self._still and not found:
            self._looks[digest] = now
        return found

    def _changed(self, digest: str) -> str:
        environment = self._environment(digest)
        if environment is None:
            return "its environment is not known any more"
        return (
            self._changed_packages(digest, environment)
            or changed_files(environment.files, self._files, self._root)
            or self._names.changed(environment.listings, environment.modules, self._root)
        )

    def _environment(self, digest: str) -> RunEnvironment | None:
        if digest not in self._known:
            data = self._store.get(digest)
            environment = None if data is None else read_environment(data)
            if environment is None:
                return None
            self._known[digest] = environment
        return self._known[digest]

    def _changed_packages(self, digest: str, environment: RunEnvironment) -> str:
        """Compare versions once per environment, and again only when something was installed meanwhile."""
        mark = (built(environment.executable), self._distributions.mark(environment.sites))
        known = self._packages.get(digest)
        if known is None or known[0] != mark:
            known = (mark, changed_packages(environment, self._distributions))
            self._packages[digest] = known
        return known[1]
