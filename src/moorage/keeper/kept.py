"""One kept process, seen from here."""
# ruff: noqa: E402 - what it imports is not there on Windows

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.errors import KeeperLost, StartDeath
from moorage.keeper.link import ANSWER, KeeperLink, late
from moorage.keeper.status import KeptStatus, kept_status
from moorage.keeper.tidy import tidy
from moorage.tasks import beside

T = TypeVar("T")
GONE = 30.0
"""Seconds that a killed family gets to be gone; only an uninterruptible sleep takes that long."""


class Kept:
    """A process that outlives this one, by a link to its keeper.

    Made by :func:`moorage.keeper.start.start` or :func:`moorage.keeper.found.find`. As a context it is closed
    at its end, which leaves the process running. Every call has a limit, 10 s for an answer: a keeper
    that is stopped holds no caller.

    Attributes:
        name: of its directory.
        directory: where its socket and its log are.
    """

    def __init__(self, directory: Path, link: KeeperLink) -> None:
        self.name = directory.name
        self.directory = directory
        self._link = link

    @property
    def pid(self) -> int | None:
        """Process id of what is kept, as far as it has been told."""
        return self._link.latest["pid"] if self._link.latest is not None else None

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the link, see :meth:`aclose`."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the link. The process lives on, by its lease; where it has ended its directory is removed."""
        ended = self._ended is not None
        if ended:
            await self._gone()
        self._link.close()
        if ended:
            tidy(self.directory)

    async def status(self, *, within: float = ANSWER) -> KeptStatus:
        """Return the status now; of what has ended the last one.

        Args:
            within: seconds for the answer.

        Raises:
            KeeperLost: the keeper was killed; :func:`moorage.keeper.found.find` ends what is left.
            DeadlineExceeded: the keeper does not answer.
        """
        if self._ended is not None:
            return self._ended
        return kept_status(await self._link.ask("status", within=within))

    async def watch(self) -> AsyncIterator[KeptStatus]:
        """Yield the status, and each newer one; the one whose ``ended`` is true is the last.

        Raises:
            KeeperLost: the keeper was killed.
        """
        async for told in self._link.told():
            status = kept_status(told)
            yield status
            if status.ended:
                return
        raise KeeperLost(f"the keeper of {self.name} was killed", do="find() ends and tells what is left")

    async def wait(self) -> KeptStatus:
        """Wait until nothing of it is left; return the last status. Cancelling disturbs nothing.

        Raises:
            KeeperLost, DeadlineExceeded: as :meth:`watch`.
        """
        async for status in self.watch():
            if status.ended:
                return status
        raise AssertionError("unreachable: watch() ends with a status or an error")

    async def while_running(self, work: Awaitable[T]) -> T:
        """Await work, such as a first answer, for as long as the process runs.

        Args:
            work: it is cancelled when the process ends. Its own deadline is the caller's affair.

        Raises:
            StartDeath: the process ended before; with its exit status and its output.
            KeeperLost, DeadlineExceeded: as :meth:`watch`.
        """
        try:
            async with asyncio.timeout(None) as patience, beside(self._on_end(patience), name="kept"):
                return await work
        except TimeoutError:
            if not patience.expired():
                raise
        status = await self.wait()
        raise StartDeath(
            f"{self.name} ended before it was ready",
            why=status.describe(),
            exit_status=status.exit_status,
            output=status.output,
        )

    async def signal(self, signum: int) -> None:
        """Send a signal to the process and its process group.

        Raises:
            UsageError: it has ended, or there is no such signal.
            KeeperLost, DeadlineExceeded: as :meth:`status`.
        """
        await self._link.ask("signal", signum=int(signum))

    async def end(self, grace: float | None = None) -> KeptStatus:
        """End it with all it started: SIGTERM, after ``grace`` seconds SIGKILL; then remove its directory.

        Cancelling stops the waiting, not the ending.

        Args:
            grace: seconds; 0 for SIGKILL at once, None for those it was started with.

        Returns:
            The last status.

        Raises:
            KeeperLost: the keeper was killed meanwhile.
            DeadlineExceeded: the keeper does not answer, or not all could be killed within half a minute
                after the grace. :func:`moorage.keeper.found.kill` needs no answer.
        """
        if self._ended is None:
            with suppress(KeeperLost):
                await self._link.ask("end", **({} if grace is None else {"grace": grace}))
        latest = self._link.latest or {}
        limit = GONE + (latest.get("grace", GONE) if grace is None else grace)
        try:
            async with asyncio.timeout(limit):
                status = await self.wait()
        except TimeoutError:
            raise late(self._link, limit) from None
        await self.aclose()
        return status

    async def set_lease(self, seconds: float) -> None:
        """Let it live so many seconds with nothing attached; 0 for ever.

        Raises:
            KeeperLost, DeadlineExceeded: as :meth:`status`.
        """
        await self._link.ask("lease", seconds=seconds)

    async def attach(self, *, attached: bool = True) -> None:
        """Count this link as attached, or no more: the lease stands still as long as one is.

        Raises:
            KeeperLost, DeadlineExceeded: as :meth:`status`.
        """
        await self._link.ask("attach" if attached else "detach")

    @property
    def _ended(self) -> KeptStatus | None:
        latest = self._link.latest
        return kept_status(latest) if latest is not None and latest["state"] == "ended" else None

    async def _on_end(self, patience: asyncio.Timeout) -> None:
        with suppress(KeeperLost):
            await self.wait()
        patience.reschedule(0)

    async def _gone(self) -> None:
        """Wait until the keeper has closed the link, which it does last."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER):
                await self._link.until(lambda: False)


def link_of(kept: Kept) -> KeeperLink:
    """Return the link to a keeper, for what is said to few of them."""
    return kept._link  # noqa: SLF001 - of this very module
