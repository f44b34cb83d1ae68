"""What a visitor reads of the brake."""

from __future__ import annotations

import pytest

from moorage.temp.brake_told import BrakeTold


@pytest.mark.parametrize("state", ["full", "lowered"])
def test_nothing_is_told_that_is_not_asked(state: str) -> None:
    assert BrakeTold(1200, state, 1300).words == ""


@pytest.mark.parametrize(("alone", "time"), [(75, "75 s"), (1530, "25 min"), (7300, "2 h 1 min")])
def test_the_question_says_for_how_long(alone: float, time: str) -> None:
    assert BrakeTold(1200, "asked", alone).words == (
        f"Your programs have computed for {time} without you, and have a smaller share of the processors now"
    )
