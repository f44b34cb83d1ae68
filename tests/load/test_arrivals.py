"""When visitors come."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.load.arrivals import arrivals, pauses


@given(st.lists(st.floats(0, 1), min_size=2), st.floats(0, 1e4, allow_subnormal=False))
def test_the_first_comes_at_once_and_all_come_in_time(draws: list[float], within: float) -> None:
    times = arrivals(draws, within)
    assert len(times) == len(draws)
    assert times == sorted(times)
    assert times[0] == 0
    assert times[-1] <= within * (1 + 1e-9)


def test_few() -> None:
    assert arrivals([], 10) == []
    assert arrivals([0.7], 10) == [0.0]
    assert arrivals([0.5, 0.25, 0.75], 10) == [0.0, 5.0, 10.0]


def test_pauses_are_around_their_average() -> None:
    assert list(islice(pauses(iter([0.0, 0.5, 1.0]), 10), 3)) == pytest.approx([5, 10, 15])
