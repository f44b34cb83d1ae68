"""How many jobs run at once."""

from __future__ import annotations

import pytest

from moorage.plan.forecast import at_once
from moorage.plan.schedule import Job

FREE = [Job(name) for name in "abcdef"]
CHAIN = [Job("a"), Job("b", frozenset("a")), Job("c", frozenset("b"))]
FAN = [Job("a"), *(Job(name, frozenset("a")) for name in "bcd")]
WIDE = [Job(name, cores=2) for name in "abcd"]


@pytest.mark.parametrize(
    ("jobs", "slots", "most"),
    [
        (FREE, 2, 2),
        (FREE, 99, 6),
        (CHAIN, 8, 1),
        (FAN, 8, 3),
        (FAN, 2, 2),
        (WIDE, 4, 2),
        (WIDE, 1, 1),
        ([Job("a", expected=100.0), *CHAIN[1:], Job("d", expected=1.0)], 8, 2),
        ([], 4, 0),
    ],
)
def test_the_number_is_what_the_schedule_starts(jobs, slots, most):
    assert at_once(jobs, slots) == most
