"""The one door to an output folder: new files, and files that moorage made, are written there; no others."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Literal

from moorage.errors import OutputError
from moorage.notebooks.output.atomic import cannot_write, copy_whole, write_whole
from moorage.notebooks.output.guard import UNGUARDED, Guard
from moorage.notebooks.output.made import FILE_NAME, Made
from moorage.notebooks.relative import text_below

Obstacle = Literal["source", "outside", "special", "changed", "foreign"]
"""Why a file is not written: it is a source; a link leads out of the folder; it is a pipe, a device or the
record; it was changed since moorage wrote it; moorage never wrote it."""

REASONS: Final[dict[Obstacle, str]] = {
    "source": "It is a source, and sources are never changed",
    "outside": "A symbolic link leads out of the output folder, and is not followed",
    "special": "It is a pipe, a device or moorage's own record",
    "changed": "It was changed since moorage wrote it",
    "foreign": "moorage did not make it",
}
FILES: Final = "_files"
"""How the name of a folder ends that holds the files of the page beside it."""
_OVERWRITE: Final = "Move it, give another -o, or --overwrite to replace it"


class Writer:
    """Writes below one output folder, and remembers what.

    Args:
        folder: the output folder, absolute; made when the first file is written. It may itself be a link.
        overwrite: replace files that moorage did not make; never sources, never through a link.
        sources: documents that are never written over, whatever name or link leads to them.
        documents: where the run puts its documents: nothing that these bring along goes there.
        home: folder of the sources, where artefacts that are missing may be put; None for none.
        private: folder for files that are wanted for a while only.
        guard: deletes temporary files should moorage be killed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        overwrite: bool = False,
        sources: Iterable[Path] = (),
        documents: Iterable[Path] = (),
        home: Path | None = None,
        private: Path | None = None,
        guard: Guard = UNGUARDED,
    ) -> None:
        self.folder = folder
        self.overwrite = overwrite
        self.made = Made(folder)
        self._sources = identities(sources)
        self._documents = frozenset(documents)
        self._beside: dict[Path, list[Path]] = {}
        for path in self._documents:
            for above in path.parents:
                if above.name.endswith(FILES):
                    self._beside.setdefault(above, []).append(path)
        self._home = home
        self._private = private
        self._guard = guard

    def obstacle(self, path: Path, real: Callable[[Path], str] = os.path.realpath) -> Obstacle | None:
        """Return why a path below the folder may not be written; None when it may.

        Args:
            path: absolute. A directory in its place is no obstacle here: writing tells of it.
            real: follows links, as :class:`~moorage.notebooks.relative.RealPaths` do for many paths at once.
        """
        return self._obstacle(real(path), real(self.folder))

    def _obstacle(self, real: str, top: str) -> Obstacle | None:
        name = "." if real == top else text_below(top, real)
        if name is None:
            return "outside"
        if name.rpartition(os.sep)[2] == FILE_NAME:
            return "special"
        status = _stat(real)
        if status is None or stat.S_ISDIR(status.st_mode):
            return None
        if (status.st_dev, status.st_ino) in self._sources or not stat.S_ISREG(status.st_mode):
            return "special" if not stat.S_ISREG(status.st_mode) else "source"
        name = name.replace(os.sep, "/")
        if self.overwrite or not status.st_size or self.made.holds(name, real):
            return None
        return "changed" if name in self.made.names() else "foreign"

    def is_private(self, path: Path) -> bool:
        """Return whether ``path`` is in the private folder."""
        return self._private is not None and path.is_relative_to(self._private)

    def write(self, path: Path, data: bytes) -> None:
        """Write a file, whole or not at all.

        Raises:
            OutputError: it may not be written over, or cannot be written.
        """
        self.put(path, data)

    def put(self, path: Path, what: bytes | Path) -> None:
        """Write bytes, or copy a file.

        Args:
            path: below the folder; below the private one; or a file missing below the sources' folder.
            what: the bytes, or the file to copy.

        Raises:
            OutputError: it may not be written over, or cannot be written.
        """
        if self.is_private(path):
            self._put(path, what, named=False)
        elif path.is_relative_to(self.folder):
            real = os.path.realpath(path)
            if (obstacle := self._obstacle(real, os.path.realpath(self.folder))) is not None:
                raise OutputError(f"{path} is not written over", why=REASONS[obstacle], do=advice(obstacle))
            self._put(Path(real), what, named=True)
        elif self._missing_at_home(path):
            self._put(path, what, named=False)
        else:
            raise OutputError(f"{path} is not written", why="It lies outside of the output folder")

    def bring(self, path: Path, what: bytes | Path) -> None:
        """Do what :meth:`put` does with a file that a document brings along by a name of its own.

        Raises:
            OutputError: as there, or a document of the run goes there.
        """
        if path in self._documents or Path(os.path.realpath(path)) in self._documents:
            why = "A document of this run is there, or goes there"
            raise OutputError(f"{path} is not written over", why=why, do="Give the file another name")
        self.put(path, what)

    def kept(self, folder: Path) -> list[Path]:
        """Return which paths in a page's folder of files are documents of the run, or their sources."""
        found = list(self._beside.get(folder, ()))
        for path in folder.rglob("*") if self._sources else ():
            status = _stat(path)
            if status is not None and (status.st_dev, status.st_ino) in self._sources:
                found.append(path)
        return found

    def _put(self, path: Path, what: bytes | Path, *, named: bool) -> None:
        def before(temporary: Path) -> None:
            self.made.add(self._name(path), temporary)

        hook = before if named else None
        try:
            if named:
                self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error
        if isinstance(what, bytes):
            write_whole(path, what, guard=self._guard, before=hook, follow=not named)
        else:
            copy_whole(what, path, guard=self._guard, before=hook, follow=not named)

    def _name(self, real: Path) -> str:
        return real.relative_to(os.path.realpath(self.folder)).as_posix()

    def _missing_at_home(self, path: Path) -> bool:
        if self._home is None or not path.is_relative_to(self._home) or os.path.lexists(path):
            return False
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self._home))


def _stat(path: Path | str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - a text or a path
    except OSError:
        return None


def advice(obstacle: Obstacle) -> str:
    """Return what the user can do about an obstacle."""
    return _OVERWRITE if obstacle in {"changed", "foreign"} else "Give another -o"


def identities(paths: Iterable[Path]) -> frozenset[tuple[int, int]]:
    """Return device and inode of those files that are there."""
    found = set()
    for path in paths:
        if (status := _stat(path)) is not None:
            found.add((status.st_dev, status.st_ino))
    return frozenset(found)
