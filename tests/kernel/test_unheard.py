"""Requests of which a kernel shows no sign; a kernel that misses one is in tests/kernel/test_client.py."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from moorage.kernel import unheard
from moorage.kernel.unheard import UNHEARD, Unheard

pytestmark = pytest.mark.anyio


class Told:
    """A request, as far as it is looked at."""

    def __init__(self, channel="shell"):
        self.message = SimpleNamespace(channel=channel)
        self.reply = asyncio.get_running_loop().create_future()


class Watched:
    """How often a kernel was woken."""

    def __init__(self, monkeypatch):
        self.now, self.woken, self.held, self.monkeypatch = 0.0, 0, set(), monkeypatch
        monkeypatch.setattr(unheard, "monotonic", lambda: self.now)
        self.unheard = Unheard(self.held.__contains__, self._wake)

    def _wake(self):
        self.woken += 1

    def asked(self, *requests):
        for each in requests:
            self.unheard.asked(each)

    def look(self, seconds=UNHEARD):
        """Let time pass, take a look, and tell whether there will be another."""
        self.now += seconds
        again = []
        with self.monkeypatch.context() as patched:
            patched.setattr(self.unheard, "_arm", lambda: again.append(True))
            self.unheard._due()
        return bool(again)


@pytest.fixture
async def watched(monkeypatch, anyio_backend):
    watched = Watched(monkeypatch)
    yield watched
    watched.unheard.close()


async def test_a_kernel_is_woken_less_and_less_often(watched):
    watched.asked(Told(), Told())
    assert watched.look(UNHEARD)
    assert watched.woken == 1, "one wakes for all that wait"
    assert watched.look(UNHEARD)
    assert watched.woken == 1
    assert watched.look(UNHEARD)
    assert watched.woken == 2
    assert watched.look(3 * UNHEARD)
    assert watched.woken == 2
    assert watched.look(UNHEARD)
    assert watched.woken == 3


async def test_what_is_young_or_held_back_waits(watched):
    held, other = Told(), Told()
    watched.held.add(held)
    watched.asked(held, other)
    watched.look(UNHEARD / 2)
    assert watched.woken == 0
    watched.look()
    assert watched.woken == 1
    other.reply.set_result(None)
    watched.look(9 * UNHEARD)
    assert watched.woken == 1
    watched.held.clear()
    watched.look(0)
    assert watched.woken == 2


async def test_what_runs_keeps_the_others_waiting(watched):
    running, waiting = Told(), Told()
    watched.asked(running, waiting)
    watched.unheard.heard(running)
    watched.look()
    assert watched.woken == 0
    running.reply.set_result(None)
    watched.look(0)
    assert watched.woken == 1


async def test_nothing_is_woken_for_what_is_answered_or_went_elsewhere(watched):
    answered = Told()
    answered.reply.set_result(None)
    watched.asked(answered, Told("control"))
    assert not watched.look()
    assert watched.woken == 0


async def test_it_looks_by_itself(watched, monkeypatch):
    monkeypatch.setattr(unheard, "UNHEARD", 0.01)
    watched.asked(Told())
    watched.now = 1.0
    async with asyncio.timeout(60):
        while not watched.woken:
            await asyncio.sleep(0.01)
