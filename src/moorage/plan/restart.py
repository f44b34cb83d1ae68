"""Whether a kernel that has died is started again, and when. No I/O, no clock.

=================================  =================================  ==============================
state                              event                              decision
=================================  =================================  ==============================
any                                CameUp                             none; now it is Up
any                                Replaced                           none; all that was is forgotten
any                                Death, and its end was asked for   GiveUp
Untried (it has never answered)    Death                              GiveUp
Up                                 Death                              RestartAt, or GiveUp
Down (it is being started again)   Death                              RestartAt, or GiveUp
=================================  =================================  ==============================

The limit is that of Erlang's supervisors: more than so many restarts within so many seconds are too many.
But the seconds are those in which the kernel ran, from its answer to its death. Pauses and starts do not
count, so no back-off outlasts the limit: a systemd unit restarts for ever whose ``RestartSec`` keeps
``StartLimitBurst`` starts out of one ``StartLimitIntervalSec``. What has run for the whole of the seconds
begins anew. Deaths while starting count apart, as by supervisord's ``startretries``: such a process has not
run at all. A kernel that has never answered is not started again: what was wrong will be wrong again, and its
launcher waits for the reason.

Sources: https://www.erlang.org/doc/system/sup_princ.html (maximum restart intensity), systemd.unit(5) and
systemd.service(5), http://supervisord.org/subprocess.html (process states).
"""

from __future__ import annotations

from typing import assert_never

from msgspec import Struct

from moorage.errors import UsageError
from moorage.plan.backoff import pause


class RestartPolicy(Struct, frozen=True, kw_only=True):
    """When a kernel that died is started again.

    Attributes:
        most: how many restarts within ``within`` seconds; one more death is the last.
        within: seconds in which it ran; a kernel that ran for so long at a stretch has all forgotten.
        starts: how many starts in a row may fail before it is given up.
        first_pause: seconds before the second restart in a row; the first one is at once. Then they double.
        longest_pause: seconds at most.
        answer_within: seconds in which a process that was started again must answer, or it is killed, which
            is a start that failed.
        after_exit: whether it is started again when it ended by itself with exit code 0, as after ``exit()``
            in a cell.

    Raises:
        UsageError: a value cannot be.
    """

    most: int = 5
    within: float = 60.0
    starts: int = 3
    first_pause: float = 0.5
    longest_pause: float = 30.0
    answer_within: float = 60.0
    after_exit: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name, least in _LEAST.items():
            value = getattr(self, name)
            kind = int if name in ("most", "starts") else int | float
            # Not `value < least`: that is false for NaN.
            if isinstance(value, bool) or not isinstance(value, kind) or not value >= least:
                whole = "a whole number" if kind is int else "a number"
                raise UsageError(
                    f"{name} of a restart policy is {value!r}", why=f"It is {whole} from {least} on"
                )


_LEAST = {"most": 0, "within": 1, "starts": 1, "first_pause": 0, "longest_pause": 0, "answer_within": 0.1}
"""What each field is at least."""


def policy_of(restarts: RestartPolicy | int | None) -> RestartPolicy | None:
    """Return the policy that a caller names: by itself, or by the number of restarts within a minute.

    Raises:
        UsageError: it is neither.
    """
    if restarts is None or isinstance(restarts, RestartPolicy):
        return restarts
    if isinstance(restarts, bool) or not isinstance(restarts, int):
        raise UsageError(
            f"restarts is {restarts!r}",
            why="It says how often a kernel that dies is started again within a minute",
            do="Give a number, or a moorage.RestartPolicy",
        )
    return RestartPolicy(most=restarts)


class CameUp(Struct, frozen=True):
    """The process has answered."""


class Replaced(Struct, frozen=True):
    """The process is replaced by another at a caller's wish."""


class Death(Struct, frozen=True):
    """The process has ended.

    Attributes:
        asked_for: its end was requested, or a deadline of the caller's passed.
        clean: it ended by itself with exit code 0.
    """

    asked_for: bool
    clean: bool


Event = CameUp | Replaced | Death


class RestartAt(Struct, frozen=True):
    """Start it again at this time, which may be now.

    Attributes:
        at: seconds of the machine's clock.
    """

    at: float


class GiveUp(Struct, frozen=True):
    """Do not start it again.

    Attributes:
        reason: why not, for messages; empty where that needs no word.
    """

    reason: str = ""


Decision = RestartAt | GiveUp


class Untried(Struct, frozen=True):
    """No process has answered yet."""


class Up(Struct, frozen=True):
    """The process has answered."""

    since: float


class Down(Struct, frozen=True):
    """The process is gone, and the next one has not answered.

    Attributes:
        failures: how many have ended meanwhile before they answered.
    """

    failures: int


class Restarts:
    """The machine of one kernel; ``handle`` is the only door to its state."""

    def __init__(self, policy: RestartPolicy) -> None:
        """Begin with a kernel that has not answered yet."""
        self._policy = policy
        self._state: Untried | Up | Down = Untried()
        self._ran = 0.0
        self._restarts: tuple[float, ...] = ()  # each by how long the kernel had run before, all in all

    def handle(self, event: Event, now: float) -> Decision | None:
        """Apply one event.

        Args:
            event: what happened.
            now: when, in seconds of any monotonic clock.

        Returns:
            What to do about a death; None for what is none.
        """
        match event:
            case CameUp():
                self._state = Up(now)
            case Replaced():
                self._state, self._restarts = Down(0), ()
            case Death(asked_for, clean):
                if asked_for:
                    return GiveUp()
                return self._died(now, clean=clean)
            case _:
                assert_never(event)
        return None

    def _died(self, now: float, *, clean: bool) -> Decision:
        match self._state:
            case Untried():
                return GiveUp()
            case Up(since):
                return self._died_running(now, now - since, clean=clean)
            case Down(failures):
                return self._died_starting(now, failures + 1)
        assert_never(self._state)

    def _died_running(self, now: float, ran: float, *, clean: bool) -> Decision:
        policy = self._policy
        self._state = Down(0)
        self._ran += ran
        self._restarts = tuple(each for each in self._restarts if self._ran - each < policy.within)
        if clean and not policy.after_exit:
            return GiveUp("it ended by itself with exit code 0")
        before = len(self._restarts)
        if policy.most == 0:
            return GiveUp("its policy allows no restart")
        if before >= policy.most:
            return GiveUp(f"it was restarted {_times(before)} within {policy.within:g} s of running")
        self._restarts += (self._ran,)
        return RestartAt(now + self._pause(before))

    def _died_starting(self, now: float, failures: int) -> Decision:
        self._state = Down(failures)
        if failures >= self._policy.starts:
            return GiveUp(f"it has ended {_times(failures)} in a row before it answered")
        return RestartAt(now + self._pause(len(self._restarts) + failures - 1))

    def _pause(self, restarts: int) -> float:
        return pause(self._policy.first_pause, self._policy.longest_pause, restarts)


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
