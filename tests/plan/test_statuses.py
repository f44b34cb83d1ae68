"""Statuses as records; what follows what is tested with the machine."""

from __future__ import annotations

from typing import get_args

from moorage.plan import lifecycle, statuses


def test_the_machine_has_them_all_under_its_own_name():
    for status in get_args(statuses.Status):
        assert getattr(lifecycle, status.__name__) is status


def test_one_that_runs_is_not_stopped():
    assert statuses.Running(1.0, 7) == statuses.Running(1.0, 7, stopped="")
