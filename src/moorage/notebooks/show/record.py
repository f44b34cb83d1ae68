"""What a report needs to know about a run, gathered from its events."""

from __future__ import annotations

from msgspec import Struct, field
from msgspec.structs import replace

from moorage.notebooks.events import (
    INTERRUPTED,
    Event,
    Note,
    NotebookFinished,
    NotebookRetried,
    NotebookStarted,
    Outcome,
    RunFinished,
    RunStarted,
)


class LostAttempt(Struct, frozen=True):
    """A kernel that died before its notebook was put back in the queue.

    Attributes:
        source: the notebook.
        worker: the place it ran in, from 0.
        start, stop: seconds since the run began.
        reason: why it ended.
    """

    source: str
    worker: int
    start: float
    stop: float
    reason: str


class RunRecord(Struct):
    """A run as it was. Only :meth:`handle` changes it; complete after ``RunFinished``."""

    plan: RunStarted = field(default_factory=lambda: RunStarted((), 1, "", ""))
    lost: list[LostAttempt] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False
    _outcomes: dict[str, Outcome] = field(default_factory=dict)
    _started: dict[str, NotebookStarted] = field(default_factory=dict)

    def handle(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case RunStarted():
                self.plan = event
            case NotebookStarted():
                self._started[event.source] = event
            case NotebookRetried() if event.source in self._started:
                start = self._started.pop(event.source)
                attempt = LostAttempt(event.source, start.worker, start.at, event.at, event.reason)
                self.lost.append(attempt)
            case Note():
                self.notes.append(event)
            case NotebookFinished():
                self._outcomes[event.outcome.source] = event.outcome
                self.seconds = max(self.seconds, event.at)
            case RunFinished():
                self._outcomes |= {outcome.source: outcome for outcome in event.outcomes}
                self.seconds, self.interrupted = event.at, event.interrupted
            case _:
                pass

    @property
    def outcomes(self) -> list[Outcome]:
        """The notebooks that are done, in the order given."""
        place = {source: at for at, source in enumerate(self.plan.sources)}
        found = [self._placed(outcome) for outcome in self._done()]
        return sorted(found, key=lambda outcome: place.get(outcome.source, len(place)))

    @property
    def not_run(self) -> int:
        """How many notebooks of the plan were never done."""
        return len(set(self.plan.sources) - {outcome.source for outcome in self._done()})

    def _done(self) -> list[Outcome]:
        """Return what is known to have ended; what an interruption left undone has not."""
        return [outcome for outcome in self._outcomes.values() if outcome.reason != INTERRUPTED]

    def _placed(self, outcome: Outcome) -> Outcome:
        """Fill in when and where a notebook ran, as far as its events tell and the outcome does not."""
        start = self._started.get(outcome.source)
        if start is None or (outcome.started is not None and outcome.worker is not None):
            return outcome
        return replace(outcome, started=start.at, worker=start.worker)
