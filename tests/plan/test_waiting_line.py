"""Places in the queue."""

from __future__ import annotations

import pytest

from moorage.plan.waiting_line import LAPSE, WaitingLine


def test_places_are_those_of_coming_and_move_up() -> None:
    line = WaitingLine()
    for visitor in ("a", "b", "c"):
        line.join(visitor, 0.0)
    line.join("z", 0.0, first=True)
    assert [*line] == ["z", "a", "b", "c"]
    assert [line.place(each) for each in line] == [1, 2, 3, 4]
    line.leave("a")
    line.leave("x")
    assert (line.place("b"), len(line), "a" in line) == (2, 3, False)
    with pytest.raises(ValueError, match="not in list"):
        line.place("a")


def test_a_visitor_that_stops_asking_is_gone_and_asking_keeps_its_place() -> None:
    line = WaitingLine()
    line.join("a", 0.0)
    line.join("b", 0.0)
    line.asked("b", LAPSE)
    line.asked("c", LAPSE)
    assert line.gone(LAPSE) == []
    assert line.gone(LAPSE + 1) == ["a"]
    assert [*line] == ["a", "b"]


def test_a_visitor_whose_turn_it_was_is_called_until_it_comes() -> None:
    line = WaitingLine()
    line.join("a", 0.0)
    line.call("a")
    assert ([*line], line.called) == ([], {"a"})
    line.asked("a", 1.0)
    assert ([*line], line.called) == ([], set())
