"""Requests of which a kernel shows no sign; one that misses its wake-up is in tests/kernel/test_client.py."""

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
    """How often a kernel was asked."""

    def __init__(self, monkeypatch):
        self.now, self.questions, self.held, self.monkeypatch = 0.0, 0, set(), monkeypatch
        monkeypatch.setattr(unheard, "monotonic", lambda: self.now)
        self.unheard = Unheard(self.held.__contains__, self._ask)

    def _ask(self):
        self.questions += 1

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


async def test_a_kernel_is_asked_once_for_each_that_waits(watched):
    watched.asked(Told(), Told())
    assert watched.look()
    assert watched.questions == 1
    assert not watched.look(), "there is nothing left to look at"
    assert watched.questions == 2
    watched.look()
    assert watched.questions == 2


async def test_what_is_young_or_held_back_waits(watched):
    held = Told()
    watched.held.add(held)
    watched.asked(held, Told())
    watched.look(UNHEARD / 2)
    assert watched.questions == 0
    watched.look()
    assert watched.questions == 1
    watched.look()
    assert watched.questions == 1
    watched.held.clear()
    watched.look(0)
    assert watched.questions == 2


async def test_what_runs_keeps_the_others_waiting(watched):
    running, waiting = Told(), Told()
    watched.asked(running, waiting)
    watched.unheard.heard(running)
    watched.look()
    assert watched.questions == 0
    running.reply.set_result(None)
    watched.look(0)
    assert watched.questions == 1


async def test_nothing_is_asked_for_what_is_answered_or_went_elsewhere(watched):
    answered = Told()
    answered.reply.set_result(None)
    watched.asked(answered, Told("control"))
    assert not watched.look()
    assert watched.questions == 0


async def test_it_looks_by_itself(watched, monkeypatch):
    monkeypatch.setattr(unheard, "UNHEARD", 0.01)
    watched.asked(Told())
    watched.now = 1.0
    async with asyncio.timeout(60):
        while not watched.questions:
            await asyncio.sleep(0.01)
