"""Slow providers asked behind a list."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import pytest

from command import until
from moorage.discovery import refresh as module
from moorage.discovery.cache import Cache
from moorage.discovery.refresh import refresh, refresh_behind

BOX = Path(__file__).parent / "files/box"
ODD = Path(__file__).parent / "files/odd"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{BOX}:{ODD}")
    monkeypatch.setenv("BOX_IS_SLOW", "1")
    monkeypatch.syspath_prepend(str(BOX))
    monkeypatch.syspath_prepend(str(ODD))
    yield Cache()
    for name in ("box_provider", "hanging_provider", "broken_provider"):
        sys.modules.pop(name, None)


def test_the_answer_of_a_provider_is_kept(cache):
    refresh(["box", "broken", "gone"], cache)
    assert [each.name for each in cache.load("box").types] == ["box/python"]
    assert cache.load("broken") is None


def test_a_provider_that_is_being_asked_already_is_left_alone(cache):
    cache.folder.mkdir(parents=True)
    lock = os.open(cache.folder / "box.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    refresh(["box"], cache)
    assert cache.load("box") is None
    os.close(lock)
    refresh(["box"], cache)
    assert cache.load("box") is not None


def test_where_nothing_can_be_kept_no_provider_is_asked(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.syspath_prepend(str(ODD))
    refresh(["hanging"], Cache(tmp_path / "file" / "x"))  # it would hang


def test_a_process_of_its_own_asks_behind_the_command(cache):
    refresh_behind(["box"])
    assert until(lambda: cache.load("box") is not None, 60)
    assert reaped()


def test_it_ends_whatever_happens(cache, monkeypatch):
    ended = []
    monkeypatch.setattr(module.signal, "alarm", ended.append)
    monkeypatch.setattr(module, "refresh", lambda names, _: ended.append(names))
    monkeypatch.setattr(module.os, "nice", lambda _: None)
    monkeypatch.chdir("/")
    monkeypatch.setattr(sys, "argv", ["x", "box"])
    module.main()
    assert ended == [60, ["box"]]


def test_moorages_own_are_not_asked_behind(monkeypatch):
    monkeypatch.setattr(module.os, "posix_spawn", lambda *_, **__: pytest.fail("it was"))
    refresh_behind([])
    refresh_behind(["env", "running", "spec"])


def reaped() -> bool:
    """Take the child away that a command, which ends, leaves to init."""
    try:
        return until(lambda: os.waitpid(-1, os.WNOHANG)[0] != 0, 60)
    except ChildProcessError:
        return True
