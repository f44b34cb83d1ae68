"""One attempt at one notebook, as the batch sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from moorage.kernel.kernel import Kernel
    from moorage.notebooks.events import Outcome


class Attempt(Struct):
    """One attempt at one notebook.

    Attributes:
        worker: which of the parallel places it has, from 0.
        number: 1 for the first attempt at a notebook.
        began: seconds between the run's beginning and its own.
        kernel: its kernel while it has one: the batch looks at its memory.
        peak_memory: most bytes its kernel was seen to use.
    """

    worker: int
    number: int
    began: float = 0.0
    kernel: Kernel | None = None
    peak_memory: int | None = None

    def timed(self, outcome: Outcome, now: float) -> Outcome:
        """Return how it ended ``now`` (seconds since the run's beginning), with its times and its place."""
        return replace(outcome, seconds=now - self.began, started=self.began, worker=self.worker)
