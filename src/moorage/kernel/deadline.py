"""When a kernel must have answered, and how it is told that it did not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from moorage.errors import DeadlineExceeded
from moorage.kernel.standstill import standstill_of
from moorage.kernel.supervisor import Supervisor, last_words
from moorage.plan.lifecycle import Exited, Lost, Running, Status
from moorage.process.explain import few_descriptors


class Deadline:
    """When a kernel must have answered.

    Attributes:
        at: the time, in seconds of the running loop's clock.
    """

    def __init__(self, seconds: float, kernel_type: str) -> None:
        self._seconds = seconds
        self._kernel_type = kernel_type
        self.at = asyncio.get_running_loop().time() + seconds

    def of(self, kernel_type: str) -> Deadline:
        """Return the same deadline under the kernel's full name."""
        result = Deadline(self._seconds, kernel_type)
        result.at = self.at
        return result

    def sooner(self, seconds: float) -> Deadline:
        """Return one that passes in so many seconds, or with this one."""
        result = Deadline(seconds, self._kernel_type)
        result.at = min(result.at, self.at)
        return result

    @asynccontextmanager
    async def covering(self, what: str, *, why: str, do: str) -> AsyncIterator[None]:
        """Cancel the block when the deadline passes.

        Args:
            what: the block has not done by then, as a clause.
            why: what may be the reason.
            do: what to do about it.

        Raises:
            DeadlineExceeded: it has passed. A ``TimeoutError`` of the block itself passes as it is.
        """
        try:
            async with asyncio.timeout_at(self.at) as patience:
                yield
        except TimeoutError:
            if not patience.expired():
                raise
            raise DeadlineExceeded(f"{what} within {self._seconds:g} s", why=why, do=do) from None

    async def started(self, supervisor: Supervisor) -> None:
        """Wait until there is a process.

        Raises:
            LaunchError, WardenLost: there never will be one.
            DeadlineExceeded: there is none yet.
        """
        why = "The machine is very busy, or a process of moorage's was stopped"
        async with self.covering(f"the kernel {self._kernel_type} was not started", why=why, do="Try again"):
            await supervisor.started()

    async def answered(self, supervisor: Supervisor) -> None:
        """Wait until a kernel that is being started again has answered.

        Raises:
            StartDeath: it has ended for good.
            DeadlineExceeded: it did not answer in time, and is ended.
        """
        answer: asyncio.Future[Status] = asyncio.get_running_loop().create_future()

        def look(status: Status) -> None:
            if isinstance(status, Running | Exited | Lost) and not answer.done():
                answer.set_result(status)

        call_off = supervisor.subscribe(look)
        try:
            async with asyncio.timeout_at(self.at):
                status = await answer
        except TimeoutError:
            raise self.passed(supervisor) from None
        finally:
            call_off()
        if not isinstance(status, Running):
            raise supervisor.start_death()

    def passed(self, supervisor: Supervisor) -> Exception:
        """End a kernel for the deadline; returns what to raise: its death, where it has died meanwhile."""
        if supervisor.handle.exit_status is not None:
            return supervisor.start_death()
        still = standstill_of(supervisor.handle)
        supervisor.stop(for_deadline=True)
        silence = f"It is {still}" if still else "It runs, and said nothing"
        return DeadlineExceeded(
            f"the kernel {self._kernel_type} did not answer within {self._seconds:g} s",
            why=last_words(supervisor.handle.output()) or silence,
            do=few_descriptors() or "Start it by hand to see what it does",
        )
