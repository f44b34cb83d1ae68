"""How many servers memory can carry."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moorage.plan.memory import FEW, JUPYTER, LEAST_RESERVE, MOST_RESERVE, YOUNG, MemoryCount, expected

MIB, GIB = 1 << 20, 1 << 30
OLD = [YOUNG] * 10


def test_an_empty_machine_carries_what_is_expected_beside_the_reserve() -> None:
    count = MemoryCount(total=16 * GIB, available=16 * GIB, expected=128 * MIB)
    assert (count.reserve, count.servers) == (GIB, 120)


def test_the_reserve_is_a_part_of_all_memory_within_bounds() -> None:
    reserves = [MemoryCount(total, 0, JUPYTER).reserve for total in (GIB, 8 * GIB, 1024 * GIB)]
    assert reserves == [LEAST_RESERVE, GIB // 2, MOST_RESERVE]


def test_what_old_servers_have_is_what_they_have() -> None:
    assert MemoryCount(16 * GIB, GIB + 5 * JUPYTER, JUPYTER, OLD).servers == 10 + 5


def test_young_servers_have_what_they_may_still_take_set_aside() -> None:
    ages = [*OLD, 0.0, 0.0, YOUNG / 2]
    count = MemoryCount(16 * GIB, GIB + 5 * JUPYTER, JUPYTER, ages)
    assert count.promised == JUPYTER * 5 // 2
    assert count.servers == 13 + 2


def test_those_that_run_count_where_nothing_is_left() -> None:
    assert MemoryCount(16 * GIB, 0, JUPYTER, [0.0, *OLD]).servers == 11


def test_some_have_to_be_measured_before_they_tell_what_one_takes() -> None:
    assert expected([30 * MIB] * (FEW - 1), JUPYTER) == JUPYTER
    assert expected([30 * MIB] * FEW, JUPYTER) == 30 * MIB


def test_a_quarter_of_the_servers_may_take_more_than_expected() -> None:
    assert expected([40, 10, 30, 20, 70, 60, 50, 80], JUPYTER) == 70


@given(
    available=st.integers(0, 64 * GIB),
    one=st.integers(1, GIB),
    ages=st.lists(st.floats(0, 1e6), max_size=50),
)
def test_what_is_let_in_fits(available: int, one: int, ages: list[float]) -> None:
    count = MemoryCount(64 * GIB, available, one, ages)
    more = count.servers - len(ages)
    assert more >= 0
    assert more == 0 or more * one + count.promised + count.reserve <= available
