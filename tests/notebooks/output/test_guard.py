"""Guards are told of a path before the block and after it, however it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from moorage.notebooks.output.guard import UNGUARDED, guarded
from recording_guard import RecordingGuard

PATH = Path("/a/b")


def test_a_path_is_guarded_within_the_block():
    guard = RecordingGuard()
    with guarded(guard, PATH):
        assert [(each.what, each.path) for each in guard.calls] == [("guard", PATH)]
    assert [(each.what, each.path) for each in guard.calls] == [("guard", PATH), ("unguard", PATH)]


def test_a_path_is_released_when_the_block_raises():
    guard = RecordingGuard()
    with pytest.raises(ValueError, match="x"), guarded(guard, PATH):
        raise ValueError("x")
    assert [each.what for each in guard.calls] == ["guard", "unguard"]


def test_without_a_warden_nothing_is_guarded(tmp_path):
    with guarded(UNGUARDED, tmp_path / "a"):
        (tmp_path / "a").touch()
    assert (tmp_path / "a").exists()
