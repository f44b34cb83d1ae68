"""What is remembered of kernels that say that they register."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.rendezvous import memory as module
from moorage.rendezvous.memory import KEPT, MOST, Memory, memory

ARGV = ("/opt/bin/some", "-f", "{connection_file}")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "handshakes.json"


def test_nothing_is_known_at_first_and_nothing_is_written_for_what_works(path):
    some = Memory(path)
    assert some.recall(ARGV) == "unknown"
    some.remember(ARGV, "registers")
    assert some.recall(ARGV) == "registers"
    assert not path.exists()


def test_what_did_not_work_is_known_to_the_next_process_and_forgotten_when_it_does(path):
    Memory(path).remember(ARGV, "does not register")
    assert Memory(path).recall(ARGV) == "does not register"
    assert Memory(path).recall((*ARGV, "--new")) == "unknown"
    Memory(path).remember(ARGV, "registers")
    assert Memory(path).recall(ARGV) == "unknown"
    assert "/opt" not in path.read_text()


def test_it_is_tried_once_more_after_a_week(path):
    Memory(path).remember(ARGV, "does not register")
    (name,) = json.loads(path.read_text())
    for at in (time.time() - KEPT - 1, time.time() + 1000):
        path.write_text(json.dumps({name: at}))
        assert Memory(path).recall(ARGV) == "unknown"


def test_the_file_does_not_grow(path):
    path.parent.mkdir()
    now = time.time()
    path.write_text(json.dumps({str(number): now - 1000 + number / 10 for number in range(2 * MOST)}))
    Memory(path).remember(ARGV, "does not register")
    kept = json.loads(path.read_text())
    assert len(kept) == MOST
    assert "0" not in kept
    assert Memory(path).recall(ARGV) == "does not register"


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(tmp_path):
    (tmp_path / "file").touch()
    some = Memory(tmp_path / "file" / "handshakes.json")
    some.remember(ARGV, "does not register")
    assert some.recall(ARGV) == "does not register"


@settings(deadline=None)
@given(st.binary(max_size=200) | st.just(b"[" * 100_000) | st.just(b'{"a": NaN, "b": true, "c": "x"}'))
def test_whatever_stands_in_the_file(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("m") / "handshakes.json"
    path.write_bytes(data)
    some = Memory(path)
    assert some.recall(ARGV) == "unknown"
    some.remember(ARGV, "does not register")
    assert Memory(path).recall(ARGV) == "does not register"


def test_it_is_the_users_cache_of_now(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_memories", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    memory().remember(ARGV, "does not register")
    assert memory() is memory()
    assert (tmp_path / "moorage" / "handshakes.json").is_file()
