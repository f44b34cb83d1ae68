"""Checked records, blobs named by content, states of files."""

from __future__ import annotations

import hashlib
import os
import shutil
import time

import msgspec
import pytest

from moorage.errors import OutputError, UsageError
from moorage.notebooks.cache.store import LARGE, MARK, FileState, FileStates, Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "cache", key=b"k")


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
    Store(store.folder, key=b"k")
    assert not stray.exists()


def test_file_states(tmp_path, monkeypatch):
    files = FileStates()
    path = tmp_path / "x"
    assert files.state(path) == FileState("", 0, 0)
    assert files.same(path, FileState("", 0, 0))
    path.write_bytes(b"1")
    assert files.state(path).mtime_ns == 0
    assert not files.same(path, FileState("", 0, 0))
    os.utime(path, (1000, 1000))
    assert files.state(path).mtime_ns == 0
    monkeypatch.setattr("moorage.notebooks.cache.store._RACY", 0)
    state = files.state(path)
    assert state.mtime_ns == 1000 * 10**9
    os.utime(path, (2000, 2000))
    assert FileStates().same(path, state)
    path.write_bytes(b"2")
    assert not FileStates().same(path, state)
    assert files.state(tmp_path / "a\0b") == FileState("", 0, 0)


@pytest.mark.parametrize("digest", [None, LARGE])
def test_a_file_with_the_size_and_the_time_of_another_is_not_taken_for_it(tmp_path, monkeypatch, digest):
    monkeypatch.setattr("moorage.notebooks.cache.store._RACY", 0)
    for name in ("data", "newer"):
        (tmp_path / name).write_text(name[:1])
        os.utime(tmp_path / name, (1000, 1000))
    state = FileStates().state(tmp_path / "data")
    state = msgspec.structs.replace(state, digest=digest or state.digest)
    assert FileStates().same(tmp_path / "data", state)
    (tmp_path / "newer").rename(tmp_path / "data")
    assert (tmp_path / "data").stat().st_mtime_ns == state.mtime_ns
    assert not FileStates().same(tmp_path / "data", state)


def test_a_copy_with_the_time_of_the_first_is_read_and_taken_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr("moorage.notebooks.cache.store._RACY", 0)
    (tmp_path / "data").write_text("1")
    state = FileStates().state(tmp_path / "data")
    shutil.copy2(tmp_path / "data", tmp_path / "copy")
    assert FileStates().same(tmp_path / "copy", state)


def test_a_directory_is_its_names_and_contents(tmp_path):
    files = FileStates()
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "x").write_bytes(b"1")
    state = files.state(tmp_path / "d")
    assert files.same(tmp_path / "d", state)
    (tmp_path / "d" / "e" / "x").rename(tmp_path / "d" / "e" / "y")
    assert not files.same(tmp_path / "d", state)


def test_pipes_and_devices_have_no_content_and_are_not_opened(store, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    files = FileStates()
    for name in ("pipe", "zero"):
        assert files.state(tmp_path / name) == FileState("", 0, 0)
        assert not files.same(tmp_path / name, FileState("x", 0, 0))
        with pytest.raises(OSError, match="no regular file"):
            store.add_file(tmp_path / name)
    path = store.folder / "runs" / "ab" / "abcd"
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    assert store.read("runs", "abcd") is None


def test_a_record_counts_under_its_own_name_kind_and_key_only(store):
    store.write("runs", "abcd", b"payload")
    data = (store.folder / "runs/ab/abcd").read_bytes()
    store.write("runs", "abce", b"other")
    store.write("recipes", "abcd", b"other")
    for name in ("runs/ab/abce", "recipes/ab/abcd"):
        (store.folder / name).write_bytes(data)
    assert store.read("runs", "abce") is None
    assert store.read("recipes", "abcd") is None
    forged = hashlib.sha256(b"payload").hexdigest().encode()
    (store.folder / "runs/ab/abcd").write_bytes(b"moorage-cache-2 " + forged + b"\npayload")
    assert store.read("runs", "abcd") is None


@pytest.mark.parametrize("name", ["../../precious", "/etc/passwd", "", "a", "ab/cd", "g" * 64, "a" * 65])
def test_what_is_no_name_of_its_own_is_neither_read_nor_removed(store, tmp_path, name):
    store.add(b"x")
    (tmp_path / "precious").write_text("mine")
    assert store.get(name) is None
    assert store.read("runs", name) is None
    assert not store.has(name, 4)
    assert store.remove("blobs", name) == 0
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_folder_of_others_is_no_cache_and_nothing_in_it_is_touched(tmp_path):
    for name in ("blobs/ab/abcd", "tmp/.x.moorage-1-ffffffffffff", ".gitignore", "CACHEDIR.TAG"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="not taken as a cache"):
        Store(tmp_path, key=b"k")
    assert sorted(tmp_path.rglob("*")) == before


def test_the_cache_of_another_key_is_none(store):
    store.add(b"x")
    with pytest.raises(UsageError, match="MOORAGE_CACHE_KEY"):
        Store(store.folder, key=b"other")
    Store(store.folder, key=b"k")


@pytest.mark.parametrize("mark", [b"", b"0123", b"\0" * 65])
def test_a_mark_that_says_something_else_is_no_mark(store, mark):
    store.add(b"x")
    (store.folder / MARK).write_bytes(mark)
    with pytest.raises(UsageError):
        Store(store.folder, key=b"k")


def test_a_kill_while_the_folder_is_made_does_not_lock_the_user_out(store):
    store.folder.mkdir()
    for part in (0, 10):
        other = Store(store.folder.with_name("other"), key=b"k")
        other.add(b"x")
        (store.folder / MARK).write_bytes((other.folder / MARK).read_bytes()[:part])
        again = Store(store.folder, key=b"k")
        assert again.get(again.add(b"x")) == b"x"
        shutil.rmtree(store.folder)
        store.folder.mkdir()


@pytest.mark.parametrize("shelf", ["blobs", "runs", "tmp"])
def test_no_link_in_the_folder_is_followed(store, tmp_path, shelf):
    digest = store.add(b"x")
    store.write("runs", digest, b"payload")
    precious = tmp_path / "precious" / digest[:2]
    precious.mkdir(parents=True)
    (precious / digest).write_text("mine")
    shutil.rmtree(store.folder / shelf)
    (store.folder / shelf).symlink_to(tmp_path / "precious")
    assert store.get(digest) == (b"x" if shelf != "blobs" else None)
    assert store.read("runs", digest) == (b"payload" if shelf != "runs" else None)
    assert list(store.entries("blobs")) == [] or shelf != "blobs"
    with pytest.raises(OutputError):
        store.write("runs", "f" * 64, b"y") if shelf == "runs" else store.add(b"z")
    assert store.remove("blobs", digest) == (0 if shelf == "blobs" else 1)
    assert (precious / digest).read_text() == "mine"
    assert [path.name for path in precious.iterdir()] == [digest]


def test_a_blob_that_is_a_link_or_a_pipe_is_gone_and_stays(store, tmp_path):
    digest = store.add(b"x")
    path = store.blob(digest)
    path.unlink()
    (tmp_path / "x").write_bytes(b"x")
    path.symlink_to(tmp_path / "x")
    assert store.get(digest) is None
    assert not store.has(digest, 1)
    path.unlink()
    os.mkfifo(path)
    assert store.get(digest) is None
    assert store.intact(digest) is None


def test_a_damaged_file_comes_back(store, tmp_path):
    (tmp_path / "film.gif").write_bytes(b"film")
    digest = store.add_file(tmp_path / "film.gif").digest
    assert store.intact(digest) == store.blob(digest)
    store.blob(digest).write_bytes(b"filn")
    assert store.intact(digest) is None
    store.add_file(tmp_path / "film.gif")
    assert store.intact(digest) == store.blob(digest)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder away")
def test_the_folder_of_another_user_is_no_cache(store):
    store.add(b"x")
    os.chown(store.folder, 12345, 12345)
    with pytest.raises(UsageError, match="another user"):
        Store(store.folder, key=b"k")


def test_inside_of_a_state_folder_that_ignores_itself(tmp_path):
    Store(tmp_path / ".moorage/cache", key=b"k").add(b"x")
    assert (tmp_path / ".moorage/.gitignore").read_text() == "*\n"
