"""The folder stays small, and what is used stays."""

from __future__ import annotations

import os
import shutil
import time

import msgspec
import pytest

from moorage.notebooks.cache.prune import prune
from moorage.notebooks.cache.store import Store
from moorage.notebooks.cache.stored import Record, decode, encode


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "cache", key=b"k")


def keep(store, key, size, days):
    """Store a result last used so many days ago, with its blobs."""
    record = Record("python3", "id", "", {}, {}, {}, "", 1.0, 1)
    outputs = store.add(os.urandom(size))
    shared = store.add(b"environment")
    record = msgspec.structs.replace(record, outputs=outputs, environment=shared)
    store.write("runs", key, encode(record))
    for path in (store.folder / "runs" / key[:2] / key, store.blob(outputs), store.blob(shared)):
        os.utime(path, (time.time() - days * 86400,) * 2)


def left(store):
    return sorted(path.name for path in (store.folder / "runs").glob("*/*"))


def pruned(store, **options):
    settings = {"max_bytes": 10**9, "max_age_s": 30 * 86400, "every_s": 0, "now": time.time(), **options}
    return prune(store, **settings)


def test_old_results_go_with_their_blobs(store):
    keep(store, "aaaa", 1000, days=40)
    keep(store, "bbbb", 1000, days=10)
    assert pruned(store) == 2
    assert left(store) == ["bbbb"]
    record = decode(store.read("runs", "bbbb"))
    assert all(store.get(digest) is not None for digest in record.blobs())
    assert len(list((store.folder / "blobs").glob("*/*"))) == 2


def test_the_least_recently_used_go_when_it_is_too_much(store):
    for number, key in enumerate(("aaaa", "bbbb", "cccc")):
        keep(store, key, 100_000, days=3 - number)
    pruned(store, max_bytes=150_000)
    assert left(store) == ["cccc"]


def test_young_blobs_stay_for_a_run_that_may_be_about_to_name_them(store):
    digest = store.add(b"young")
    assert pruned(store) == 0
    os.utime(store.blob(digest), (0, 0))
    assert pruned(store) == 1


def test_damaged_records_go(store):
    keep(store, "aaaa", 10, days=1)
    (store.folder / "runs" / "aa" / "aaaa").write_bytes(b"rubbish")
    pruned(store)
    assert left(store) == []


def test_it_is_done_rarely_and_never_without_a_folder(store):
    assert pruned(store) == 0
    assert not store.folder.exists()
    keep(store, "aaaa", 10, days=1)
    pruned(store, every_s=86400)
    keep(store, "bbbb", 10, days=100)
    assert pruned(store, every_s=86400) == 0
    assert left(store) == ["aaaa", "bbbb"]


@pytest.mark.parametrize("shelf", ["blobs", "runs", "recipes", "tmp"])
def test_nothing_behind_a_link_is_removed(store, tmp_path, shelf):
    keep(store, "aaaa", 10, days=100)
    keys = tmp_path / "keys" / "ab"
    keys.mkdir(parents=True)
    for name in ("abcd", "ab" + "0" * 62, ".x.moorage-1-ffffffffffff"):
        (keys / name).write_text("mine")
        (keys.parent / name).write_text("mine")
        os.utime(keys / name, (0, 0))
        os.utime(keys.parent / name, (0, 0))
    shutil.rmtree(store.folder / shelf, ignore_errors=True)
    (store.folder / shelf).symlink_to(keys.parent)
    pruned(store)
    assert len(list(keys.iterdir())) == 3
    assert len(list(keys.parent.iterdir())) == 4


def test_only_what_the_store_itself_names_is_removed(store):
    keep(store, "aaaa", 10, days=100)
    others = [
        store.folder / name for name in ("blobs/aa/notes.txt", "blobs/mine/x", "runs/x", "blobs/aa/bb00")
    ]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
        os.utime(path, (0, 0))
    pruned(store)
    assert left(store) == []
    assert all(path.exists() for path in others)
