"""The links that are placed while a notebook runs, so that it finds under another name what it needs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from moorage.errors import OutputError
from moorage.notebooks.output.guard import UNGUARDED, Guard
from moorage.notebooks.planning.dependencies import FileLink


class Links:
    """The links of a run; notebooks of one folder that run at once share those they have in common.

    Args:
        guard: deletes the links should moorage be killed; what a notebook puts in the place of one is the
            user's, and stays.
    """

    def __init__(self, guard: Guard = UNGUARDED) -> None:
        self._guard = guard
        self._users: dict[FileLink, int] = {}

    @contextmanager
    def placed(self, links: Iterable[FileLink]) -> Iterator[None]:
        """Have the links in place within the block, and take them away afterwards, however it ends.

        A link or file of the user's that already leads to the target is used and left alone.

        Raises:
            OutputError: something else is in a link's place, or it cannot be made.
        """
        with ExitStack() as stack:
            for link in links:
                if self._place(link):
                    stack.callback(self._remove, link)
            yield

    def _place(self, link: FileLink) -> bool:
        """Make one link; return whether it is ours to remove."""
        if self._users.get(link, 0):
            self._users[link] += 1
            return True
        if os.path.lexists(link.place):
            if os.path.realpath(link.place) == os.path.realpath(link.target):
                return False
            raise OutputError(
                f"{link.place} is in the way of a link to {link.target}", do="Move it, or use another name"
            )
        self._guard.guard(link.place, _way(link))
        try:
            link.place.symlink_to(_way(link))
        except OSError as error:
            self._guard.unguard(link.place)
            raise OutputError(f"{link.place} cannot be made a link", why=str(error.strerror)) from error
        self._users[link] = 1
        return True

    def _remove(self, link: FileLink) -> None:
        self._users[link] -= 1
        if self._users[link]:
            return
        del self._users[link]
        with suppress(OSError):  # gone, or replaced by something of the notebook's own, which stays
            if os.fspath(link.place.readlink()) == _way(link):
                link.place.unlink()
        self._guard.unguard(link.place)


def _way(link: FileLink) -> str:
    """Return the relative path from a link to its target, right also where folders are links themselves."""
    target = os.path.join(os.path.realpath(link.target.parent), link.target.name)  # noqa: PTH118 - realpath gives text
    return os.path.relpath(target, os.path.realpath(link.place.parent))
