"""One kernel's life: its status, and what to do about each event. No I/O, no clock.

=============  ========================================  =================================
status         leaves it by                              for
=============  ========================================  =================================
Starting       Launched                                  Registering
Starting       Launched, after StopRequested             Stopping, killed
Registering    Answered                                  Running
Running        StopRequested                             Stopping
Running        RestartRequested                          Restarting
Restarting     Died (the old process)                    Starting
Stopping       Died                                      Exited
any but ended  DeadlinePassed                            Stopping, from SIGTERM on
any but ended  Died                                      Exited
any but ended  WatcherLost                               Lost
=============  ========================================  =================================

The shutdown ladder (ask, SIGTERM, kill the tree) is climbed by ``Tick`` events: every command list that
needs one ends with ``WakeAt``. A kernel that never answered is killed at once: nothing in it is worth waiting
for. One that is to end before there is a process is killed the moment there is one. The ladder is only ever
climbed, never descended: a second request or deadline postpones nothing.
"""

from __future__ import annotations

from typing import Literal, assert_never

from msgspec import Struct

from moorage.plan.clock import Tick, WakeAt

Cause = Literal["code", "signal", "out of memory", "deadline"]


class Starting(Struct, frozen=True):
    """The launcher has been asked for a process."""

    since: float


class Registering(Struct, frozen=True):
    """The process runs; it has not proven that it hears and is heard."""

    since: float
    pid: int


class Running(Struct, frozen=True):
    """The kernel has answered and its output reaches us."""

    since: float
    pid: int


class Restarting(Struct, frozen=True):
    """The old process is being ended so that a new one can take its place."""

    since: float
    pid: int


class Stopping(Struct, frozen=True):
    """The kernel is to end; ``rung`` is the last step taken."""

    since: float
    pid: int
    rung: Literal["asked", "terminated", "killed"]
    next_rung_at: float


class Exited(Struct, frozen=True):
    """The process has ended.

    Attributes:
        cause: how: an exit code, a signal, the kernel's out-of-memory counter, or a deadline of ours.
        code, signal: whichever there is.
        last_output: the tail of stdout and stderr.
        expected: True when its end was requested.
    """

    since: float
    cause: Cause
    code: int | None
    signal: int | None
    last_output: str
    expected: bool


class Lost(Struct, frozen=True):
    """The process that would know what became of it is gone."""

    since: float


Status = Starting | Registering | Running | Restarting | Stopping | Exited | Lost


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
    """The process has ended."""

    code: int | None
    signal: int | None
    out_of_memory: bool
    last_output: str


class WatcherLost(Struct, frozen=True):
    """The process that watched it is gone."""


Event = Launched | Answered | StopRequested | RestartRequested | DeadlinePassed | Died | WatcherLost | Tick


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

    def __init__(self, now: float) -> None:
        """Begin in ``Starting``.

        Args:
            now: the time, in seconds of any monotonic clock.
        """
        self.status: Status = Starting(now)
        self._grace = 5.0
        self._deadline = False
        self._unwanted = False

    def handle(self, event: Event, now: float) -> list[Command]:  # noqa: C901, PLR0911 - one case an event
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
                if isinstance(self.status, Registering):
                    self.status = Running(now, self.status.pid)
                return []
            case StopRequested(grace, at_once, ask):
                return self._stop(grace, now, at_once=at_once, ask=ask)
            case RestartRequested():
                return self._restart(now)
            case DeadlinePassed(grace):
                return self._end_for_deadline(grace, now)
            case Died():
                return self._died(event, now)
            case WatcherLost():
                self.status = Lost(now)
                return []
            case Tick():
                return self._climb(now)
        assert_never(event)

    def _launched(self, pid: int, now: float) -> list[Command]:
        if not isinstance(self.status, Starting):
            return []
        if self._unwanted:
            self.status = Stopping(now, pid, "killed", now)
            return [KillTree()]
        self.status = Registering(now, pid)
        return []

    def _stop(self, grace: float, now: float, *, at_once: bool, ask: bool) -> list[Command]:
        status = self.status
        if isinstance(status, Starting):
            self._unwanted = True
            return []
        assert not isinstance(status, Exited | Lost)
        if isinstance(status, Stopping) and (not at_once or status.rung == "killed"):
            return []
        if at_once or isinstance(status, Restarting) or (ask and isinstance(status, Registering)):
            self.status = Stopping(now, status.pid, "killed", now)
            return [KillTree()]
        self._grace = grace
        self.status = Stopping(now, status.pid, "asked" if ask else "terminated", now + grace)
        return [AskToStop() if ask else Terminate(), WakeAt(now + grace)]

    def _end_for_deadline(self, grace: float, now: float) -> list[Command]:
        self._deadline = True
        status = self.status
        if isinstance(status, Starting):
            self._unwanted = True
            return []
        assert not isinstance(status, Exited | Lost)
        if isinstance(status, Stopping) and status.rung != "asked":
            return []
        self.status = Stopping(now, status.pid, "terminated", now + grace)
        return [Terminate(), WakeAt(now + grace)]

    def _climb(self, now: float) -> list[Command]:
        status = self.status
        if not isinstance(status, Stopping) or status.rung == "killed":
            return []
        if now < status.next_rung_at:
            return [WakeAt(status.next_rung_at)]  # clocks of event loops are coarse
        if status.rung == "asked":
            self.status = Stopping(status.since, status.pid, "terminated", now + self._grace)
            return [Terminate(), WakeAt(now + self._grace)]
        self.status = Stopping(status.since, status.pid, "killed", now)
        return [KillTree()]

    def _restart(self, now: float) -> list[Command]:
        if not isinstance(self.status, Running | Registering):
            return []
        self.status = Restarting(now, self.status.pid)
        return [KillTree()]

    def _died(self, event: Died, now: float) -> list[Command]:
        if isinstance(self.status, Restarting):
            self.status = Starting(now)
            return [Launch()]
        cause: Cause = "code" if event.signal is None else "signal"
        if event.out_of_memory:
            cause = "out of memory"
        elif self._deadline:
            cause = "deadline"
        self.status = Exited(
            since=now,
            cause=cause,
            code=event.code,
            signal=event.signal,
            last_output=event.last_output,
            expected=isinstance(self.status, Stopping) and not self._deadline,
        )
        return []
