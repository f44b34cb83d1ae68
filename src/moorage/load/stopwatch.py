"""Times what one visitor does, and keeps what went wrong with the step in which it did."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from moorage.load.measures import Measures, Sample, SeenError, Unfinished
from moorage.load.steps import Step, StepFailed, Trouble


class Stopwatch:
    """Writes down what one visitor saw.

    Args:
        visitor: its number, from 1 on.
        measures: where it is written.
        now: returns the seconds of the run.
        patience: seconds after which a step has failed.
    """

    def __init__(self, visitor: int, measures: Measures, now: Callable[[], float], patience: float) -> None:
        self._visitor = visitor
        self._measures = measures
        self._patience = patience
        self.now = now

    @asynccontextmanager
    async def step(self, step: Step) -> AsyncIterator[None]:
        """Time a block.

        Raises:
            StepFailed: the block raised it, or took too long; it has been written down.

        Cancelling writes down that the step was under way.
        """
        begun = self.now()
        try:
            async with asyncio.timeout(self._patience):
                yield
        except asyncio.CancelledError:
            self.unfinished(step, begun)
            raise
        except TimeoutError:
            failed = StepFailed(f"No answer in {self._patience:g} s")
            self.failed(step, failed.trouble)
            raise failed from None
        except StepFailed as error:
            self.failed(step, error.trouble)
            raise
        self.done(step, self.now() - begun)

    def done(self, step: Step, seconds: float) -> None:
        """Write down a step that ended well just now."""
        self._measures.samples[step].append(Sample(self.now(), seconds))

    def failed(self, step: Step, trouble: Trouble) -> None:
        """Write down an error."""
        self._measures.failures.append(SeenError(self.now(), self._visitor, step, trouble))

    def unfinished(self, step: Step, begun: float) -> None:
        """Write down that a step was under way at the end."""
        self._measures.unfinished.append(Unfinished(step, self.now() - begun))
