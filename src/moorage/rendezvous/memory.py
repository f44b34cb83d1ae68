"""Which kernels say that they register, and do not: remembered, so that one launch of each pays for it.

What worked is remembered by this process, what did not also in a file of the user's cache. Losing either
costs the few seconds of finding out again.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Literal

from moorage.regular import read_regular
from moorage.rendezvous.files import write_connection_file

_log = logging.getLogger("moorage.rendezvous")

Outcome = Literal["registers", "does not register", "unknown"]

KEPT = 7 * 24 * 3600.0
"""Seconds after which a kernel is tried once more: it may have been upgraded under the same command."""

MOST = 256
"""How many kernels the file holds; the oldest go first."""


class Memory:
    """What became of handshakes, by the words of :func:`moorage.rendezvous.choice.known_as`."""

    def __init__(self, path: Path) -> None:
        """Remember in ``path``, which need not exist, nor be readable, nor make sense."""
        self._path = path
        self._known: dict[str, Outcome] = {}

    def recall(self, known_as: Sequence[str]) -> Outcome:
        """Return what became of the last handshake with a kernel that is known by these words."""
        name = _name(known_as)
        if name not in self._known:
            self._known[name] = "does not register" if name in self._read() else "unknown"
        return self._known[name]

    def remember(self, known_as: Sequence[str], outcome: Outcome) -> None:
        """Record what became of one; a cache that cannot be written is no reason to fail."""
        name = _name(known_as)
        before, self._known[name] = self.recall(known_as), outcome
        if outcome == before or "does not register" not in (outcome, before):
            return
        kept = self._read()
        kept.pop(name, None)
        if outcome == "does not register":
            kept[name] = time.time()
        newest = sorted(kept.items(), key=lambda entry: entry[1])[-MOST:]
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_connection_file(self._path, dict(newest))
        except OSError as error:
            _log.info("what became of a handshake is not remembered: %s", error)

    def _read(self) -> dict[str, float]:
        try:
            found = json.loads(read_regular(self._path))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(found, dict):
            return {}
        now = time.time()
        return {
            name: float(at)
            for name, at in found.items()
            if isinstance(at, int | float) and not isinstance(at, bool) and now - KEPT < at <= now
        }


def _name(known_as: Sequence[str]) -> str:
    return sha256("\0".join(known_as).encode("utf-8", "surrogateescape")).hexdigest()


_memories: dict[Path, Memory] = {}


def memory() -> Memory:
    """Return what this process remembers, in the cache directory of the user that it now has."""
    from platformdirs import user_cache_path  # noqa: PLC0415 - 5 ms that only a registering kernel costs

    path = user_cache_path("moorage", appauthor=False) / "handshakes.json"
    return _memories.setdefault(path, Memory(path))
