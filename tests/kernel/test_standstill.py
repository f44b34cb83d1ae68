"""Looking at a process that owes an answer; real kernels in tests/real/test_stopped_kernels.py."""

from __future__ import annotations

import asyncio

import pytest

from moorage.kernel import standstill
from moorage.kernel.standstill import Standstill, advice, standstill_of

pytestmark = pytest.mark.anyio

STOPPED = "stopped (SIGSTOP)"


class Looked:
    """A kernel's process, and what is told of it."""

    def __init__(self, monkeypatch):
        self.now, self.why, self.owed, self.looks, self.told = 100.0, "", True, 0, []
        self.pace = 0.0  # seconds that pass between two looks of the test
        monkeypatch.setattr(standstill, "monotonic", lambda: self.now)
        monkeypatch.setattr(standstill, "LOOKS", 0.001)
        self.standstill = Standstill(lambda: self.owed, self._look, self.told.append)

    def _look(self):
        self.looks += 1
        return self.why

    async def until(self, true):
        async with asyncio.timeout(60):
            while not true():
                self.now += self.pace
                await asyncio.sleep(0.001)


@pytest.fixture
async def looked(monkeypatch, anyio_backend):
    looked = Looked(monkeypatch)
    yield looked
    looked.standstill.close()


async def test_a_silent_process_is_looked_at_until_nothing_is_owed(looked):
    looked.standstill.asked()
    looked.pace = 1.0
    await looked.until(lambda: looked.looks > 2)
    looked.owed = False
    await looked.until(lambda: looked.standstill._timer is None)
    assert looked.told == []


async def test_a_process_that_speaks_is_not_looked_at(looked):
    looked.standstill.heard()
    for _ in range(20):
        looked.now += 1
        looked.standstill.heard()
        await asyncio.sleep(0.002)
    assert looked.looks == 0
    assert looked.standstill.seconds() == 0


async def test_a_stop_is_told_once_and_its_end_too(looked):
    looked.standstill.asked()
    looked.now, looked.why = 103.0, STOPPED
    await looked.until(lambda: looked.told)
    looked.now = 110.0
    assert looked.standstill.seconds() == 10
    looked.owed = False  # its end is told all the same
    looked.now, looked.why = 112.0, ""
    await looked.until(lambda: len(looked.told) > 1)
    assert looked.told == [STOPPED, ""]
    looked.now = 120.0
    assert looked.standstill.seconds() == 12


async def test_a_message_that_was_on_its_way_does_not_end_a_stop(looked):
    looked.why = STOPPED
    assert looked.standstill.look() == STOPPED
    looked.standstill.heard()
    assert looked.standstill.why == STOPPED
    looked.why = ""
    looked.standstill.heard()
    assert looked.told == [STOPPED, ""]


async def test_another_process_begins_anew(looked):
    looked.why = STOPPED
    looked.standstill.look()
    looked.standstill.forget()
    assert looked.standstill.why == ""


def test_a_handle_that_cannot_tell_tells_nothing():
    assert standstill_of(object()) == ""


def test_what_lets_it_go_on():
    assert advice(STOPPED, 7) == "`kill -CONT 7` lets it go on"
    assert advice("held by a debugger", 7) == "it goes on when the debugger lets it"
