"""The working directory."""

from __future__ import annotations

import pytest

from moorage.directory import working_directory
from moorage.errors import UsageError


def test_one_that_was_deleted_is_reported(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert working_directory() == folder
    folder.rmdir()
    with pytest.raises(UsageError) as caught:
        working_directory()
    assert caught.value.why == "It has been deleted"
