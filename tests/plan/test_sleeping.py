"""When a server sleeps and when it is woken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.plan.sleeping import (
    ActSeen,
    Answers,
    AskIt,
    EndProcess,
    FoundInUse,
    LetGo,
    Looked,
    NotStarted,
    ProcessEnded,
    Refuse,
    RouteHeld,
    ServerAsked,
    ServerAsleep,
    ServerAwake,
    ServerLeaving,
    ServerWaking,
    Sleep,
    StartProcess,
)


def asleep() -> Sleep:
    return Sleep(60, ServerAsleep())


def test_what_was_not_used_for_so_long_is_asked_once() -> None:
    sleep = Sleep(60, ServerAwake(100))
    assert sleep.handle(Looked(0), 159) == []
    assert sleep.handle(Looked(150), 160) == []
    assert sleep.handle(Looked(100), 160) == [AskIt()]
    assert sleep.handle(Looked(100), 161) == []
    assert sleep.state == ServerAsked()


def test_what_is_in_use_counts_from_then_on() -> None:
    sleep = Sleep(60, ServerAsked())
    assert sleep.handle(FoundInUse(), 200) == []
    assert sleep.handle(Looked(0), 259) == []
    assert sleep.handle(Looked(0), 260) == [AskIt()]


def test_it_sleeps_and_is_woken_once_by_many_acts() -> None:
    sleep = Sleep(60, ServerAsked())
    assert sleep.handle(RouteHeld(), 1) == [EndProcess()]
    assert sleep.handle(ProcessEnded(), 2) == []
    assert sleep.state == ServerAsleep()
    assert [sleep.handle(ActSeen(), 3) for _ in range(3)] == [[StartProcess()], [], []]
    assert sleep.handle(Answers(), 4) == [LetGo()]
    assert sleep.state == ServerAwake(4)
    assert sleep.handle(ActSeen(), 5) == []


def test_an_act_while_it_falls_asleep_wakes_it_then() -> None:
    sleep = Sleep(60, ServerAsked())
    sleep.handle(RouteHeld(), 1)
    assert sleep.handle(ActSeen(), 1) == []
    assert sleep.state == ServerLeaving(wanted=True)
    assert sleep.handle(ProcessEnded(), 2) == [StartProcess()]
    assert sleep.state == ServerWaking()


def test_what_cannot_be_started_is_refused_and_tried_again_at_the_next_act() -> None:
    sleep = asleep()
    sleep.handle(ActSeen(), 1)
    assert sleep.handle(NotStarted("no memory"), 2) == [Refuse("no memory")]
    assert sleep.handle(ActSeen(), 3) == [StartProcess()]


@pytest.mark.parametrize(
    "state", [ServerAwake(0), ServerAsked(), ServerLeaving(), ServerAsleep(), ServerWaking()]
)
def test_events_that_say_nothing_of_a_state_change_nothing(state) -> None:
    known = {
        ServerAwake: (Looked,),
        ServerAsked: (FoundInUse, RouteHeld),
        ServerLeaving: (ActSeen, ProcessEnded),
        ServerAsleep: (ActSeen,),
        ServerWaking: (Answers, NotStarted),
    }[type(state)]
    events = (Looked(0), FoundInUse(), RouteHeld(), ActSeen(), ProcessEnded(), Answers(), NotStarted("x"))
    for event in events:
        if not isinstance(event, known):
            sleep = Sleep(60, state)
            assert sleep.handle(event, 1000) == []
            assert sleep.state == state


EVENTS = st.sampled_from(
    [Looked(0), FoundInUse(), RouteHeld(), ActSeen(), ProcessEnded(), Answers(), NotStarted("x")]
)


@given(st.lists(EVENTS, max_size=40))
def test_no_process_is_started_twice_or_ended_while_there_is_none(events) -> None:
    sleep, runs = Sleep(1, ServerAwake(0)), True
    for now, event in enumerate(events):
        for command in sleep.handle(event, 10 * now):
            if isinstance(command, EndProcess):
                assert runs
                runs = False
            elif isinstance(command, StartProcess):
                assert not runs
                runs = True
            elif isinstance(command, Refuse):
                runs = False
