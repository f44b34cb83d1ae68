"""Files that disappear should moorage be killed: temporary files, and links that are there for a while.

The warden of a run is such a guard (:class:`moorage.notebooks.execution.run_warden.RunWarden`): it lives on
when moorage gets SIGKILL, and deletes what is guarded then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol


class Guard(Protocol):
    """Deletes guarded paths when moorage dies before they are released."""

    def guard(self, path: Path, link: str | None = None) -> None:
        """Delete a path from now on, should moorage die.

        Args:
            path: absolute; it need not exist yet.
            link: what the symbolic link there says: anything else in its place stays. None for a file.
        """

    def unguard(self, path: Path) -> None:
        """Let the path live on; it may be gone already."""


class Unguarded:
    """Guards nothing: for callers without a warden."""

    def guard(self, path: Path, link: str | None = None) -> None:
        """Do nothing."""

    def unguard(self, path: Path) -> None:
        """Do nothing."""


UNGUARDED: Final[Guard] = Unguarded()


@contextmanager
def guarded(guard: Guard, path: Path) -> Iterator[None]:
    """Have a path guarded within the block, which makes it and moves or removes it.

    Args:
        guard: deletes it when moorage dies within the block.
        path: absolute; it does not exist yet.
    """
    guard.guard(path)
    try:
        yield
    finally:
        guard.unguard(path)
