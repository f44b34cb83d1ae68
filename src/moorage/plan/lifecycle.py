"""One kernel's life: its status, and what to do about each event. No I/O, no clock.

=============  ===============================================  =================================
status         leaves it by                                     for
=============  ===============================================  =================================
Starting       Launched                                         Registering
Starting       Launched, after StopRequested                    Stopping, killed
Registering    Answered                                         Running
Registering    Tick, started again and silent for too long      Stopping, killed
Running        StopRequested                                    Stopping
Running        StoodStill                                       Running, stopped or not
Running        RestartRequested                                 Restarting
Running        Died, and its policy starts it again             Restarting, without a process
Restarting     Died (the old process)                           Starting
Restarting     Tick or RestartRequested, without a process      Starting
Restarting     StopRequested, without a process                 Exited
Stopping       Died                                             Exited
any but ended  DeadlinePassed                                   Stopping, from SIGTERM on
any but ended  Died                                             Exited
any but ended  WatcherLost                                      Lost
=============  ===============================================  =================================

The shutdown ladder (ask, SIGTERM, kill the tree) is climbed by ``Tick`` events: every command list that
needs one ends with ``WakeAt``. A kernel that never answered is killed at once: nothing in it is worth waiting
for. One that is to end before there is a process is killed the moment there is one. The ladder is only ever
climbed, never descended: a second request or deadline postpones nothing.

Whether a kernel that died is started again, and when, is decided in :mod:`moorage.plan.restart`.
"""

from __future__ import annotations

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from moorage.plan import restart
from moorage.plan.clock import Tick, WakeAt
from moorage.plan.restart import RestartPolicy, Restarts
from moorage.plan.statuses import (
    Cause,
    EndCause,
    Exited,
    Lost,
    Registering,
    Restarting,
    Rung,
    Running,
    Starting,
    Status,
    Stopping,
)

__all__ = [
    "Answered",
    "AskToStop",
    "Command",
    "DeadlinePassed",
    "Died",
    "Event",
    "Exited",
    "KillTree",
    "Launch",
    "Launched",
    "Lifecycle",
    "Lost",
    "Registering",
    "RestartRequested",
    "Restarting",
    "Running",
    "Starting",
    "Status",
    "StoodStill",
    "StopRequested",
    "Stopping",
    "Terminate",
    "WatcherLost",
]


class Launched(Struct, frozen=True):
    """The launcher has started the process."""

    pid: int


class Answered(Struct, frozen=True):
    """The kernel replied and its iopub subscription is proven."""


class StopRequested(Struct, frozen=True):
    """End the kernel.

    Attributes:
        grace: seconds for each rung of the ladder.
        at_once: skip to the last rung.
        ask: begin with the first, else with SIGTERM.
    """

    grace: float = 5.0
    at_once: bool = False
    ask: bool = True


class RestartRequested(Struct, frozen=True):
    """End the process and start it again."""


class DeadlinePassed(Struct, frozen=True):
    """A deadline of the caller's passed: SIGTERM, and after ``grace`` seconds the whole tree is killed."""

    grace: float = 2.0


class Died(Struct, frozen=True):
    """The process has ended.

    Attributes:
        announced: the kernel has said that a client asked it to end.
    """

    code: int | None
    signal: int | None
    out_of_memory: bool
    last_output: str
    announced: bool = False


class StoodStill(Struct, frozen=True):
    """The process was found stopped, or running again.

    Attributes:
        why: what holds it still, in words; empty where nothing does.
    """

    why: str


class WatcherLost(Struct, frozen=True):
    """The process that watched it is gone."""


Event = (
    Launched
    | Answered
    | StopRequested
    | RestartRequested
    | DeadlinePassed
    | Died
    | StoodStill
    | WatcherLost
    | Tick
)


class AskToStop(Struct, frozen=True):
    """Send shutdown_request."""


class Terminate(Struct, frozen=True):
    """Send SIGTERM to the process group."""


class KillTree(Struct, frozen=True):
    """SIGKILL the process and everything it started."""


class Launch(Struct, frozen=True):
    """Start the process again."""


Command = AskToStop | Terminate | KillTree | Launch | WakeAt


class Lifecycle:
    """The machine of one kernel; ``handle`` is the only door to its state."""

    def __init__(self, now: float, policy: RestartPolicy | None = None) -> None:
        """Begin in ``Starting``.

        Args:
            now: the time, in seconds of any monotonic clock.
            policy: when it is started again if it dies; None for never.
        """
        self.status: Status = Starting(now)
        self._policy = policy
        self._restarts = None if policy is None else Restarts(policy)

    def handle(self, event: Event, now: float) -> list[Command]:  # noqa: PLR0911 - one case an event
        """Apply one event.

        Args:
            event: what happened.
            now: when, in seconds of the clock given at construction.

        Returns:
            What to do now, in order. Events that mean nothing in the present state change nothing.
        """
        if isinstance(self.status, Exited | Lost):
            return []
        match event:
            case Launched(pid):
                return self._launched(pid, now)
            case Answered():
                return self._answered(now)
            case StopRequested(grace, at_once, ask):
                return self._stop(grace, now, at_once=at_once, ask=ask)
            case RestartRequested():
                return self._restart(now)
            case DeadlinePassed(grace):
                return self._end_for_deadline(grace, now)
            case Died():
                return self._died(event, now)
            case WatcherLost() | StoodStill():
                return self._seen(event, now)
            case Tick():
                return self._tick(now)
        assert_never(event)

    def _seen(self, event: WatcherLost | StoodStill, now: float) -> list[Command]:
        if isinstance(event, WatcherLost):
            self.status = Lost(now)
        elif isinstance(self.status, Running):
            self.status = replace(self.status, stopped=event.why)
        return []

    def _launched(self, pid: int, now: float) -> list[Command]:
        if not isinstance(self.status, Starting):
            return []
        if (cause := self.status.to_end) is not None:
            return self._kill(pid, cause, now)
        within = self.status.answer_within
        self.status = Registering(now, pid, None if within is None else now + within)
        return [] if within is None else [WakeAt(now + within)]

    def _answered(self, now: float) -> list[Command]:
        if isinstance(self.status, Registering):
            self.status = Running(now, self.status.pid)
            if self._restarts is not None:
                self._restarts.handle(restart.CameUp(), now)
        return []

    def _stop(self, grace: float, now: float, *, at_once: bool, ask: bool) -> list[Command]:
        status = self.status
        if isinstance(status, Starting):
            return self._end_once_launched(status, status.to_end or "request")
        assert not isinstance(status, Exited | Lost)
        if isinstance(status, Restarting) and status.death is not None:
            self.status = replace(status.death, since=now, expected=True)
            return []
        if isinstance(status, Stopping):
            status = self.status = replace(status, cause=_stronger(status.cause, "request"))
            kill = at_once and status.rung != "killed"
            return self._kill(status.pid, status.cause, now) if kill else []
        if at_once or isinstance(status, Restarting) or (ask and isinstance(status, Registering)):
            return self._kill(status.pid, "request", now)
        rung: Rung = "asked" if ask else "terminated"
        self.status = Stopping(now, status.pid, rung, now + grace, grace, "request")
        return [AskToStop() if ask else Terminate(), WakeAt(now + grace)]

    def _end_for_deadline(self, grace: float, now: float) -> list[Command]:
        status = self.status
        if isinstance(status, Starting):
            return self._end_once_launched(status, "deadline")
        assert not isinstance(status, Exited | Lost)
        if isinstance(status, Restarting) and status.death is not None:
            self.status = replace(status.death, since=now, cause="deadline")
            return []
        if isinstance(status, Stopping) and status.rung != "asked":
            self.status = replace(status, cause="deadline")
            return []
        self.status = Stopping(now, status.pid, "terminated", now + grace, grace, "deadline")
        return [Terminate(), WakeAt(now + grace)]

    def _end_once_launched(self, status: Starting, cause: EndCause) -> list[Command]:
        self.status = replace(status, to_end=cause)
        return []

    def _kill(self, pid: int, cause: EndCause, now: float) -> list[Command]:
        self.status = Stopping(now, pid, "killed", now, 0.0, cause)
        return [KillTree()]

    def _tick(self, now: float) -> list[Command]:
        """Do what is due, or ask for another tick: clocks of event loops are coarse."""
        match self.status:
            case Registering(_, pid, float(answer_by)):
                return [WakeAt(answer_by)] if now < answer_by else self._kill(pid, "no answer", now)
            case Restarting(_, _, Exited(), float(at)):
                return [WakeAt(at)] if now < at else self._start_again(now)
            case Stopping(rung="asked" | "terminated", next_rung_at=at):
                return [WakeAt(at)] if now < at else self._climb(self.status, now)
        return []

    def _climb(self, status: Stopping, now: float) -> list[Command]:
        if status.rung == "asked":
            self.status = replace(status, rung="terminated", next_rung_at=now + status.grace)
            return [Terminate(), WakeAt(now + status.grace)]
        self.status = replace(status, rung="killed", next_rung_at=now)
        return [KillTree()]

    def _restart(self, now: float) -> list[Command]:
        status = self.status
        dying = isinstance(status, Stopping) and status.cause == "no answer"
        waiting = isinstance(status, Restarting) and status.death is not None
        if not (dying or waiting or isinstance(status, Running | Registering)):
            return []
        assert isinstance(status, Stopping | Restarting | Running | Registering)
        if self._restarts is not None:
            self._restarts.handle(restart.Replaced(), now)
        if waiting:
            return self._start_again(now)
        self.status = Restarting(now, status.pid)
        return [] if dying else [KillTree()]

    def _start_again(self, now: float) -> list[Command]:
        within = None if self._policy is None else self._policy.answer_within
        self.status = Starting(now, answer_within=within)
        return [Launch()]

    def _died(self, event: Died, now: float) -> list[Command]:
        status = self.status
        if isinstance(status, Restarting):
            return self._start_again(now) if status.death is None else []
        end = status.cause if isinstance(status, Stopping) else None
        death = _exited(event, end, now)
        self.status = death
        if self._restarts is None or isinstance(status, Starting | Exited | Lost):
            return []
        asked_for = death.expected or end == "deadline"
        decision = self._restarts.handle(restart.Death(asked_for, death.code == 0), now)
        if isinstance(decision, restart.RestartAt):
            self.status = Restarting(now, status.pid, death, decision.at)
            return [WakeAt(decision.at)]
        if isinstance(decision, restart.GiveUp):
            self.status = replace(death, gave_up=decision.reason)
        return []


def _stronger(cause: EndCause, other: EndCause) -> EndCause:
    """Return which of two reasons to end a process counts: a deadline most, its silence least."""
    order: tuple[EndCause, ...] = ("no answer", "request", "deadline")
    return max(cause, other, key=order.index)


def _exited(event: Died, end: EndCause | None, now: float) -> Exited:
    cause: Cause = "code" if event.signal is None else "signal"
    if event.out_of_memory:
        cause = "out of memory"
    elif end in ("deadline", "no answer"):
        cause = "deadline"
    return Exited(
        since=now,
        cause=cause,
        code=event.code,
        signal=event.signal,
        last_output=event.last_output,
        expected=end == "request" or (event.announced and end is None),
    )
