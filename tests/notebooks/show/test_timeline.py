from __future__ import annotations

import pytest

from moorage.notebooks.show.record import RunRecord
from moorage.notebooks.show.timeline import timeline
from notebooks.made_up import ALL, CACHED, DIED, FAILED, OK, SKIPPED, run


def drawn(*outcomes):
    record = RunRecord()
    for event in run(*outcomes):
        record.handle(event)
    return timeline(record, {done.source: f"n{at}" for at, done in enumerate(outcomes)})


def test_bars_stand_where_and_when_notebooks_ran():
    found = drawn(OK, FAILED, CACHED, SKIPPED)
    assert found.lanes == 2
    first, second = found.bars
    span = 0.5 + 12.34
    assert (first.lane, second.lane) == (0, 1)
    assert first.left == pytest.approx(100 * 0.5 / span)
    assert first.width == pytest.approx(100 * 12.34 / span)
    assert (first.kind, first.bad, first.target) == ("ok", False, "n0")
    assert (second.kind, second.bad, second.target) == ("failed", True, "n1")
    assert second.hint == "demos/cavity.py: failed, 0.5 s to 5.1 s"


def test_lost_attempts_have_their_own_bars():
    lost, died = drawn(DIED).bars
    assert (lost.kind, lost.target) == ("retried", "n0")
    assert lost.left + lost.width <= died.left


def test_bars_of_a_worker_do_not_overlap_and_stay_inside():
    for bar in drawn(*ALL).bars:
        assert 0 <= bar.left <= bar.left + bar.width <= 100.001


def test_only_wide_bars_are_labelled():
    labels = {bar.target: bar.label for bar in drawn(*ALL).bars}
    assert labels["n0"] == "box.py"
    assert labels["n3"] == ""


def test_nothing_ran():
    assert drawn(CACHED, SKIPPED).bars == ()
    assert drawn().lanes == 0


@pytest.mark.parametrize(
    ("seconds", "last"),
    [
        (0.004, "0.004 s"),
        (0.4, "0.4 s"),
        (7.0, "6 s"),
        (58.2, "50 s"),
        (200, "3 min"),
        (3000, "50 min"),
        (90000, "25 h"),
    ],
)
def test_the_scale_is_round(seconds, last):
    record = RunRecord()
    record.seconds = seconds
    ticks = timeline(record, {}).ticks
    assert ticks[0] == (0.0, "0")
    assert ticks[-1][1] == last
    assert 2 <= len(ticks) <= 9
    assert all(0 <= place <= 100.001 for place, _ in ticks)
