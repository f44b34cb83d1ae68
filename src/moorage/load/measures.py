"""What a crowd measured: times of steps, errors, visitors, how late it was itself. No I/O, no clock."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from msgspec import Struct, field

from moorage.load.steps import Step, Trouble

LATE = 0.1
"""Seconds: when the crowd's own loop is later than this, its figures are in part its own."""


class Sample(Struct, frozen=True):
    """A step that ended well.

    Attributes:
        at: when it ended, in seconds of the run.
        seconds: that it took.
    """

    at: float
    seconds: float


class SeenError(Struct, frozen=True):
    """An error that a visitor saw.

    Attributes:
        at: when, in seconds of the run.
        visitor: its number, from 1 on.
        step: in which.
        trouble: what it was.
    """

    at: float
    visitor: int
    step: Step
    trouble: Trouble


class Figures(Struct, frozen=True):
    """What became of one step, in seconds; None where it was never done."""

    step: Step
    count: int
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None
    errors: int


class Group(Struct, frozen=True):
    """Errors that say the same.

    Attributes:
        step: in which.
        trouble: what they say.
        count: how many.
        visitors: how many saw it.
        first: when the first one was, in seconds of the run.
    """

    step: Step
    trouble: Trouble
    count: int
    visitors: int
    first: float


class Standing(Struct, frozen=True):
    """Where visitors are at a time.

    Attributes:
        at: seconds of the run.
        arriving: on their way into a server.
        queued: in the queue.
        inside: in their server.
    """

    at: float
    arriving: int
    queued: int
    inside: int


class Unfinished(Struct, frozen=True):
    """A step that was under way at the end, for so many seconds; it is no error."""

    step: Step
    seconds: float


class Measures(Struct):
    """What is measured, as it comes.

    Attributes:
        samples: of each step.
        failures: all errors, in order.
        came: visitors that have come.
        let_in: those that got their server's page.
        queued: those that were in the queue.
        refused: what the service told those that it does not let in, by visitor.
        standings: where visitors were, in order.
        unfinished: what was under way at the end.
        lateness: how late the crowd's loop was at most, in each second.
        seconds: from the first visitor to the end.
    """

    samples: dict[Step, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    failures: list[SeenError] = field(default_factory=list)
    came: set[int] = field(default_factory=set)
    let_in: set[int] = field(default_factory=set)
    queued: set[int] = field(default_factory=set)
    refused: dict[int, Trouble] = field(default_factory=dict)
    standings: list[Standing] = field(default_factory=list)
    unfinished: list[Unfinished] = field(default_factory=list)
    lateness: list[Sample] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def troubled(self) -> set[int]:
        """Visitors that saw an error."""
        return {failure.visitor for failure in self.failures}

    @property
    def latest(self) -> float:
        """How late the crowd's own loop was at most, in seconds."""
        return max((each.seconds for each in self.lateness), default=0.0)

    @property
    def well(self) -> bool:
        """Whether visitors were let in, and none that came saw an error."""
        return bool(self.let_in) and not self.failures


def figures(measures: Measures) -> list[Figures]:
    """Return the figures of each step that was done or failed."""
    errors = Counter(failure.step for failure in measures.failures)
    return [
        _figures(step, [each.seconds for each in measures.samples.get(step, ())], errors[step])
        for step in Step
        if measures.samples.get(step) or errors[step]
    ]


def _figures(step: Step, seconds: Sequence[float], errors: int) -> Figures:
    if not seconds:
        return Figures(step, 0, None, None, None, None, errors)
    cuts = quantiles(seconds)
    return Figures(step, len(seconds), cuts[49], cuts[94], cuts[98], max(seconds), errors)


def quantiles(values: Sequence[float]) -> list[float]:
    """Return the 99 percentiles of values, of which there is one at least."""
    if len(values) == 1:
        return [*values] * 99
    return statistics.quantiles(values, n=100, method="inclusive")


def groups(failures: Iterable[SeenError]) -> list[Group]:
    """Return errors that say the same as one, the most frequent first."""
    found: dict[tuple[Step, Trouble], list[SeenError]] = defaultdict(list)
    for failure in failures:
        found[failure.step, failure.trouble].append(failure)
    made = [
        Group(step, trouble, len(each), len({failure.visitor for failure in each}), each[0].at)
        for (step, trouble), each in found.items()
    ]
    return sorted(made, key=lambda group: (-group.count, group.first))
