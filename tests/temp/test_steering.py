"""What was told while a service ran, for the one after it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from moorage.errors import OutputError
from moorage.plan.visits import DrainChanged, LimitsChanged
from moorage.temp import steering
from moorage.temp.steering import FILE, KeptSteering, Steering


def told(*events: DrainChanged | LimitsChanged) -> Steering:
    found = Steering((20, 0))
    for event in events:
        found = found.after(event)
    return found


@pytest.mark.parametrize(
    ("events", "again"),
    [
        ([], []),
        ([DrainChanged(True)], [DrainChanged(True)]),
        ([DrainChanged(True), DrainChanged(False)], []),
        ([LimitsChanged(3), LimitsChanged(spares=1)], [LimitsChanged(3, 1)]),
        ([LimitsChanged(spares=1, offer="a")], [LimitsChanged(spares=1, offer="a")]),
        (
            [LimitsChanged(spares=2), LimitsChanged(spares=1, offer="a")],
            [LimitsChanged(None, 2), LimitsChanged(spares=1, offer="a")],
        ),
        ([LimitsChanged(spares=1, offer="a"), LimitsChanged(spares=2)], [LimitsChanged(None, 2)]),
    ],
)
def test_what_a_service_is_told_again(events, again) -> None:
    assert told(*events).events == again


def test_it_is_kept_as_long_as_the_command_line_says_the_same(tmp_path: Path) -> None:
    kept = KeptSteering(tmp_path, 20, 0)
    for event in (LimitsChanged(3, 1), DrainChanged(True)):
        kept.tell(event)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert KeptSteering(tmp_path, 20, 0).told.events == [LimitsChanged(3, 1), DrainChanged(True)]
    assert KeptSteering(tmp_path, 30, 0).told.events == [
        DrainChanged(True)
    ]  # a newer word, on the number alone


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for text in ("", '{"draining": 1}', "x"):
        (tmp_path / FILE).write_text(text)
        assert KeptSteering(tmp_path, 20, 0).told == Steering((20, 0))
    assert caplog.text.count("is not known") == 3


def test_what_cannot_be_written_down_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptSteering(tmp_path, 20, 0)

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(steering, "write_private", full)
    with pytest.raises(OutputError, match="No space left"):
        kept.tell(DrainChanged(True))
    assert kept.told.events == []
