"""What a keeper does with its charge, and when: no I/O, no clock.

==========  ==============================  =====================================================
state       event                           what follows
==========  ==============================  =====================================================
Beginning   ChargeStarted                   Keeping; TellStatus
Beginning   ChargeRefused                   Gone; Finish
Keeping     ChargeExited                    Killing; KillCharge, TellStatus
Keeping     EndWanted, or the lease is over Ending; SignalCharge, TellStatus; without grace Killing
Ending      ChargeExited                    Killing; KillCharge, TellStatus
Ending      EndWanted                       Ending, sooner but never later
Ending      the grace is over               Killing; KillCharge, TellStatus
Killing     TreeGone                        Gone; TellStatus, Finish
Keeping     SleepWanted                     Clearing; KillAllBut, TellStatus
Clearing    TreeGone                        Asleep; TellStatus
Asleep      WakeWanted                      Waking; TellStatus
Waking      ChargeStarted                   Keeping; TellStatus
Waking      ChargeRefused                   Asleep; TellStatus
Waking      ChargeExited                    Killing; KillCharge, TellStatus
Clearing, Asleep, Waking  EndWanted, or the lease is over  Killing; KillCharge, TellStatus
any alive   TenderGone                      Killing; KillCharge, TellStatus
any         LinkAttached, LinkDetached      the lease stands still, or begins anew
any         LeaseSet                        the lease is another one
==========  ==============================  =====================================================

A charge that is asleep has ended, and what a warden beside it started lives on, until a new charge is started
in its place. Behind walls that warden tends the charge, and without it there is none.

A lease runs while nothing is attached. Times are those of a monotonic clock that stands still while the
machine sleeps (CLOCK_MONOTONIC, clock_gettime(2)): a machine that slept has not used up a lease.

A keeper runs where moorage is not installed: standard library only, from Python 3.9 on.
"""

from __future__ import annotations

TYPE_CHECKING = False

TERMINATE = 15
"""SIGTERM, which is 15 on every Unix."""

BY_ITSELF, ASKED, LEASE, KEEPER = "exit", "asked", "lease", "keeper"
"""Why a charge ended: by itself, by a command of a link, as its lease ran out, as its keeper got SIGTERM."""


class ChargeStarted:
    """The charge's program runs."""


class ChargeRefused:
    """The charge could not be started."""


class ChargeExited:
    """The charge's process has ended; what it started may live."""


class TenderGone:
    """The process that tends the charge behind walls has ended, or is not to be trusted any more."""


class TreeGone:
    """Nothing is left of the charge and all it started that can be killed."""


class LinkAttached:
    """One more link counts as attached."""


class LinkDetached:
    """One link less counts as attached."""


class TimePassed:
    """The time that :meth:`KeepingPlan.due` named may have come."""


class LeaseSet:
    """The lease is another one.

    Attributes:
        seconds: for which nothing may be attached; 0 for ever.
    """

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class EndWanted:
    """The charge is to end.

    Attributes:
        grace: seconds between SIGTERM and the killing of the tree; 0 for no SIGTERM.
        reason: one of those above.
    """

    __slots__ = ("grace", "reason")

    def __init__(self, grace: float, reason: str = ASKED) -> None:
        self.grace = grace
        self.reason = reason


class SleepWanted:
    """The charge is to end, and what was started by the warden beside it is to live on."""


class WakeWanted:
    """A charge is to be started again."""


class SignalCharge:
    """Send a signal to the charge and its process group.

    Attributes:
        signum: which.
    """

    __slots__ = ("signum",)

    def __init__(self, signum: int) -> None:
        self.signum = signum


class KillCharge:
    """Kill the charge and all it started, and tell with :class:`TreeGone`."""


class KillAllBut:
    """Kill the charge and all it started, but not the warden and what that started; tell with TreeGone."""


class TellStatus:
    """Tell links that watch, and write the record."""


class Finish:
    """Nothing is left to keep: say what is to be said, and end."""


class Beginning:
    """The charge is being started."""

    name = "starting"
    reason = ""


class Keeping:
    """The charge runs."""

    name = "running"
    reason = ""


class Ending:
    """The charge was sent SIGTERM.

    Attributes:
        reason: why.
        kill_at: when its tree is killed.
    """

    name = "ending"
    __slots__ = ("kill_at", "reason")

    def __init__(self, reason: str, kill_at: float) -> None:
        self.reason = reason
        self.kill_at = kill_at


class Clearing:
    """The charge is being killed, for it is to be asleep."""

    name = "clearing"
    reason = ""


class Asleep:
    """The charge has ended, and a warden with what it started lives."""

    name = "asleep"
    reason = ""


class Waking:
    """A charge is being started again."""

    name = "waking"
    reason = ""


class Killing:
    """The tree is being killed.

    Attributes:
        reason: why.
    """

    name = "killing"
    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Gone:
    """It is over.

    Attributes:
        reason: why; empty where it never began.
    """

    name = "ended"
    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


if TYPE_CHECKING:
    KeepingEvent = (
        ChargeStarted
        | ChargeRefused
        | ChargeExited
        | TenderGone
        | TreeGone
        | LinkAttached
        | LinkDetached
        | TimePassed
        | LeaseSet
        | EndWanted
        | SleepWanted
        | WakeWanted
    )
    KeepingCommand = SignalCharge | KillCharge | KillAllBut | TellStatus | Finish
    KeepingState = Beginning | Keeping | Ending | Clearing | Asleep | Waking | Killing | Gone


class KeepingPlan:
    """The machine of one keeper; :meth:`handle` is the only door to its state.

    Args:
        lease: seconds for which nothing may be attached; 0 for ever.
        grace: seconds between SIGTERM and the killing of the tree when the lease has run out.
        now: the time.
    """

    def __init__(self, lease: float, grace: float, now: float) -> None:
        self.state: KeepingState = Beginning()
        self.attached = 0
        self.lease = lease
        self._grace = grace
        self._alone_since = now

    def due(self) -> float | None:
        """Return when :class:`TimePassed` is to come; None for never."""
        if isinstance(self.state, Ending):
            return self.state.kill_at
        if isinstance(self.state, (Keeping, Asleep)):
            return self.lease_over()
        return None

    def lease_over(self) -> float | None:
        """Return when the lease will have run out; None while it does not run."""
        return self._alone_since + self.lease if self.lease and not self.attached else None

    def handle(self, event: KeepingEvent, now: float) -> list[KeepingCommand]:
        """Apply one event.

        Args:
            event: what happened.
            now: when, in seconds.

        Returns:
            What to do about it, in this order.
        """
        if isinstance(event, (LinkAttached, LinkDetached, LeaseSet)):
            return self._leased(event, now)
        if isinstance(event, EndWanted):
            return self._wanted(event, now)
        if isinstance(event, (SleepWanted, WakeWanted)):
            return self._rest(event)
        if isinstance(self.state, Clearing) and isinstance(event, TreeGone):
            self.state = Asleep()
            return [TellStatus()]
        if isinstance(self.state, Waking) and isinstance(event, (ChargeRefused, ChargeExited)):
            return self._not_woken(event)
        return self._passed(now) if isinstance(event, TimePassed) else self._became(event)

    def _became(
        self, event: ChargeStarted | ChargeRefused | ChargeExited | TenderGone | TreeGone
    ) -> list[KeepingCommand]:
        if isinstance(event, TenderGone) and not isinstance(self.state, (Killing, Gone)):
            return self._kill(self.state.reason or BY_ITSELF)
        if isinstance(event, ChargeStarted) and isinstance(self.state, (Beginning, Waking)):
            self.state = Keeping()
            return [TellStatus()]
        if isinstance(event, ChargeRefused) and isinstance(self.state, Beginning):
            self.state = Gone("")
            return [Finish()]
        if isinstance(event, ChargeExited) and isinstance(self.state, (Beginning, Keeping, Ending)):
            return self._kill(self.state.reason if isinstance(self.state, Ending) else BY_ITSELF)
        if isinstance(event, TreeGone) and isinstance(self.state, Killing):
            self.state = Gone(self.state.reason)
            return [TellStatus(), Finish()]
        return []

    def _rest(self, event: SleepWanted | WakeWanted) -> list[KeepingCommand]:
        if isinstance(event, SleepWanted) and isinstance(self.state, Keeping):
            self.state = Clearing()
            return [KillAllBut(), TellStatus()]
        if isinstance(event, WakeWanted) and isinstance(self.state, Asleep):
            self.state = Waking()
            return [TellStatus()]
        return []

    def _not_woken(self, event: ChargeRefused | ChargeExited) -> list[KeepingCommand]:
        if isinstance(event, ChargeExited):
            return self._kill(BY_ITSELF)
        self.state = Asleep()  # what the warden started is worth more than one attempt
        return [TellStatus()]

    def _leased(self, event: LinkAttached | LinkDetached | LeaseSet, now: float) -> list[KeepingCommand]:
        if isinstance(event, LeaseSet):
            self.lease = event.seconds
            return [TellStatus()]
        self.attached += 1 if isinstance(event, LinkAttached) else -1
        if not self.attached:
            self._alone_since = now
        return [TellStatus()]

    def _passed(self, now: float) -> list[KeepingCommand]:
        due = self.due()
        if due is None or now < due:
            return []
        if isinstance(self.state, Ending):
            return self._kill(self.state.reason)
        return self._wanted(EndWanted(self._grace, LEASE), now)

    def _wanted(self, event: EndWanted, now: float) -> list[KeepingCommand]:
        if isinstance(self.state, Ending):
            self.state = Ending(self.state.reason, min(self.state.kill_at, now + event.grace))
            return self._passed(now)
        if isinstance(self.state, (Clearing, Asleep, Waking)):
            return self._kill(event.reason)
        if not isinstance(self.state, (Beginning, Keeping)):
            return []
        if event.grace <= 0:
            return self._kill(event.reason)
        self.state = Ending(event.reason, now + event.grace)
        return [SignalCharge(TERMINATE), TellStatus()]

    def _kill(self, reason: str) -> list[KeepingCommand]:
        self.state = Killing(reason)
        return [KillCharge(), TellStatus()]
