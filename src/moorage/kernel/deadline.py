"""When a kernel must have answered, and how it is told that it did not."""

from __future__ import annotations

import asyncio

from moorage.errors import DeadlineExceeded
from moorage.kernel.supervisor import Supervisor, last_words
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

    def sooner(self, seconds: float) -> Deadline:
        """Return one that passes in so many seconds, or with this one."""
        result = Deadline(seconds, self._kernel_type)
        result.at = min(result.at, self.at)
        return result

    async def started(self, supervisor: Supervisor) -> None:
        """Wait until there is a process.

        Raises:
            LaunchError, WardenLost: there never will be one.
            DeadlineExceeded: there is none yet.
        """
        try:
            async with asyncio.timeout_at(self.at):
                await supervisor.started()
        except TimeoutError:
            raise DeadlineExceeded(
                f"the kernel {self._kernel_type} was not started within {self._seconds:g} s",
                why="The machine is very busy, or a process of moorage's was stopped",
                do="Try again",
            ) from None

    def passed(self, supervisor: Supervisor) -> Exception:
        """End a kernel for the deadline; returns what to raise: its death, where it has died meanwhile."""
        if supervisor.handle.exit_status is not None:
            return supervisor.start_death()
        supervisor.stop(for_deadline=True)
        return DeadlineExceeded(
            f"the kernel {self._kernel_type} did not answer within {self._seconds:g} s",
            why=last_words(supervisor.handle.output()) or "It runs, and said nothing",
            do=few_descriptors() or "Start it by hand to see what it does",
        )
