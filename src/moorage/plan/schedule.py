"""What runs when: a graph of jobs under limits on slots and memory.

A pure machine: events and the time go in, commands come out. The rules:

* A job starts when everything it needs has ended well, its slots are free and its memory fits.
* First in line: jobs that died and are tried again, then the longest critical path (a job and the chain of
  jobs that wait for it). A job that was never timed counts as the longest. Ties keep the given order.
* A job that lacks slots holds the line, so that slots gather for it; one that lacks memory lets others pass.
* When nothing runs, the first in line starts whatever the memory: there is always progress.
* With ``tokens`` all slots but the first are GNU make's: what could be used now is asked for, the rest given
  back. Nothing holds the line there: what two programs wait for may be each other's slots.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import assert_never

from msgspec import Struct

from moorage.errors import UsageError


class Job(Struct, frozen=True):
    """One thing to do.

    Attributes:
        id: its name, used once.
        needs: ids of jobs that must have ended well before.
        cores: how many slots it takes; more than there are means all there are.
        memory: bytes it is expected to use, 0 where that is unknown.
        expected: seconds it took last time, None when unknown.
        retries: how often it may be started again when its process died.
    """

    id: str
    needs: frozenset[str] = frozenset()
    cores: int = 1
    memory: int = 0
    expected: float | None = None
    retries: int = 0


class Limits(Struct, frozen=True):
    """What may be used at once.

    Attributes:
        jobs: slots in all, at least 1.
        memory: bytes that running jobs may have declared together; None for no limit.
        floor: free bytes of the machine under which nothing new starts beside something running.
    """

    jobs: int
    memory: int | None = None
    floor: int = 0

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise UsageError(f"{self.jobs} jobs at once do nothing", do="Give -j a number from 1 up")


class Begin(Struct, frozen=True):
    """Start what can be started."""


class Finished(Struct, frozen=True):
    """A started job ended.

    Attributes:
        ok: whether its dependants may run.
        died: its process ended when it should not have: it may be tried again.
        reason: why it died, for the announcement of the retry.
    """

    id: str
    ok: bool
    died: bool = False
    reason: str = ""


class MemoryAvailable(Struct, frozen=True):
    """The machine has this many bytes free now."""

    free: int


class SlotGained(Struct, frozen=True):
    """One token came from the jobserver."""


class Stop(Struct, frozen=True):
    """Start nothing new; what runs may end. ``reason`` is given for each job that never ran."""

    reason: str


Event = Begin | Finished | MemoryAvailable | SlotGained | Stop


class StartJob(Struct, frozen=True):
    """Start it. ``attempt`` counts from 1, ``worker`` is the smallest free place from 0."""

    id: str
    attempt: int
    worker: int


class Retry(Struct, frozen=True):
    """The job died and is back in line; ``attempt`` is the number of its next start."""

    id: str
    attempt: int
    reason: str


class Skip(Struct, frozen=True):
    """The job will never run."""

    id: str
    reason: str


class WantSlots(Struct, frozen=True):
    """So many more tokens are wanted from now on; replaces every earlier wish, 0 withdraws it."""

    count: int


class GiveBack(Struct, frozen=True):
    """Return so many tokens to the jobserver now."""

    count: int


class AllDone(Struct, frozen=True):
    """Every job has ended or was skipped, every token is given back."""


Command = StartJob | Retry | Skip | WantSlots | GiveBack | AllDone


class Waiting(Struct, frozen=True):
    """Some needs have not ended yet."""

    unmet: frozenset[str]


class JobReady(Struct, frozen=True):
    """Could start; ``attempt`` is the number of its next start."""

    attempt: int


class JobRunning(Struct, frozen=True):
    """Started and not ended."""

    attempt: int
    worker: int
    slots: int
    since: float


class JobEnded(Struct, frozen=True):
    """Ran and is over."""

    ok: bool
    attempts: int


class Skipped(Struct, frozen=True):
    """Never ran and never will."""

    reason: str


Status = Waiting | JobReady | JobRunning | JobEnded | Skipped

_Place = tuple[bool, tuple[int, float, int], str, int]
"""Where a job stands in the line: whether it never ran, its rank; its name, the number of its start."""


def ordered(jobs: Iterable[Job]) -> tuple[str, ...]:
    """Return the ids, every job after what it needs; raise UsageError where that cannot be."""
    table: dict[str, Job] = {}
    for job in jobs:
        if job.id in table:
            raise UsageError(f"two jobs are called {job.id}")
        table[job.id] = job
    for job in table.values():
        unknown = sorted(job.needs - table.keys())
        if unknown:
            raise UsageError(f"{job.id} needs {unknown[0]}, which is not part of this run")
    try:
        return tuple(TopologicalSorter({job.id: sorted(job.needs) for job in table.values()}).static_order())
    except CycleError as error:
        circle = " needs ".join(reversed(error.args[1]))
        raise UsageError(
            "the notebooks wait for each other in a circle", why=circle, do="Take one of these needs away"
        ) from None


class Schedule:
    """Decides which job starts when. Raises UsageError where :func:`ordered` does.

    Args:
        jobs: what to do, in the user's order.
        limits: what may be used at once.
        fail_fast: skip everything that has not started when a job fails; what runs may end.
        tokens: all slots but the first come from a jobserver (never more than ``limits.jobs``).
    """

    def __init__(
        self, jobs: Iterable[Job], limits: Limits, *, fail_fast: bool = False, tokens: bool = False
    ) -> None:
        given = tuple(jobs)
        topological = ordered(given)
        self._jobs = {job.id: job for job in given}
        self._limits = limits
        self._fail_fast = fail_fast
        self._tokens = tokens
        self._dependants: dict[str, list[str]] = {job.id: [] for job in given}
        for job in given:
            for need in sorted(job.needs):
                self._dependants[need].append(job.id)
        self._rank = self._ranks(topological)
        self._status: dict[str, Status] = {
            job.id: Waiting(job.needs) if job.needs else JobReady(1) for job in given
        }
        # What is ready, first in line first.
        self._line = sorted(self._place(job.id, 1) for job in given if not job.needs)
        self._running: dict[str, JobRunning] = {}  # those in _status, for speed
        self._held = 1 if tokens else limits.jobs
        self._wish = 0
        self._free_memory: int | None = None
        self._open = len(given)
        self._begun = False
        self._stopped: str | None = None
        self._told = False

    @property
    def status(self) -> Mapping[str, Status]:
        """Where each job stands, by id."""
        return dict(self._status)

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take in what happened at ``now`` (seconds) and return what to do about it, in order.

        Raises ValueError when a job finishes that is not running.
        """
        commands: list[Command] = []
        match event:
            case Begin():
                self._begun = True
            case Finished():
                commands += self._finish(event)
            case MemoryAvailable(free):
                self._free_memory = free
            case SlotGained():
                self._held += 1
                self._wish = max(0, self._wish - 1)
            case Stop(reason):
                self._stopped = self._stopped or reason
            case _:
                assert_never(event)
        if self._stopped is not None:
            commands += self._skip(list(self._jobs), self._stopped)
        if self._begun:
            commands += self._fill(now)
        commands += self._balance()
        if self._begun and not self._open and not self._told:
            self._told = True
            commands.append(AllDone())
        return commands

    def _ranks(self, topological: tuple[str, ...]) -> dict[str, tuple[int, float, int]]:
        """Return sort keys: most untimed jobs on the critical path first, then seconds, then as given."""
        path: dict[str, tuple[int, float]] = {}
        for name in reversed(topological):
            job = self._jobs[name]
            untimed, seconds = max((path[later] for later in self._dependants[name]), default=(0, 0.0))
            path[name] = (untimed + (job.expected is None), seconds + (job.expected or 0.0))
        return {name: (-path[name][0], -path[name][1], position) for position, name in enumerate(self._jobs)}

    def _finish(self, event: Finished) -> Iterator[Command]:
        job = self._jobs[event.id]
        status = self._status[event.id]
        if not isinstance(status, JobRunning):
            raise ValueError(f"{event.id} finished without running")  # noqa: TRY004 - out of turn
        del self._running[event.id]
        if not event.ok and event.died and status.attempt <= job.retries and self._stopped is None:
            self._join_line(event.id, status.attempt + 1)
            yield Retry(event.id, status.attempt + 1, event.reason)
            return
        self._status[event.id] = JobEnded(event.ok, status.attempt)
        self._open -= 1
        if event.ok:
            for later in self._dependants[event.id]:
                waiting = self._status[later]
                if isinstance(waiting, Waiting):
                    unmet = waiting.unmet - {event.id}
                    self._status[later] = Waiting(unmet)
                    if not unmet:
                        self._join_line(later, 1)
            return
        cause = f"{event.id}, which {'died' if event.died else 'failed'}"
        yield from self._skip(self._after(event.id), f"needs {cause}")
        if self._fail_fast and self._stopped is None:
            self._stopped = f"the run stopped at {cause}"

    def _after(self, name: str) -> list[str]:
        """Return everything that waits for ``name``, directly or not, nearest first."""
        found = list(dict.fromkeys(self._dependants[name]))
        seen = set(found)
        for each in found:  # grows while it is walked
            fresh = [later for later in self._dependants[each] if later not in seen]
            found += fresh
            seen.update(fresh)
        return found

    def _skip(self, names: list[str], reason: str) -> Iterator[Command]:
        for name in names:
            match self._status[name]:
                case JobReady(attempt):
                    self._leave_line(name, attempt)
                    # One that ran, and will not be tried again, has not been skipped.
                    ended = JobEnded(ok=False, attempts=attempt - 1)
                    self._status[name] = Skipped(reason) if attempt == 1 else ended
                case Waiting():
                    self._status[name] = Skipped(reason)
                case JobRunning() | JobEnded() | Skipped():
                    continue
            self._open -= 1
            yield Skip(name, reason)

    def _place(self, name: str, attempt: int) -> _Place:
        return (attempt == 1, self._rank[name], name, attempt)

    def _join_line(self, name: str, attempt: int) -> None:
        self._status[name] = JobReady(attempt)
        insort(self._line, self._place(name, attempt))

    def _leave_line(self, name: str, attempt: int) -> None:
        del self._line[bisect_left(self._line, self._place(name, attempt))]

    def _free_slots(self) -> int:
        return self._held - sum(each.slots for each in self._running.values())

    def _width(self, job: Job) -> int:
        return max(1, min(job.cores, self._limits.jobs))

    def _memory_fits(self, job: Job) -> bool:
        if not self._running:
            return True
        declared = sum(self._jobs[name].memory for name in self._running)
        limit = self._limits.memory
        if limit is not None and job.memory and declared + job.memory > limit:
            return False
        return self._free_memory is None or self._free_memory >= max(job.memory, self._limits.floor)

    def _fill(self, now: float) -> Iterator[Command]:
        at = 0
        while at < len(self._line):
            _, _, name, attempt = self._line[at]
            fits = self._memory_fits(job := self._jobs[name])
            if fits and self._width(job) <= self._free_slots():
                yield self._start(job, attempt, self._width(job), now)
            elif fits and not self._tokens:
                break
            else:
                at += 1
        if self._line and not self._running:  # only tokens can be this short: go on with those there are
            _, _, name, attempt = self._line[0]
            yield self._start(self._jobs[name], attempt, self._held, now)

    def _start(self, job: Job, attempt: int, slots: int, now: float) -> StartJob:
        taken = {each.worker for each in self._running.values()}
        worker = next(number for number in range(len(taken) + 1) if number not in taken)
        self._leave_line(job.id, attempt)
        self._status[job.id] = self._running[job.id] = JobRunning(attempt, worker, slots, now)
        if self._free_memory is not None:  # until it is measured again, count what was promised since
            self._free_memory = max(0, self._free_memory - job.memory)
        return StartJob(job.id, attempt, worker)

    def _balance(self) -> Iterator[Command]:
        """Ask for the tokens that could be used now; give back those that cannot."""
        if not self._tokens:
            return
        useful = self._held - self._free_slots()
        if self._begun:
            ready = (self._jobs[name] for _, _, name, _ in self._line)
            useful += sum(self._width(job) for job in ready if self._memory_fits(job))
        target = max(1, min(useful, self._limits.jobs))
        if self._held > target:
            surplus, self._held = self._held - target, target
            yield GiveBack(surplus)
        if target - self._held != self._wish:
            self._wish = target - self._held
            yield WantSlots(self._wish)
