"""What waits for a slow reader: in order, bounded in memory and on disk."""

from __future__ import annotations

import random

import pytest

from moorage.notebooks.show import backlog as module
from moorage.notebooks.show.backlog import Backlog


def test_all_comes_out_in_order_whatever_waits_where(monkeypatch):
    monkeypatch.setattr(module, "_FILE", 300)
    monkeypatch.setattr(module, "_PIECE", 70)
    backlog, chance = Backlog(in_memory=100), random.Random(3)
    put = got = b""
    for _ in range(2000):
        piece = chance.randbytes(chance.randrange(60))
        backlog.append(piece)
        put += piece
        taken = backlog.first(chance.randrange(60))
        backlog.take(len(taken))
        got += taken
        assert len(backlog) == len(put) - len(got)
    while piece := backlog.first(50):
        backlog.take(len(piece))
        got += piece
    assert got == put
    assert not backlog._files


def test_what_does_not_fit_is_an_error_and_the_rest_is_there():
    backlog = Backlog(in_memory=10, on_disk=20)
    for _ in range(3):
        backlog.append(b"0123456789")
    with pytest.raises(OSError, match="Its reader takes nothing"):
        backlog.append(b"0")
    assert len(backlog) == 30
    backlog.clear()
    assert (len(backlog), backlog.first(1)) == (0, b"")


def test_memory_holds_what_it_may():
    backlog = Backlog(in_memory=1000)
    for _ in range(500):
        backlog.append(bytes(100))
    assert len(backlog._first) == 1000
    assert len(backlog) == 50_000
    backlog.clear()
