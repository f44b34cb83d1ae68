"""Files that are known to hold what is stored."""

from __future__ import annotations

import os
from hashlib import sha256

from moorage.notebooks.cache.places import Places
from moorage.notebooks.cache.store import FileStates
from moorage.notebooks.cache.stored import Stored


def test_a_file_is_known_by_size_and_time_and_else_by_its_content(tmp_path):
    path, digest = tmp_path / "a" / "x", sha256(b"one").hexdigest()
    path.parent.mkdir()
    path.write_bytes(b"one")
    places = Places(tmp_path, FileStates())
    stored = Stored(digest, 3, places.place(path, digest))
    status = path.stat()
    assert stored.places == {"a/x": (3, status.st_mtime_ns)}
    assert places.in_place(stored, path)
    path.write_bytes(b"two")
    os.utime(path, ns=(0, 0))
    assert not places.in_place(stored, path)
    assert places.place(path, digest) == places.place(tmp_path / "none", digest) == {}


def test_only_the_newest_places_are_remembered(tmp_path):
    digest = sha256(b"one").hexdigest()
    paths = [tmp_path / str(number) for number in range(9)]
    for path in paths:
        path.write_bytes(b"one")
    placed = Places(tmp_path, FileStates()).placed({"d": Stored(digest, 3, {})}, {"d": paths})
    assert list(placed["d"].places) == [path.name for path in paths[-6:]]
