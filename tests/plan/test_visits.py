"""What is true of the records alone."""

from __future__ import annotations

from typing import get_args

import pytest

from moorage.plan.visits import Command, Event, OnTheWay, ServerGone, ServerReady, Standing


@pytest.mark.parametrize("record", [*get_args(Event), *get_args(Command), *get_args(Standing)])
def test_records_do_not_change(record: type) -> None:
    assert record.__struct_config__.frozen


def test_a_visitor_waits_for_what_is_neither_there_nor_gone() -> None:
    assert {*get_args(Standing)} - {*get_args(OnTheWay)} == {ServerReady, ServerGone}
