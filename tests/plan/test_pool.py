"""Every row of the table, and what holds whatever happens in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.plan.clock import Tick, WakeAt
from moorage.plan.pool import (
    LONGEST_PAUSE,
    PUT_OFF,
    Failed,
    Give,
    PoolPlan,
    RefuseWish,
    Resized,
    Settled,
    SpareDied,
    SpareReady,
    StartSpare,
    Wanted,
    Withdrawn,
)

OPEN = (Resized(2),)
FULL = (*OPEN, SpareReady(1), SpareReady(2))
WAITING = (*OPEN, Wanted(7))


def after(*events) -> PoolPlan:
    pool = PoolPlan()
    for event in events:
        pool.handle(event, 0.0)
    return pool


@pytest.mark.parametrize(
    ("before", "event", "commands"),
    [
        ((), Resized(2), [StartSpare(1), StartSpare(2)]),
        (OPEN, Resized(3), [StartSpare(3)]),
        (OPEN, Resized(0), []),
        (FULL, Resized(0), []),
        (FULL, Wanted(7), [Give(1, 7), WakeAt(PUT_OFF)]),
        ((*FULL, Wanted(7)), Settled(1), [StartSpare(3)]),
        ((*FULL, Wanted(7), Settled(1)), Settled(1), []),
        ((*FULL, Wanted(7)), Wanted(8), [Give(2, 8), WakeAt(PUT_OFF)]),
        ((*FULL, Wanted(7), Wanted(8)), Wanted(9), [StartSpare(3), StartSpare(4), StartSpare(5)]),
        ((*FULL, Wanted(7)), Resized(3), [StartSpare(3)]),
        (FULL, Settled(1), []),
        (OPEN, Wanted(7), [StartSpare(3)]),
        ((), Wanted(7), [StartSpare(1)]),
        (WAITING, SpareReady(2), [Give(2, 7)]),
        (OPEN, SpareReady(2), []),
        (WAITING, Failed(1), [RefuseWish(7, 1), WakeAt(0.5)]),
        (OPEN, Failed(1), [WakeAt(0.5)]),
        (FULL, SpareDied(1), [WakeAt(0.5)]),
        ((*FULL, Wanted(7)), SpareDied(1), []),
        ((*WAITING, Withdrawn(7)), SpareReady(1), []),
        ((*WAITING, Withdrawn(7)), Withdrawn(7), []),
        (OPEN, SpareReady(9), []),
        (OPEN, Failed(9), []),
    ],
)
def test_the_table(before, event, commands) -> None:
    assert after(*before).handle(event, 0.0) == commands


def test_starts_that_fail_in_a_row_come_ever_later_and_one_that_succeeds_ends_that() -> None:
    pool = PoolPlan()
    now, pauses = 0.0, []
    (start,) = pool.handle(Resized(1), now)
    for _ in range(9):
        (wake,) = pool.handle(Failed(start.spare), now)
        pauses.append(wake.at - now)
        assert pool.handle(Tick(), now) == []
        now = wake.at
        (start,) = pool.handle(Tick(), now)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert max(pauses) == LONGEST_PAUSE
    pool.handle(SpareReady(start.spare), now)
    assert pool.handle(SpareDied(start.spare), now) == [WakeAt(now + 0.5)]


def test_a_replacement_is_put_off_so_long_and_no_longer() -> None:
    pool = after(*FULL)
    assert pool.handle(Wanted(7), 1.0) == [Give(1, 7), WakeAt(1 + PUT_OFF)]
    assert pool.handle(Tick(), 1 + PUT_OFF / 2) == []
    assert pool.handle(Tick(), 1 + PUT_OFF) == [StartSpare(3)]
    assert pool.handle(Settled(1), 2.0) == []


def test_a_wish_is_worth_a_try_during_a_back_off() -> None:
    pool = PoolPlan()
    pool.handle(Resized(1), 0.0)
    pool.handle(Failed(1), 0.0)
    assert pool.handle(Wanted(7), 0.1) == [StartSpare(2)]


EVENTS = st.lists(
    st.one_of(
        st.builds(Wanted, st.integers(1, 5)),
        st.builds(Withdrawn, st.integers(1, 5)),
        st.builds(SpareReady, st.integers(1, 12)),
        st.builds(Failed, st.integers(1, 12)),
        st.builds(SpareDied, st.integers(1, 12)),
        st.builds(Settled, st.integers(1, 12)),
        st.just(Tick()),
    ),
    max_size=60,
)


@given(st.integers(0, 3), EVENTS)
def test_nothing_is_given_twice_and_every_wish_has_a_start_under_way(size, events) -> None:
    pool = PoolPlan()
    pool.handle(Resized(size), 0.0)
    wishes, given, answered, started, ended = set(), set(), set(), set(range(1, size + 1)), set()
    for now, event in enumerate(events, 1):
        if isinstance(event, Wanted):
            event = Wanted(100 * now + event.wish)  # each wish comes once  # noqa: PLW2901 - made unique
            wishes.add(event.wish)
        if isinstance(event, SpareReady | Failed) and event.spare in started:
            ended.add(event.spare)
        for command in pool.handle(event, float(now)):
            match command:
                case StartSpare(spare):
                    assert spare not in started
                    started.add(spare)
                case Give(spare, wish):
                    assert spare not in given
                    assert wish in wishes - answered
                    given.add(spare)
                    answered.add(wish)
                case RefuseWish(wish, _):
                    assert wish in wishes - answered
                    answered.add(wish)
                case WakeAt(at):
                    assert at > now
        assert len(started - ended) >= len(wishes - answered)
