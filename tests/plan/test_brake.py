"""When a server that computes without its visitor gets a smaller share, is asked, and has the whole again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.plan.brake import (
    Acted,
    AskVisitor,
    Brake,
    FullShare,
    LowerShare,
    Measured,
    RaiseShare,
    ShareAsked,
    ShareLowered,
    State,
    look_every,
)

AFTER = 1200.0


class Machine:
    """A brake, and a program whose processor time is counted."""

    def __init__(self, after: float = AFTER, processors: float = 1.0, state: State | None = None) -> None:
        self.brake = Brake(after, processors, state or FullShare())
        self.now, self.used, self.waited = 1000.0, 5.0, 0.0
        self.said = [*self.brake.handle(Measured(self.used, self.waited), self.now)]

    def run(self, seconds: float, used: float = 1.0, waited: float = 0.0, step: float = 30.0) -> list[object]:
        """Let time go by in which a program uses a part of a processor, and waits for one."""
        said: list[object] = []
        until = self.now + seconds
        while self.now < until:
            part = min(step, until - self.now)
            self.now += part
            self.used += used * part
            self.waited += waited * part
            said += self.brake.handle(Measured(self.used, self.waited), self.now)
        return said

    def act(self) -> list[object]:
        return [*self.brake.handle(Acted(), self.now)]


def test_a_long_full_load_lowers_the_share_and_then_asks() -> None:
    machine = Machine()
    assert machine.said == []
    assert machine.run(AFTER - 30) == []
    assert machine.run(30) == [LowerShare()]
    assert machine.brake.state == ShareLowered(machine.now)
    assert machine.run(AFTER / 4 - 30, used=0.1) == []
    assert machine.run(30, used=0.1) == [AskVisitor()]
    assert machine.brake.state == ShareAsked(machine.now)
    assert machine.run(10 * AFTER, used=0.1) == []
    assert machine.brake.alone_for(machine.now) == 11.25 * AFTER


@pytest.mark.parametrize("before", [0, 600, AFTER, 2 * AFTER])
def test_what_the_visitor_does_gives_the_whole_share_back_and_begins_anew(before: float) -> None:
    machine = Machine()
    machine.run(before)
    assert machine.act() == ([RaiseShare()] if before >= AFTER else [])
    assert machine.brake.state == FullShare()
    assert machine.brake.alone_for(machine.now) == 0
    assert machine.run(AFTER - 30) == []
    assert machine.run(30) == [LowerShare()]


def test_a_visitor_that_is_there_is_never_braked() -> None:
    machine = Machine()
    for _ in range(100):
        assert machine.run(AFTER / 2) == []
        assert machine.act() == []


@pytest.mark.parametrize(("used", "waited"), [(4.0, 0.0), (0.9, 0.0), (0.5, 0.4), (0.1, 3.0)])
def test_time_spent_waiting_for_a_processor_is_load(used: float, waited: float) -> None:
    assert Machine().run(AFTER, used, waited) == [LowerShare()]


@pytest.mark.parametrize(("used", "waited"), [(0.0, 0.0), (0.89, 0.0), (0.5, 0.3)])
def test_less_than_a_whole_processor_is_none(used: float, waited: float) -> None:
    assert Machine().run(10 * AFTER, used, waited) == []


def test_under_a_cap_the_cap_is_the_whole() -> None:
    assert Machine(processors=0.25).run(AFTER, 0.22) == []
    assert Machine(processors=0.25).run(AFTER, 0.23) == [LowerShare()]


def test_a_pause_takes_off_as_much_as_it_lasts() -> None:
    machine = Machine()
    machine.run(AFTER - 60)
    machine.run(30, used=0.0)
    assert machine.run(60) == []
    assert machine.run(30) == [LowerShare()]


def test_a_braked_program_that_gets_little_is_not_at_rest() -> None:
    machine = Machine()
    machine.run(AFTER)
    assert machine.run(10 * AFTER, used=0.01, waited=0.2) == [AskVisitor()]


def test_a_program_that_has_ended_gets_the_whole_share_back() -> None:
    machine = Machine()
    machine.run(2 * AFTER)
    assert machine.run(AFTER - 30, used=0.01) == []
    assert machine.run(30, used=0.01) == [RaiseShare()]
    assert machine.brake.state == FullShare()
    assert machine.brake.alone_for(machine.now) == 0


def test_a_rest_is_asked_nothing() -> None:
    machine = Machine()
    machine.run(AFTER)
    assert machine.run(AFTER / 2, used=0.0) == []
    assert machine.run(30) == [AskVisitor()]


def test_a_question_without_an_answer_ends_the_reprieve() -> None:
    machine = Machine()
    assert machine.brake.reprieves(machine.now)
    machine.run(1.25 * AFTER)
    assert isinstance(machine.brake.state, ShareAsked)
    machine.run(AFTER - 30)
    assert machine.brake.reprieves(machine.now)
    machine.run(30)
    assert not machine.brake.reprieves(machine.now)
    machine.act()
    assert machine.brake.reprieves(machine.now)


def test_a_share_that_an_earlier_service_has_lowered_is_asked_about_and_raised() -> None:
    machine = Machine(state=ShareLowered(1000.0))
    assert machine.brake.alone_for(machine.now) == AFTER
    assert machine.run(AFTER / 4) == [AskVisitor()]
    assert machine.act() == [RaiseShare()]


def test_a_look_that_comes_late_counts_what_went_by() -> None:
    assert Machine().run(AFTER, step=AFTER) == [LowerShare()]


def test_a_counter_that_begins_anew_is_no_load() -> None:
    machine = Machine()
    machine.run(AFTER - 30)
    machine.used = -30.0
    assert machine.run(30) == []


@pytest.mark.parametrize(("after", "seconds"), [(2, 1), (60, 3), (1200, 30), (86400, 30)])
def test_looks_are_bounded(after: float, seconds: float) -> None:
    assert look_every(after) == seconds


@given(
    st.lists(
        st.one_of(st.just(None), st.tuples(st.floats(0, 4000), st.floats(0, 4), st.floats(0, 4))),
        max_size=60,
    )
)
def test_shares_are_lowered_and_raised_in_turn_and_no_act_leaves_one_lowered(
    steps: list[tuple[float, float, float] | None],
) -> None:
    machine, lowered = Machine(), False
    for each in steps:
        for said in machine.act() if each is None else machine.run(*each, step=4000):
            if not isinstance(said, AskVisitor):
                assert isinstance(said, LowerShare) is not lowered
                lowered = not lowered
            else:
                assert lowered
        assert lowered is not isinstance(machine.brake.state, FullShare)
        assert not (each is None and lowered)
