"""Pauses that double."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moorage.plan.backoff import pause


def test_each_pause_is_twice_the_one_before_up_to_the_longest():
    assert [pause(0.5, 3.0, failures) for failures in range(6)] == [0, 0.5, 1.0, 2.0, 3.0, 3.0]


@given(st.floats(0, 10), st.floats(0, 100), st.integers(0, 10**30))
def test_however_many_have_failed_it_is_at_most_the_longest(first, longest, failures):
    assert 0 <= pause(first, longest, failures) <= longest
