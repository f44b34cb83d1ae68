from __future__ import annotations

import os
import threading

import pytest

from moorage.notebooks.planning.timings import load_timings, save_timings


def test_what_is_saved_is_loaded_and_merged(tmp_path):
    path = tmp_path / ".moorage/timings.json"
    assert save_timings(path, {"a.py": 1.23456, "b.py": 2})
    assert save_timings(path, {"b.py": 3})
    assert load_timings(path) == {"a.py": 1.235, "b.py": 3}
    assert [each.name for each in path.parent.iterdir()] == ["timings.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"{",
        b"[]",
        b"{}",
        b'{"version": 2, "seconds": {"a": 1}}',
        b'{"version": 1, "seconds": [1]}',
        b"[" * 100_000,
        b'{"version": 1, "seconds": {"a": "soon", "b": NaN, "c": -1, "d": null}}',
    ],
)
def test_nonsense_reads_as_nothing_known_and_is_replaced(tmp_path, content):
    path = tmp_path / "timings.json"
    path.write_bytes(content)
    assert load_timings(path) == {}
    assert save_timings(path, {"a": 1})
    assert load_timings(path) == {"a": 1}


def test_no_file_is_nothing_known(tmp_path):
    assert load_timings(tmp_path / "gone/timings.json") == {}


def test_what_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").touch()
    assert not save_timings(tmp_path / "file/timings.json", {"a": 1})
    (tmp_path / "timings.json").mkdir()
    assert not save_timings(tmp_path / "timings.json", {"a": 1})
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "timings.json"]


def test_two_runs_at_once_both_keep_theirs(tmp_path):
    path = tmp_path / "timings.json"
    threads = [threading.Thread(target=save_timings, args=(path, {str(n): n})) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert load_timings(path) == {str(n): n for n in range(20)}


def test_a_pipe_is_nothing_known(tmp_path):
    os.mkfifo(tmp_path / "timings.json")
    assert load_timings(tmp_path / "timings.json") == {}
    assert not save_timings(tmp_path / "timings.json", {"a": 1})


def test_a_time_that_no_notebook_takes_is_not_believed(tmp_path):
    path = tmp_path / "timings.json"
    path.write_text('{"version": 1, "seconds": {"a": 1e308, "b": 1e9, "c": 3}}')
    assert load_timings(path) == {"c": 3}
