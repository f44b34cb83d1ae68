"""Which names are in a folder: what was listed, and which of the modules looked for are there."""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_IGNORED = frozenset({"__pycache__", ".ipynb_checkpoints", ".moorage"})
_MODULES = (".py", ".so", ".pyd", ".pyc", ".pyw")
_RACY = 2_000_000_000


class FolderListing(msgspec.Struct, frozen=True, array_like=True):
    """A folder that was listed.

    Attributes:
        digest: of the names in it; empty when there is no such folder.
        own: names that do not count, since the run itself made them.
    """

    digest: str
    own: tuple[str, ...] = ()


class Modules(msgspec.Struct, frozen=True, array_like=True):
    """A folder in which modules were looked for.

    Attributes:
        names: of those modules.
        found: the entries of the folder that can be one of them.
    """

    names: frozenset[str]
    found: tuple[str, ...]


class _Folder(NamedTuple):
    """What is in a folder: all its entries, and those of them that can be modules, with their names."""

    mtime_ns: int
    entries: tuple[str, ...]
    modules: tuple[tuple[str, str], ...]


class Names:
    """Lists folders, each again only when its time of change has moved."""

    def __init__(self) -> None:
        self._known: dict[str, _Folder] = {}

    def listing(self, folder: str, own: Iterable[str]) -> FolderListing:
        """Return what is in a folder but for some names."""
        left = frozenset(own)
        found = self._folder(folder)
        if found is None:
            return FolderListing("", tuple(sorted(left)))
        text = "\0".join(name for name in found.entries if name not in left and name not in _IGNORED)
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return FolderListing(digest, tuple(sorted(left)))

    def modules(self, folder: str, names: Iterable[str]) -> Modules:
        """Return which of some modules a folder has."""
        wanted, found = frozenset(names), self._folder(folder)
        pairs = () if found is None else found.modules
        return Modules(wanted, tuple([entry for entry, module in pairs if module in wanted]))

    def changed(
        self, listings: Mapping[str, FolderListing], modules: Mapping[str, Modules], root: Path
    ) -> str:
        """Return which folder has other names now, or an empty string; paths are relative to ``root``."""
        base = str(root)
        for path, listing in listings.items():
            if self.listing(os.path.join(base, path), listing.own) != listing:  # noqa: PTH118 - hot
                return f"what is in {path} changed"
        for path, then in modules.items():
            if self.modules(os.path.join(base, path), then.names) != then:  # noqa: PTH118 - hot
                return f"a module in {path} came or went"
        return ""

    def _folder(self, folder: str) -> _Folder | None:
        try:
            mtime = os.stat(folder).st_mtime_ns  # noqa: PTH116 - hot
            known = self._known.get(folder)
            if known is not None and known.mtime_ns == mtime:
                return known
            entries = tuple(sorted(os.listdir(folder)))  # noqa: PTH208 - hot
        except OSError:
            return None
        named = ((entry, _module(entry)) for entry in entries)
        found = _Folder(mtime, entries, tuple([each for each in named if each[1]]))
        if mtime < time.time_ns() - _RACY:
            self._known[folder] = found
        return found


def _module(entry: str) -> str:
    stem, dot, _ = entry.partition(".")
    return stem if not dot or entry.endswith(_MODULES) else ""
