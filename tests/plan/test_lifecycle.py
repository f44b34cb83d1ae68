"""Every row of the table, and what holds whatever happens in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from moorage.plan.clock import Tick, WakeAt
from moorage.plan.lifecycle import (
    Answered,
    AskToStop,
    DeadlinePassed,
    Died,
    Exited,
    KillTree,
    Launch,
    Launched,
    Lifecycle,
    Lost,
    Registering,
    Restarting,
    RestartRequested,
    Running,
    Starting,
    StoodStill,
    Stopping,
    StopRequested,
    Terminate,
    WatcherLost,
)
from moorage.plan.restart import RestartPolicy

DIED = Died(3, None, out_of_memory=False, last_output="bye")


POLICY = RestartPolicy(most=2, within=10, starts=2, first_pause=4, longest_pause=4, answer_within=5)


def after(*events, policy=None) -> Lifecycle:
    kernel = Lifecycle(0.0, policy)
    for now, event in enumerate(events, 1):
        kernel.handle(event, float(now))
    return kernel


STARTING: tuple = ()
REGISTERING = (Launched(7),)
RUNNING = (*REGISTERING, Answered())
STOPPING = (*RUNNING, StopRequested(grace=100))
RESTARTING = (*RUNNING, RestartRequested())

KILLED = Stopping(9, 7, "killed", 9, 0, "request")
TERMINATED = Stopping(9, 7, "terminated", 11, 2, "deadline")


@pytest.mark.parametrize(
    ("before", "event", "status", "commands"),
    [
        (STARTING, Launched(7), Registering(9, 7), []),
        (REGISTERING, Answered(), Running(9, 7), []),
        (REGISTERING, StoodStill("stopped"), Registering(1, 7), []),
        (RUNNING, StoodStill("stopped"), Running(2, 7, "stopped"), []),
        ((*RUNNING, StoodStill("stopped")), StoodStill(""), Running(2, 7), []),
        ((*RUNNING, StoodStill("stopped")), StopRequested(at_once=True), KILLED, [KillTree()]),
        (
            RUNNING,
            StopRequested(grace=4),
            Stopping(9, 7, "asked", 13, 4, "request"),
            [AskToStop(), WakeAt(13)],
        ),
        (RUNNING, StopRequested(at_once=True), KILLED, [KillTree()]),
        (REGISTERING, StopRequested(), KILLED, [KillTree()]),
        (RESTARTING, StopRequested(), KILLED, [KillTree()]),
        (STOPPING, StopRequested(at_once=True), KILLED, [KillTree()]),
        (RUNNING, RestartRequested(), Restarting(9, 7), [KillTree()]),
        (REGISTERING, RestartRequested(), Restarting(9, 7), [KillTree()]),
        (RESTARTING, DIED, Starting(9), [Launch()]),
        (STOPPING, DIED, Exited(9, "code", 3, None, "bye", expected=True), []),
        (RUNNING, DIED, Exited(9, "code", 3, None, "bye", expected=False), []),
        (REGISTERING, DIED, Exited(9, "code", 3, None, "bye", expected=False), []),
        (RUNNING, DeadlinePassed(2), TERMINATED, [Terminate(), WakeAt(11)]),
        (STOPPING, DeadlinePassed(2), TERMINATED, [Terminate(), WakeAt(11)]),
        (STARTING, StopRequested(), Starting(0, to_end="request"), []),
        (STARTING, DeadlinePassed(), Starting(0, to_end="deadline"), []),
        (STARTING, WatcherLost(), Lost(9), []),
        (RUNNING, WatcherLost(), Lost(9), []),
        (STOPPING, WatcherLost(), Lost(9), []),
    ],
)
def test_the_table(before, event, status, commands):
    kernel = after(*before)
    assert kernel.handle(event, 9.0) == commands
    assert kernel.status == status


@pytest.mark.parametrize(
    ("before", "event"),
    [
        (STARTING, Answered()),
        (STARTING, Tick()),
        (STARTING, RestartRequested()),
        (RUNNING, Answered()),
        (RUNNING, Launched(8)),
        (RUNNING, Tick()),
        (STOPPING, RestartRequested()),
        (STOPPING, StopRequested()),
        (STOPPING, Launched(8)),
        (RESTARTING, RestartRequested()),
        (RESTARTING, Tick()),
    ],
)
def test_what_means_nothing_changes_nothing(before, event):
    kernel = after(*before)
    status = kernel.status
    assert kernel.handle(event, 9.0) == []
    assert kernel.status == status


def test_the_ladder_is_climbed_by_ticks():
    kernel = after(*RUNNING)
    kernel.handle(StopRequested(grace=1), 10.0)
    assert kernel.handle(Tick(), 11.0) == [Terminate(), WakeAt(12.0)]
    assert kernel.handle(Tick(), 12.0) == [KillTree()]
    assert kernel.handle(Tick(), 13.0) == []


def test_a_tick_too_early_asks_for_another():
    kernel = after(*RUNNING)
    kernel.handle(StopRequested(grace=1), 10.0)
    assert kernel.handle(Tick(), 10.9) == [WakeAt(11.0)]


@pytest.mark.parametrize("order", [StopRequested(), StopRequested(at_once=True), DeadlinePassed()])
def test_what_is_unwanted_before_there_is_a_process_is_killed_when_there_is_one(order):
    kernel = after(order)
    assert kernel.handle(Launched(7), 9.0) == [KillTree()]
    assert isinstance(kernel.status, Stopping)


@pytest.mark.parametrize(
    ("orders", "cause"),
    [
        ([StopRequested()], "request"),
        ([DeadlinePassed()], "deadline"),
        ([StopRequested(), DeadlinePassed()], "deadline"),
        ([DeadlinePassed(), StopRequested()], "deadline"),
        ([StopRequested(ask=False), DeadlinePassed()], "deadline"),
        ([DeadlinePassed(), StopRequested(at_once=True)], "deadline"),
    ],
)
@pytest.mark.parametrize("launched", ["before", "after"])
def test_a_deadline_stays_the_cause(orders, cause, launched):
    kernel = after(*RUNNING, *orders) if launched == "before" else after(*orders, Launched(7))
    assert isinstance(kernel.status, Stopping)
    assert kernel.status.cause == cause


def test_each_rung_of_a_kernel_has_the_grace_of_its_own_request():
    kernel = after(*RUNNING)
    kernel.handle(StopRequested(grace=1), 10.0)
    kernel.handle(DeadlinePassed(grace=3), 10.5)
    kernel.handle(StopRequested(grace=100), 10.6)
    assert kernel.status == Stopping(10.5, 7, "terminated", 13.5, 3, "deadline")


def test_a_second_deadline_postpones_nothing():
    kernel = after(*RUNNING, DeadlinePassed(2))
    assert kernel.handle(DeadlinePassed(1000), 9.0) == []
    assert kernel.handle(Tick(), 9.0) == [KillTree()]
    assert kernel.handle(DeadlinePassed(1000), 10.0) == []
    assert isinstance(kernel.status, Stopping)
    assert kernel.status.rung == "killed"


@pytest.mark.parametrize(
    ("died", "cause"),
    [
        (Died(0, None, out_of_memory=False, last_output=""), "code"),
        (Died(None, 11, out_of_memory=False, last_output=""), "signal"),
        (Died(None, 9, out_of_memory=True, last_output=""), "out of memory"),
    ],
)
def test_the_cause_is_reported(died, cause):
    assert after(*RUNNING, died).status.cause == cause


def test_a_deadline_is_a_cause_and_was_not_expected():
    status = after(*RUNNING, DeadlinePassed(), Died(None, 15, out_of_memory=False, last_output="")).status
    assert isinstance(status, Exited)
    assert (status.cause, status.expected) == ("deadline", False)


EVENTS = st.one_of(
    st.builds(Launched, st.integers(1, 9)),
    st.just(Answered()),
    st.builds(StopRequested, grace=st.floats(0, 10), at_once=st.booleans()),
    st.just(RestartRequested()),
    st.builds(DeadlinePassed, st.floats(0, 10)),
    st.just(DIED),
    st.just(WatcherLost()),
    st.just(Tick()),
)


@given(st.lists(st.tuples(EVENTS, st.floats(0, 5)), max_size=40))
def test_in_any_order_the_end_is_final_and_wakes_lie_ahead(history):
    kernel, now = Lifecycle(0.0), 0.0
    for event, pause in history:
        now += pause
        before = kernel.status
        commands = kernel.handle(event, now)
        if isinstance(before, Exited | Lost):
            assert (kernel.status, commands) == (before, [])
        assert all(command.at >= now for command in commands if isinstance(command, WakeAt))
        assert sum(isinstance(command, Launch) for command in commands) <= 1


@given(st.lists(EVENTS, max_size=30))
def test_in_any_order_a_kernel_that_is_to_stop_is_killed_in_the_end(history):
    """Wakes are honoured, the process ignores everything but SIGKILL."""
    kernel, now, wakes, killed = Lifecycle(0.0), 0.0, [], False
    for event in history:
        if isinstance(event, Died) and not killed:
            continue
        now += 0.1
        for command in kernel.handle(event, now):
            wakes += [command.at] if isinstance(command, WakeAt) else []
            killed = killed or isinstance(command, KillTree)
        killed = killed and not isinstance(kernel.status, Starting)
    for _ in range(200):
        if not wakes:
            break
        now = max(now, wakes.pop(0))
        for command in kernel.handle(Tick(), now):
            wakes += [command.at] if isinstance(command, WakeAt) else []
            killed = killed or isinstance(command, KillTree)
    if isinstance(kernel.status, Stopping):
        assert killed
        assert kernel.status.rung == "killed"


@given(st.lists(EVENTS, max_size=30))
def test_a_rung_is_never_descended(history):
    rungs = ("asked", "terminated", "killed")
    kernel = Lifecycle(0.0)
    for now, event in enumerate(history):
        before = kernel.status
        kernel.handle(event, float(now))
        if isinstance(before, Stopping) and isinstance(kernel.status, Stopping):
            assert rungs.index(kernel.status.rung) >= rungs.index(before.rung)


@pytest.mark.parametrize("before", [(Launched(7),), (Launched(7), Answered())])
def test_without_being_asked_it_is_terminated_first(before):
    kernel = after(*before)
    assert kernel.handle(StopRequested(5.0, ask=False), 10.0) == [Terminate(), WakeAt(15.0)]
    assert kernel.status == Stopping(10.0, 7, "terminated", 15.0, 5.0, "request")
    assert kernel.handle(Tick(), 15.0) == [KillTree()]
    kernel.handle(DIED, 16.0)
    assert isinstance(kernel.status, Exited)
    assert kernel.status.expected
    assert kernel.status.cause == "code"


# -- a kernel with a policy ------------------------------------------------------------------------

KILLED_BY_9 = Died(None, 9, out_of_memory=False, last_output="bye")
DEATH = Exited(9, "code", 3, None, "bye", expected=False)
WAITING = (*RUNNING, DIED)  # died at 3, and is started again at once
STARTED_AGAIN = (*WAITING, Tick(), Launched(8))  # at 4 and at 5
SECOND_DEATH = (*STARTED_AGAIN, Answered(), DIED)  # at 6 and at 7, to be started again at 11


@pytest.mark.parametrize(
    ("before", "event", "status", "commands"),
    [
        (STARTING, Launched(7), Registering(9, 7), []),
        (REGISTERING, DIED, DEATH, []),
        (RUNNING, DIED, Restarting(9, 7, DEATH, at=9), [WakeAt(9)]),
        (
            RUNNING,
            KILLED_BY_9,
            Restarting(9, 7, Exited(9, "signal", None, 9, "bye", False), at=9),
            [WakeAt(9)],
        ),
        (WAITING, Tick(), Starting(9, answer_within=5), [Launch()]),
        (WAITING, RestartRequested(), Starting(9, answer_within=5), [Launch()]),
        (WAITING, StopRequested(), replace(DEATH, expected=True), []),
        (WAITING, StopRequested(at_once=True), replace(DEATH, expected=True), []),
        (WAITING, DeadlinePassed(), replace(DEATH, cause="deadline"), []),
        (WAITING, WatcherLost(), Lost(9), []),
        ((*WAITING, Tick()), Launched(8), Registering(9, 8, answer_by=14), [WakeAt(14)]),
        ((*WAITING, Tick()), StopRequested(), Starting(4, "request", answer_within=5), []),
        (STARTED_AGAIN, Answered(), Running(9, 8), []),
        (STARTED_AGAIN, Tick(), Registering(5, 8, answer_by=10), [WakeAt(10)]),
        (STARTED_AGAIN, DIED, Restarting(9, 8, DEATH, at=13), [WakeAt(13)]),
        (STARTED_AGAIN, RestartRequested(), Restarting(9, 8), [KillTree()]),
        ((*RUNNING, RestartRequested()), DIED, Starting(9, answer_within=5), [Launch()]),
        (SECOND_DEATH, Tick(), Restarting(7, 8, replace(DEATH, since=7), at=11), [WakeAt(11)]),
        (SECOND_DEATH, RestartRequested(), Starting(9, answer_within=5), [Launch()]),
        (SECOND_DEATH, StopRequested(), replace(DEATH, expected=True), []),
        (STOPPING, DIED, replace(DEATH, expected=True), []),
        ((*RUNNING, DeadlinePassed()), DIED, replace(DEATH, cause="deadline"), []),
        (RUNNING, replace(DIED, announced=True), replace(DEATH, expected=True), []),
    ],
)
def test_the_table_of_a_kernel_with_a_policy(before, event, status, commands):
    kernel = after(*before, policy=POLICY)
    assert kernel.handle(event, 9.0) == commands
    assert kernel.status == status


def test_one_that_dies_too_often_is_given_up_with_the_reason():
    kernel = after(*SECOND_DEATH, policy=POLICY)
    kernel.handle(Tick(), 11.0)
    for event in (Launched(9), Answered(), DIED):
        kernel.handle(event, 12.0)
    why = "it was restarted twice within 10 s of running"
    assert kernel.status == replace(DEATH, since=12, gave_up=why)


def test_one_that_dies_while_starting_too_often_is_given_up_with_the_reason():
    kernel = after(*STARTED_AGAIN, DIED, policy=POLICY)
    kernel.handle(Tick(), 10.0)
    kernel.handle(Launched(9), 10.0)
    kernel.handle(DIED, 11.0)
    why = "it has ended twice in a row before it answered"
    assert kernel.status == replace(DEATH, since=11, gave_up=why)


def silent() -> Lifecycle:
    """A kernel that was started again, has not answered, and is being killed for that."""
    kernel = after(*STARTED_AGAIN, policy=POLICY)
    assert kernel.handle(Tick(), 10.0) == [KillTree()]
    assert kernel.status == Stopping(10, 8, "killed", 10, 0, "no answer")
    return kernel


def test_one_that_does_not_answer_in_time_is_killed_and_has_died():
    kernel = silent()
    assert kernel.handle(KILLED_BY_9, 11.0) == [WakeAt(15)]
    assert kernel.status == Restarting(11, 8, Exited(11, "deadline", None, 9, "bye", False), at=15)


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (StopRequested(), Exited(12, "signal", None, 9, "bye", expected=True)),
        (DeadlinePassed(), Exited(12, "deadline", None, 9, "bye", expected=False)),
        (RestartRequested(), Starting(12, answer_within=5)),
    ],
)
def test_what_is_wanted_of_one_that_is_killed_for_its_silence_counts(event, status):
    kernel = silent()
    assert kernel.handle(event, 11.0) == []
    kernel.handle(KILLED_BY_9, 12.0)
    assert kernel.status == status


def test_a_restart_by_hand_lets_the_policy_begin_anew():
    kernel = after(*SECOND_DEATH, RestartRequested(), Launched(9), Answered(), DIED, policy=POLICY)
    assert isinstance(kernel.status, Restarting)
    assert kernel.status.at == kernel.status.since


@given(st.lists(st.tuples(EVENTS, st.floats(0, 5)), max_size=60))
def test_with_a_policy_in_any_order_the_end_is_final_and_each_start_has_its_reason(history):
    kernel, now = Lifecycle(0.0, POLICY), 0.0
    for event, pause in history:
        now += pause
        before = kernel.status
        commands = kernel.handle(event, now)
        if isinstance(before, Exited | Lost):
            assert (kernel.status, commands) == (before, [])
        assert all(command.at >= now for command in commands if isinstance(command, WakeAt))
        assert (Launch() in commands) == (
            isinstance(before, Restarting) and isinstance(kernel.status, Starting)
        )
        if isinstance(kernel.status, Restarting) and kernel.status.death is not None:
            assert not kernel.status.death.expected
        if isinstance(kernel.status, Exited) and kernel.status.gave_up:
            assert not kernel.status.expected


@given(st.lists(st.sampled_from([DIED, Tick(), Answered(), Launched(1)]), max_size=200))
def test_a_kernel_with_a_policy_always_waits_for_something(history):
    """It is at work, has ended, or a tick is due: no sequence leaves it waiting for ever."""
    kernel, now, wakes = Lifecycle(0.0, POLICY), 0.0, set()
    kernel.handle(Launched(1), now)
    kernel.handle(Answered(), now)
    for event in history:
        if isinstance(event, Tick):
            if not wakes:
                continue
            now = max(now, min(wakes))
            wakes.discard(min(wakes))
        wakes |= {command.at for command in kernel.handle(event, now) if isinstance(command, WakeAt)}
        match kernel.status:
            case Restarting(death=Exited(), at=at):
                assert at in wakes
            case Registering(answer_by=float(at)):
                assert at in wakes
