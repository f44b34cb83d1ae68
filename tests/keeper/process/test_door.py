"""Where links come in: how many, and what becomes of one too many."""

from __future__ import annotations

import os
import select
import socket
import sys

import pytest

from moorage.keeper.process import door
from moorage.wire import link

resource = pytest.importorskip("resource", reason="limits are Unix's")


@pytest.fixture
def entrance(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entrance = door.Door("link")
    yield entrance
    entrance.close()
    os.close(entrance._reserve)


def newcomer(count: int = 1) -> list[socket.socket]:
    made = [socket.socket(socket.AF_UNIX) for _ in range(count)]
    for each in made:
        each.connect("link")
    return made


def greeting(channel: socket.socket) -> dict:
    return link.LinkDecoder().feed(channel.recv(999))[0].message()


def close(*each) -> None:
    for one in each:
        one.close()


def test_all_that_have_come_are_greeted(entrance):
    poll = select.poll()
    assert entrance.watch(poll) is None
    assert poll.poll(0) == []
    come = newcomer(3)
    assert poll.poll(0)
    admitted = entrance.admit({"tell": "hello"}, 0)
    assert len(admitted) == 3
    assert [greeting(each) for each in come] == [{"tell": "hello"}] * 3
    assert entrance.admit({}, 3) == []
    close(*admitted, *come)


def test_one_link_too_many_is_told_so(entrance):
    come = newcomer(2)
    admitted = entrance.admit({"tell": "hello"}, door.MOST_LINKS - 1)
    assert len(admitted) == 1
    assert greeting(come[1])["tell"] == "dropped"
    close(*admitted, *come)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere descriptors are counted in another way")
def test_without_descriptors_newcomers_are_told_so(entrance):
    come = newcomer(2)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.open(os.devnull, os.O_RDONLY)
    os.close(spare)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare, before[1]))
    try:
        assert entrance.admit({"tell": "hello"}, 0) == []
        assert entrance.admit({"tell": "hello"}, 0) == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert ["no descriptor left" in greeting(each)["why"] for each in come] == [True, True]
    assert entrance.watch(select.poll()) is None, "the one in reserve is there again"
    close(*come)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere descriptors are counted in another way")
def test_without_any_descriptor_the_door_is_not_watched_for_a_moment(entrance):
    come = newcomer(1)
    os.close(entrance._reserve)
    entrance._reserve = -1
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.open(os.devnull, os.O_RDONLY)
    os.close(spare)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare, before[1]))
    try:
        assert entrance.admit({}, 0) == []
        poll = select.poll()
        assert entrance.watch(poll) is not None
        assert poll.poll(0) == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        entrance._reserve = os.open(os.devnull, os.O_RDONLY)
    close(*come)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere descriptors are counted in another way")
def test_the_descriptor_in_reserve_is_kept_though_nothing_has_come(entrance):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.open(os.devnull, os.O_RDONLY)
    os.close(spare)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare, before[1]))
    try:
        assert entrance.admit({}, 0) == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert entrance._reserve >= 0
