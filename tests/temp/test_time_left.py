"""What is left, and in which words."""

from __future__ import annotations

import pytest

from moorage.temp.time_left import TimeLeft, countdown, left, sooner


def test_a_period_without_end_has_none() -> None:
    assert left(0.0, 5.0, 9.0) == TimeLeft()
    assert TimeLeft().words == "It runs"


def test_it_is_told_in_time() -> None:
    assert left(7200.0, 100.0, 160.0) == TimeLeft(7140.0, 600.0)
    assert left(60.0, 100.0, 150.0, idle=True) == TimeLeft(10.0, 15.0, idle=True)
    assert left(60.0, 100.0, 900.0).seconds == 0.0


def test_what_is_sooner() -> None:
    never, soon, late = TimeLeft(), TimeLeft(0.0, idle=True), TimeLeft(9.0)
    assert sooner(never, late) == sooner(late, never) == late
    assert sooner(soon, late) == sooner(late, soon) == sooner(soon, never) == soon
    assert sooner(never, never) == never


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (TimeLeft(45.9), "It ends in 45 s"),
        (TimeLeft(600.0, idle=True), "It ends in 10 min, unless it is used"),
        (TimeLeft(ended="exit code 3"), "It has ended: exit code 3"),
    ],
)
def test_words(what: TimeLeft, words: str) -> None:
    assert what.words == words


def test_countdowns() -> None:
    assert [countdown(each) for each in (0, 89, 90, 3599, 7500)] == [
        "0 s",
        "89 s",
        "1 min",
        "59 min",
        "2 h 5 min",
    ]
