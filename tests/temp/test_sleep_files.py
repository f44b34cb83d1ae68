"""What is written down of a server that may sleep."""

from __future__ import annotations

from pathlib import Path

import pytest

from moorage.errors import OutputError
from moorage.temp.processes import ServerStart
from moorage.temp.sleep_files import START, read_answers, read_start, write_answers, write_start


def test_a_start_is_read_as_it_was_written_and_is_private(tmp_path: Path) -> None:
    start = ServerStart(("python", "-m", "x"), tmp_path / "work", {"A": "b", "TOKEN": "t"}, sleeps=True)
    for _ in range(2):
        write_start(tmp_path, start)
        assert read_start(tmp_path) == start
    assert (tmp_path / START).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [START]


def test_what_is_not_there_or_is_spoilt(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be read"):
        read_start(tmp_path)
    (tmp_path / START).write_text("{")
    with pytest.raises(OutputError, match="cannot be read"):
        read_start(tmp_path)
    assert read_answers(tmp_path) == {}


def test_answers_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_answers(tmp_path, {"/api/me": "{}"})
    assert read_answers(tmp_path) == {"/api/me": "{}"}


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_answers(tmp_path / "gone", {})
