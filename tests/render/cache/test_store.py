"""Checked records, blobs named by content, states of files."""

from __future__ import annotations

import os
import time

import pytest

from moorage.render.cache.store import Files, FileState, Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "cache")


def test_records_and_blobs_come_back(store):
    store.write("runs", "abcd", b"payload\nwith lines")
    assert store.read("runs", "abcd") == b"payload\nwith lines"
    assert store.read("recipes", "abcd") is None
    digest = store.add(b"blob")
    assert store.get(digest) == b"blob"
    assert store.has(digest, 4)
    assert not store.has(digest, 5)
    assert (store.folder / ".gitignore").read_text() == "*\n"
    assert list((store.folder / "tmp").iterdir()) == []


def test_a_damaged_record_is_none_and_a_damaged_blob_goes(store):
    store.write("runs", "abcd", b"payload")
    path = store.folder / "runs" / "ab" / "abcd"
    path.write_bytes(path.read_bytes().replace(b"payload", b"paylaod"))
    assert store.read("runs", "abcd") is None
    digest = store.add(b"blob")
    store.blob(digest).write_bytes(b"blub")
    assert store.get(digest) is None
    assert not store.blob(digest).exists()
    assert store.get(store.add(b"blob")) == b"blob"


def test_reading_counts_as_use_once_a_day(store):
    store.write("runs", "abcd", b"")
    path = store.folder / "runs" / "ab" / "abcd"
    os.utime(path, (0, 0))
    store.read("runs", "abcd", use=False)
    assert path.stat().st_mtime == 0
    store.read("runs", "abcd")
    assert path.stat().st_mtime > time.time() - 60


def test_what_a_killed_run_left_is_collected(store):
    store.add(b"x")
    stray = store.folder / "tmp" / ".x.moorage-1-ffffffffffff"
    stray.write_bytes(b"half")
    os.utime(stray, (0, 0))
    Store(store.folder)
    assert not stray.exists()


def test_file_states(tmp_path):
    files = Files()
    path = tmp_path / "x"
    assert files.state(path) == FileState("", 0, 0)
    assert files.same(path, FileState("", 0, 0))
    path.write_bytes(b"1")
    assert files.state(path).mtime_ns == 0
    assert not files.same(path, FileState("", 0, 0))
    os.utime(path, (1000, 1000))
    state = files.state(path)
    assert state.mtime_ns == 1000 * 10**9
    os.utime(path, (2000, 2000))
    assert Files().same(path, state)
    path.write_bytes(b"2")
    assert not Files().same(path, state)
    assert files.state(tmp_path / "a\0b") == FileState("", 0, 0)


def test_a_directory_is_its_names_and_contents(tmp_path):
    files = Files()
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "x").write_bytes(b"1")
    state = files.state(tmp_path / "d")
    assert files.same(tmp_path / "d", state)
    (tmp_path / "d" / "e" / "x").rename(tmp_path / "d" / "e" / "y")
    assert not files.same(tmp_path / "d", state)


def test_pipes_and_devices_have_no_content_and_are_not_opened(store, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    files = Files()
    for name in ("pipe", "zero"):
        assert files.state(tmp_path / name) == FileState("", 0, 0)
        assert not files.same(tmp_path / name, FileState("x", 0, 0))
        with pytest.raises(OSError, match="no regular file"):
            store.add_file(tmp_path / name)
    path = store.folder / "runs" / "ab" / "abcd"
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    assert store.read("runs", "abcd") is None
