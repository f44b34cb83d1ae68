"""What a keeper leaves in its directory."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from moorage.keeper.process import record


def test_a_record_is_read_as_it_was_written(tmp_path):
    record.write(str(tmp_path), {"a": 1})
    record.write(str(tmp_path), {"a": 2})
    assert record.read(str(tmp_path)) == {"a": 2}
    assert (tmp_path / record.RECORD).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff"])
def test_what_is_no_record_is_none(tmp_path, content):
    if content is not None:
        (tmp_path / record.RECORD).write_bytes(content)
    assert record.read(str(tmp_path)) is None


def test_a_link_or_a_pipe_is_no_record(tmp_path):
    (tmp_path / "other").write_text("{}")
    (tmp_path / record.RECORD).symlink_to(tmp_path / "other")
    assert record.read(str(tmp_path)) is None
    (tmp_path / record.RECORD).unlink()
    os.mkfifo(tmp_path / record.RECORD)
    assert record.read(str(tmp_path)) is None


def test_a_directory_is_locked_once(tmp_path):
    with pytest.raises(FileNotFoundError):
        record.lock(str(tmp_path))
    lock = record.claim(str(tmp_path))
    with pytest.raises(BlockingIOError):
        record.lock(str(tmp_path))
    os.close(lock)
    os.close(record.lock(str(tmp_path)))


def test_a_lock_has_its_name_only_when_it_is_held(tmp_path, monkeypatch):
    seen = []

    def rename(old, new):
        seen.append(sorted(path.name for path in tmp_path.iterdir()))
        with pytest.raises(FileNotFoundError):
            record.lock(str(tmp_path))
        Path(old).replace(new)

    monkeypatch.setattr(record.os, "rename", rename)
    os.close(record.claim(str(tmp_path)))
    assert seen == [[record.NEW_LOCK]]
    assert [path.name for path in tmp_path.iterdir()] == [record.LOCK]


def test_a_directory_that_is_gone_cannot_be_claimed(tmp_path):
    with pytest.raises(FileNotFoundError):
        record.claim(str(tmp_path / "gone"))


def test_what_removes_a_directory_is_waited_for(tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    lock = record.claim(str(folder))

    def remove():
        record.remove(str(folder))
        os.close(lock)

    thread = threading.Timer(0.05, remove)
    thread.start()
    with pytest.raises(FileNotFoundError):
        record.lock(str(folder), within=30)
    thread.join()
    assert not folder.exists()


def test_removing_leaves_what_is_not_a_keepers(tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    for name in (*record.FILES, "users"):
        (folder / name).touch()
    record.remove(str(folder))
    assert [path.name for path in folder.iterdir()] == ["users"]
    (folder / "users").unlink()
    record.remove(str(folder))
    record.remove(str(folder))
    assert not folder.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_the_boot_has_a_name():
    assert len(record.boot()) == 36
