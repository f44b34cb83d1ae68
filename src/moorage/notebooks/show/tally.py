"""The state of a run as presenters see it: what runs, what is done, how long it may still take.

Events in, figures out; no clock, no output.
"""

from __future__ import annotations

from collections import Counter

from msgspec import Struct, field

from moorage.notebooks.events import (
    GOOD,
    INTERRUPTED,
    CellStarted,
    Event,
    KernelStandstill,
    MemorySampled,
    NotebookFinished,
    NotebookRetried,
    NotebookStarted,
    Outcome,
    RunFinished,
    RunStarted,
    Status,
)
from moorage.notebooks.show import ansi
from moorage.notebooks.show.figures import counted


class RunningNotebook(Struct):
    """A notebook whose kernel is up.

    Attributes:
        started: seconds since the run began.
        index, total: the running code cell and how many there are; 0 before the first.
        memory: bytes at the last sample, or None.
        stopped: what holds its kernel still, in words; empty while it runs.
    """

    source: str
    started: float
    worker: int
    attempt: int
    index: int = 0
    total: int = 0
    memory: int | None = None
    stopped: str = ""


class Tally(Struct):
    """What has happened so far. Only :meth:`handle` changes it."""

    plan: RunStarted = field(default_factory=lambda: RunStarted((), 1, "", ""))
    running: dict[str, RunningNotebook] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def handle(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case RunStarted():
                self.plan = event
            case NotebookStarted():
                self.running[event.source] = RunningNotebook(
                    event.source, event.at, event.worker, event.attempt
                )
            case CellStarted() if event.source in self.running:
                entry = self.running[event.source]
                entry.index, entry.total = event.index, event.total
            case KernelStandstill() if event.source in self.running:
                self.running[event.source].stopped = event.why
            case MemorySampled() if event.source in self.running:
                self.running[event.source].memory = event.memory
            case NotebookRetried():
                self.running.pop(event.source, None)
            case NotebookFinished():
                self._finish(event.outcome)
            case RunFinished():
                self.running.clear()
                for outcome in event.outcomes:
                    self._finish(outcome)
            case _:
                pass

    def _finish(self, outcome: Outcome) -> None:
        self.running.pop(outcome.source, None)
        self.outcomes[outcome.source] = outcome

    @property
    def total(self) -> int:
        """How many notebooks the run has."""
        return max(len(self.plan.sources), len(self.outcomes) + len(self.running))

    @property
    def counts(self) -> Counter[Status]:
        """How many notebooks ended how; those that an interruption left undone are not among them."""
        return Counter(done.status for done in self.outcomes.values() if done.reason != INTERRUPTED)

    @property
    def kept(self) -> str:
        """What an interrupted run has done, and what the same command does then, in one clause."""
        good = sum(outcome.status in GOOD for outcome in self.outcomes.values())
        if not good:
            return "no notebook was finished"
        of_all = f"{good} of {counted(self.total, 'notebook')} {'is' if good == 1 else 'are'} done"
        where = f" in {ansi.one_line(self.plan.out)}" if self.plan.out else ""
        return f"{of_all} and kept{where}; {self.plan.again}"

    @property
    def bad(self) -> list[Outcome]:
        """The notebooks that did not end well, in the order they ended."""
        bad = [outcome for outcome in self.outcomes.values() if outcome.status not in GOOD]
        return [outcome for outcome in bad if outcome.reason != INTERRUPTED]

    def remaining(self, now: float) -> float | None:
        """Estimate the seconds until the run ends, or None when nothing is known to go by.

        What a notebook took last time is scaled by how this run compares with the last so far; one never
        seen counts as the average of those that ran. While nothing ends it never grows: it is 0 once every
        notebook that is left has had its estimate.

        Args:
            now: seconds since the run began.
        """
        ran = {name: done.seconds for name, done in self.outcomes.items() if done.status == "ok"}
        known = self.plan.expected
        both = [name for name in ran if known.get(name, 0) > 0]
        pace = sum(ran[name] for name in both) / sum(known[name] for name in both) if both else 1.0
        pace = min(max(pace, 0.2), 5.0)
        typical = list(ran.values()) or [seconds * pace for seconds in known.values()]
        left = [name for name in self.plan.sources if name not in self.outcomes]
        if not left or not typical:
            return None if left else 0.0
        average = sum(typical) / len(typical)
        shares = [self._share(name, known[name] * pace if name in known else average, now) for name in left]
        return max(*shares, sum(shares) / max(1, self.plan.jobs))

    def _share(self, source: str, estimate: float, now: float) -> float:
        """What one notebook still needs; of one past its estimate nothing is known."""
        entry = self.running.get(source)
        return max(estimate - (now - entry.started), 0.0) if entry else estimate
