"""Every row of the table, and what holds whatever happens in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    Stopping,
    StopRequested,
    Terminate,
    WatcherLost,
)

DIED = Died(3, None, out_of_memory=False, last_output="bye")


def after(*events) -> Lifecycle:
    kernel = Lifecycle(0.0)
    for now, event in enumerate(events, 1):
        kernel.handle(event, float(now))
    return kernel


STARTING: tuple = ()
REGISTERING = (Launched(7),)
RUNNING = (*REGISTERING, Answered())
STOPPING = (*RUNNING, StopRequested(grace=100))
RESTARTING = (*RUNNING, RestartRequested())


@pytest.mark.parametrize(
    ("before", "event", "status", "commands"),
    [
        (STARTING, Launched(7), Registering(9, 7), []),
        (REGISTERING, Answered(), Running(9, 7), []),
        (RUNNING, StopRequested(grace=4), Stopping(9, 7, "asked", 13), [AskToStop(), WakeAt(13)]),
        (RUNNING, StopRequested(at_once=True), Stopping(9, 7, "killed", 9), [KillTree()]),
        (REGISTERING, StopRequested(), Stopping(9, 7, "killed", 9), [KillTree()]),
        (RESTARTING, StopRequested(), Stopping(9, 7, "killed", 9), [KillTree()]),
        (STOPPING, StopRequested(at_once=True), Stopping(9, 7, "killed", 9), [KillTree()]),
        (RUNNING, RestartRequested(), Restarting(9, 7), [KillTree()]),
        (REGISTERING, RestartRequested(), Restarting(9, 7), [KillTree()]),
        (RESTARTING, DIED, Starting(9), [Launch()]),
        (STOPPING, DIED, Exited(9, "code", 3, None, "bye", expected=True), []),
        (RUNNING, DIED, Exited(9, "code", 3, None, "bye", expected=False), []),
        (REGISTERING, DIED, Exited(9, "code", 3, None, "bye", expected=False), []),
        (RUNNING, DeadlinePassed(2), Stopping(9, 7, "terminated", 11), [Terminate(), WakeAt(11)]),
        (STOPPING, DeadlinePassed(2), Stopping(9, 7, "terminated", 11), [Terminate(), WakeAt(11)]),
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
    assert kernel.status == Stopping(10.0, 7, "terminated", 15.0)
    assert kernel.handle(Tick(), 15.0) == [KillTree()]
    kernel.handle(DIED, 16.0)
    assert isinstance(kernel.status, Exited)
    assert kernel.status.expected
    assert kernel.status.cause == "code"
