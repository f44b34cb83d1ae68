"""The log of a charge: bounded, and what is missing is counted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.keeper.process.output import LEAST, TAIL, OutputLog

resource = pytest.importorskip("resource", reason="limits are Unix's")


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return OutputLog("output", 2 * LEAST)


def stored(tmp_path) -> bytes:
    names = [name for name in ("output.1", "output") if (tmp_path / name).exists()]
    return b"".join((tmp_path / name).read_bytes() for name in names)


def test_all_is_kept_while_there_is_room(log, tmp_path):
    log.write(b"one\n")
    log.write(b"two\n")
    assert stored(tmp_path) == b"one\ntwo\n"
    assert (log.tail(), log.total, log.dropped) == ("one\ntwo\n", 8, 0)
    log.close()


@given(sizes=st.lists(st.integers(0, 3 * LEAST), max_size=12))
def test_the_newest_is_kept_and_what_is_dropped_is_counted(tmp_path_factory, sizes):
    folder = tmp_path_factory.mktemp("log")
    before = Path.cwd()
    os.chdir(folder)
    try:
        log = OutputLog("output", 2 * LEAST)
        written = b""
        for number, size in enumerate(sizes):
            piece = bytes([65 + number]) * size
            log.write(piece)
            written += piece
        kept = stored(folder)
        assert written.endswith(kept)
        assert len(kept) <= 2 * LEAST
        assert len(kept) >= min(len(written), LEAST)
        assert log.total == len(written)
        assert log.dropped == len(written) - len(kept)
        assert log.tail().encode() == written[-TAIL:]
        log.close()
    finally:
        os.chdir(before)


def test_a_full_disk_is_told_of_where_the_gap_is(log, tmp_path):
    log.write(b"before\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, before[1]))  # Python ignores SIGXFSZ
    try:
        log.write(b"x" * 100)
        log.write(b"y" * 23)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (log.total, log.dropped) == (130, 123)
    log.write(b"after\n")
    log.close()
    text = stored(tmp_path).decode()
    assert text == "before\n\n[moorage: 123 bytes of output are missing here: File too large]\nafter\n"
    assert log.dropped == 123
    assert log.tail().endswith("yafter\n")


def test_a_log_that_cannot_be_opened_costs_nothing_but_itself(log, tmp_path):
    (tmp_path / "output").mkdir()
    log.write(b"lost")
    assert (log.total, log.dropped, log.tail()) == (4, 4, "lost")
    log.close()


def test_the_older_segment_makes_room(log, tmp_path):
    log.write(b"a" * LEAST)
    log.write(b"b" * LEAST)
    assert log.make_room()
    assert stored(tmp_path) == b"b" * LEAST
    assert log.dropped == LEAST
    assert log.make_room(), "the newest stays"
    assert stored(tmp_path) == b"b" * (LEAST // 2)
    assert not log.make_room(), "there is too little left to give"
    assert log.dropped == LEAST + LEAST // 2
    log.write(b"c")
    assert stored(tmp_path) == b"b" * (LEAST // 2) + b"c"
    log.close()
