"""The warden of a run: when it is lost, another takes its place and the run goes on.

Kernels find a living warden by themselves, see :func:`~moorage.process.warden.shared.shared_warden`. What is
kept here is what a run has told its warden: the files to delete should moorage be killed.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from moorage.errors import WardenLost
from moorage.process.warden.shared import shared_warden

if TYPE_CHECKING:
    from moorage.process.warden.client import Warden


class RunWarden:
    """Guards files for a run, by one warden after the other.

    Args:
        warden: the first.
        stack: the run's, in which further ones are held.
    """

    def __init__(self, warden: Warden, stack: AsyncExitStack) -> None:
        self._wardens = [warden]
        self._stack = stack
        self._guarded: dict[Path, str | None] = {}

    @property
    def now(self) -> Warden:
        """The present one; it may be lost."""
        return self._wardens[-1]

    async def renew(self) -> None:
        """Have a living warden from now on, which guards what the lost one did.

        Raises:
            WardenLost: none can be started any more.
        """
        if self.now.link.lost:
            warden = await self._stack.enter_async_context(shared_warden())
            if warden not in self._wardens:
                self._wardens.append(warden)
                for path, link in self._guarded.items():
                    warden.guard(path, link)

    def guard(self, path: Path, link: str | None = None) -> None:
        """Have a path deleted should moorage be killed before :meth:`unguard`; see :meth:`Warden.guard`.

        Between the loss of a warden and the next one's start there is nothing that could do it: the work
        goes on all the same.

        Raises:
            MoorageError: too many are guarded already.
        """
        self._guarded[path] = link
        with suppress(WardenLost):
            self.now.guard(path, link)

    def unguard(self, path: Path) -> None:
        """Let a path live on."""
        self._guarded.pop(path, None)
        for warden in self._wardens:
            warden.unguard(path)

    def tokens(self, held: bytes, descriptor: int) -> None:
        """Have ``held`` written to ``descriptor`` should moorage be killed; see :meth:`Warden.tokens`.

        Raises:
            WardenLost, OSError: as from there.
        """
        self.now.tokens(held, descriptor)
