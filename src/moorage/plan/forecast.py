"""How many jobs a schedule runs at once at most, as far as that can be known before."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from moorage.plan.schedule import Begin, Finished, Job, Limits, Schedule, StartJob


def at_once(jobs: Sequence[Job], slots: int) -> int:
    """Return the largest number of jobs that run together when each takes the time it took last.

    What nothing is known of takes as long as the others do. Memory is left out: it is not known before.

    Args:
        jobs: what is to be done.
        slots: how many may run at once, at least 1.
    """
    if not any(job.needs for job in jobs) and all(job.cores == 1 for job in jobs):
        return min(slots, len(jobs))
    known = [job.expected for job in jobs if job.expected is not None]
    typical = sum(known) / len(known) if known else 1.0
    seconds = {job.id: typical if job.expected is None else job.expected for job in jobs}
    schedule, now, most = Schedule(tuple(jobs), Limits(jobs=slots)), 0.0, 0
    commands, running = schedule.handle(Begin(), now), list[tuple[float, str]]()
    while True:
        for command in commands:
            if isinstance(command, StartJob):
                heapq.heappush(running, (now + seconds[command.id], command.id))
        most = max(most, len(running))
        if not running:
            return most
        now, ended = heapq.heappop(running)
        commands = schedule.handle(Finished(ended, ok=True), now)
