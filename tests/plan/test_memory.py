"""How many servers memory can carry."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moorage.plan.memory import FEW, JUPYTER, LEAST_RESERVE, MOST_RESERVE, MemoryCount, average, expected

MIB, GIB = 1 << 20, 1 << 30


def test_an_empty_machine_carries_what_is_expected_beside_the_reserve() -> None:
    count = MemoryCount(total=16 * GIB, available=16 * GIB, expected=128 * MIB)
    assert (count.reserve, count.servers) == (GIB, 120)


def test_the_reserve_is_a_part_of_all_memory_within_bounds() -> None:
    reserves = [MemoryCount(total, 0, JUPYTER).reserve for total in (GIB, 8 * GIB, 1024 * GIB)]
    assert reserves == [LEAST_RESERVE, GIB // 2, MOST_RESERVE]


def test_what_old_servers_have_is_what_they_have() -> None:
    assert MemoryCount(16 * GIB, GIB + 5 * JUPYTER, JUPYTER, running=10).servers == 10 + 5


def test_what_young_servers_are_not_known_to_have_yet_is_set_aside() -> None:
    count = MemoryCount(16 * GIB, GIB + 5 * JUPYTER, JUPYTER, running=13, young=4, taken=JUPYTER // 2)
    assert count.promised == 2 * JUPYTER
    assert count.servers == 13 + 3


def test_young_servers_that_have_more_than_expected_are_promised_no_less_than_nothing() -> None:
    assert MemoryCount(16 * GIB, GIB, JUPYTER, running=9, young=9, taken=2 * JUPYTER).promised == 0


def test_those_that_run_count_where_nothing_is_left() -> None:
    assert MemoryCount(16 * GIB, 0, JUPYTER, running=11, young=1).servers == 11


def test_a_crowd_fills_memory_as_it_comes_and_not_beyond() -> None:
    total, running, has = 24 * GIB, 0, 0
    for step in range(40):
        count = MemoryCount(total, total - running * has, JUPYTER, running, running, has)
        running = min(running + 4, count.servers)
        has = min(JUPYTER, has + (5 << 20) * (step % 3))
    assert running * JUPYTER + count.reserve <= total
    assert (running + 1) * JUPYTER + count.reserve > total


def test_some_have_to_be_measured_before_they_tell_what_one_takes() -> None:
    assert expected([30 * MIB] * (FEW - 1), JUPYTER) == JUPYTER
    assert expected([30 * MIB] * FEW, JUPYTER) == 33 * MIB


def test_a_quarter_of_the_servers_may_take_more_than_expected() -> None:
    assert expected([40, 10, 30, 20, 70, 60, 50, 80], JUPYTER) == 77


def test_the_average_of_nothing_is_nothing() -> None:
    assert (average([]), average([4, 7])) == (0, 5)


@given(
    available=st.integers(0, 64 * GIB),
    one=st.integers(1, GIB),
    running=st.integers(0, 500),
    young=st.integers(0, 500),
    has=st.integers(0, GIB),
)
def test_what_is_let_in_fits(available: int, one: int, running: int, young: int, has: int) -> None:
    count = MemoryCount(64 * GIB, available, one, running, min(young, running), has)
    more = count.servers - running
    assert more >= 0
    assert more == 0 or more * one + count.promised + count.reserve <= available
