"""Where stored files lie already: known by size and time, so that they need not be read again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from moorage.notebooks.cache.environment import name_below
from moorage.notebooks.cache.store import FileState
from moorage.notebooks.cache.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.notebooks.cache.store import FileStates

_REMEMBERED_PLACES = 6


class Places:
    """Tells whether a file holds what is stored.

    Args:
        root: paths below it are kept relative, so the tree may move or be cloned.
        files: states of files.
    """

    def __init__(self, root: Path, files: FileStates) -> None:
        self._root = root
        self._files = files

    def in_place(self, stored: Stored, path: Path) -> bool:
        """Return whether ``path`` holds what is stored; reads it only where size and time do not tell."""
        return self._known(stored, path) or self._files.same(path, FileState(stored.digest, stored.size, 0))

    def _known(self, stored: Stored, path: Path) -> bool:
        try:
            status = path.stat()
        except OSError:
            return False
        return stored.places.get(self._name(path)) == (status.st_size, status.st_mtime_ns)

    def place(self, path: Path, digest: str) -> dict[str, tuple[int, int]]:
        """Return size and time by which ``path`` can be known again, if it holds what it should.

        The look at its contents is for a run beside this one that has just written something else there.
        """
        try:
            status = path.stat()
        except OSError:
            return {}
        if self._files.state(path).digest != digest:
            return {}
        return {self._name(path): (status.st_size, status.st_mtime_ns)}

    def placed(self, stored: dict[str, Stored], places: Mapping[str, Sequence[Path]]) -> dict[str, Stored]:
        """Return ``stored`` with the files that hold it now noted, the newest of them at most."""
        new = dict(stored)
        for name, paths in places.items():
            known = dict(new[name].places)
            for path in paths:
                if not self._known(new[name], path):
                    known |= self.place(path, new[name].digest)
            newest = dict(list(known.items())[-_REMEMBERED_PLACES:])
            new[name] = msgspec.structs.replace(new[name], places=newest)
        return new

    def _name(self, path: Path) -> str:
        return name_below(self._root, Path(os.path.abspath(path)))  # noqa: PTH100 - links stay as given
