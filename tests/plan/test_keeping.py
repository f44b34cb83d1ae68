"""What a keeper decides: its states, its lease, its grace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.plan.keeping import (
    Beginning,
    ChargeExited,
    ChargeRefused,
    ChargeStarted,
    EndWanted,
    Finish,
    Gone,
    KeepingPlan,
    KillCharge,
    LeaseSet,
    LinkAttached,
    LinkDetached,
    SignalCharge,
    SleepWanted,
    TellStatus,
    TenderGone,
    TimePassed,
    TreeGone,
    WakeWanted,
)


def play(plan: KeepingPlan, *script) -> list[str]:
    """Apply events at times; return state and commands after each."""
    found = []
    for now, event in script:
        commands = plan.handle(event, now)
        names = [type(each).__name__ for each in commands]
        found.append(" ".join([plan.state.name, *names]))
    return found


def running(lease: float = 0, grace: float = 5) -> KeepingPlan:
    plan = KeepingPlan(lease, grace, 0)
    plan.handle(ChargeStarted(), 0)
    return plan


def test_a_charge_that_ends_by_itself():
    plan = KeepingPlan(0, 5, 0)
    assert play(plan, (0, ChargeStarted()), (1, ChargeExited()), (2, TreeGone())) == [
        "running TellStatus",
        "killing KillCharge TellStatus",
        "ended TellStatus Finish",
    ]
    assert plan.state.reason == "exit"
    assert plan.due() is None


def test_a_charge_that_cannot_be_started():
    plan = KeepingPlan(10, 5, 0)
    assert play(plan, (0, ChargeRefused()), (99, TimePassed()), (99, EndWanted(1))) == [
        "ended Finish",
        "ended",
        "ended",
    ]


def test_the_end_has_a_grace_which_is_only_shortened():
    plan = running()
    (term, _) = plan.handle(EndWanted(5), 10)
    assert isinstance(term, SignalCharge)
    assert term.signum == 15
    assert plan.due() == 15
    assert (
        play(plan, (11, EndWanted(60, "keeper")), (12, EndWanted(1)), (12.9, TimePassed())) == ["ending"] * 3
    )
    assert play(plan, (13, TimePassed()), (13, TimePassed()), (13, EndWanted(0))) == [
        "killing KillCharge TellStatus",
        "killing",
        "killing",
    ]
    assert play(plan, (14, ChargeExited()), (14, TreeGone())) == ["killing", "ended TellStatus Finish"]
    assert plan.state.reason == "asked"


@pytest.mark.parametrize("before", [[], [ChargeStarted()], [ChargeStarted(), EndWanted(9)]])
def test_no_grace_kills_at_once(before):
    plan = KeepingPlan(0, 5, 0)
    for event in before:
        plan.handle(event, 0)
    assert [type(each) for each in plan.handle(EndWanted(0), 1)] == [KillCharge, TellStatus]


def test_the_lease_runs_while_nothing_is_attached():
    plan = running(lease=10)
    assert plan.due() == 10
    play(plan, (1, LinkAttached()), (2, LinkAttached()))
    assert plan.due() is None
    play(plan, (3, LinkDetached()))
    assert plan.due() is None
    play(plan, (50, LinkDetached()))
    assert plan.due() == plan.lease_over() == 60
    assert play(plan, (59.9, TimePassed()), (60, TimePassed())) == [
        "running",
        "ending SignalCharge TellStatus",
    ]
    assert plan.due() == 65
    assert plan.state.reason == "lease"


def test_another_lease_counts_from_when_the_last_link_left():
    plan = running(lease=10)
    play(plan, (5, LeaseSet(6)))
    assert plan.due() == 6
    play(plan, (5, LeaseSet(0)))
    assert plan.due() is None
    assert play(plan, (7, LeaseSet(6)), (7, TimePassed())) == [
        "running TellStatus",
        "ending SignalCharge TellStatus",
    ]


def test_what_has_begun_to_end_is_not_saved_by_a_link():
    plan = running(lease=1)
    plan.handle(TimePassed(), 1)
    play(plan, (2, LinkAttached()))
    assert plan.due() == 6


EVENTS = st.sampled_from(
    [
        ChargeStarted(),
        ChargeExited(),
        TreeGone(),
        TimePassed(),
        EndWanted(0),
        EndWanted(3, "keeper"),
        LeaseSet(4),
    ]
)


@given(st.lists(st.tuples(st.floats(0, 5), EVENTS)))
def test_whatever_comes_it_finishes_once_and_never_goes_back(script):
    order = ["starting", "running", "ending", "killing", "ended"]
    plan = KeepingPlan(7, 2, 0)
    assert isinstance(plan.state, Beginning)
    now, finished, last = 0.0, 0, 0
    for seconds, event in script:
        now += seconds
        finished += sum(isinstance(each, Finish) for each in plan.handle(event, now))
        at = order.index(plan.state.name)
        assert at >= last
        last = at
    assert finished == isinstance(plan.state, Gone)


def test_a_charge_sleeps_and_wakes():
    assert play(
        running(),
        (1, WakeWanted()),
        (1, SleepWanted()),
        (1, ChargeExited()),
        (2, TreeGone()),
        (2, SleepWanted()),
        (3, WakeWanted()),
        (3, ChargeStarted()),
    ) == [
        "running",
        "clearing KillAllBut TellStatus",
        "clearing",
        "asleep TellStatus",
        "asleep",
        "waking TellStatus",
        "running TellStatus",
    ]


def test_a_charge_that_cannot_be_started_again_sleeps_on():
    script = (1, SleepWanted()), (1, TreeGone()), (1, WakeWanted()), (2, ChargeRefused()), (3, WakeWanted())
    assert play(running(), *script)[-2:] == ["asleep TellStatus", "waking TellStatus"]


@pytest.mark.parametrize("failure", [ChargeExited(), EndWanted(9)])
def test_a_charge_that_does_not_wake_is_over(failure):
    script = (1, SleepWanted()), (1, TreeGone()), (1, WakeWanted()), (2, failure), (3, TreeGone())
    assert play(running(), *script)[-2:] == ["killing KillCharge TellStatus", "ended TellStatus Finish"]


@pytest.mark.parametrize("steps", [1, 2])
def test_a_charge_that_falls_asleep_or_sleeps_is_ended_at_once(steps):
    script = [(1, SleepWanted()), (1, TreeGone())][:steps]
    assert play(running(), *script, (2, EndWanted(99)))[-1] == "killing KillCharge TellStatus"


def test_the_lease_of_a_sleeping_charge_runs_out():
    plan = running(lease=10)
    play(plan, (0, LinkAttached()), (1, SleepWanted()), (1, TreeGone()), (2, LinkDetached()))
    assert plan.due() == 12
    assert play(plan, (11, TimePassed()), (12, TimePassed())) == ["asleep", "killing KillCharge TellStatus"]
    assert plan.state.reason == "lease"


@pytest.mark.parametrize("before", [(), (SleepWanted(),), (SleepWanted(), TreeGone()), (EndWanted(5),)])
def test_without_what_tends_it_there_is_none_whatever_it_was_doing(before):
    plan = running()
    for event in before:
        plan.handle(event, 1)
    reason = plan.state.reason or "exit"
    assert play(plan, (2, TenderGone()), (2, TenderGone()), (3, TreeGone()), (4, TenderGone())) == [
        "killing KillCharge TellStatus",
        "killing",
        "ended TellStatus Finish",
        "ended",
    ]
    assert plan.state.reason == reason
