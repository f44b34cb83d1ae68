"""The end of code: an interrupt, some time, and what comes where that does not help."""

from __future__ import annotations

import asyncio

import pytest

from moorage.errors import KernelDied
from moorage.kernel.interruption import Interruption
from moorage.kernel.launch import launch

pytestmark = pytest.mark.anyio


class Noted:
    """A kernel that takes note of interrupts."""

    def __init__(self, error=None):
        self.interrupts = 0
        self.given_up = asyncio.Event()
        self._error = error

    def interrupt(self):
        self.interrupts += 1
        if self._error is not None:
            raise self._error


async def test_a_kernel_is_interrupted_once_and_given_up_when_the_grace_is_over():
    kernel = Noted()
    with Interruption(kernel, 0.01, kernel.given_up.set) as end:
        assert not end.begun
        end.begin()
        end.begin()
        assert (kernel.interrupts, end.begun, end.gave_up) == (1, True, False)
        async with asyncio.timeout(10):
            await kernel.given_up.wait()
        assert end.gave_up


async def test_it_begins_after_a_while_once_and_not_at_all_where_it_was_begun():
    kernel = Noted()
    with Interruption(kernel, 0.01, kernel.given_up.set) as end:
        end.begin_after(0.0)
        async with asyncio.timeout(10):
            await kernel.given_up.wait()
        assert kernel.interrupts == 1


@pytest.mark.parametrize("begin", ["begin", "begin_after"])
async def test_leaving_the_block_calls_off_what_was_to_come(begin):
    kernel = Noted()
    with Interruption(kernel, 0.0, kernel.given_up.set) as end:
        end.begin() if begin == "begin" else end.begin_after(0.0)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not kernel.given_up.is_set()
    assert kernel.interrupts == (begin == "begin")


async def test_a_kernel_that_has_just_died_is_no_error_of_it():
    kernel = Noted(KernelDied("gone"))
    with Interruption(kernel, 100, kernel.given_up.set) as end:
        end.begin()
        assert end.begun


DEAF = """
import time
while True:
    try:
        print("on", flush=True)
        time.sleep(600)
    except KeyboardInterrupt:
        pass
"""


async def test_a_kernel_that_does_not_care_is_ended_for_the_deadline():
    async with launch("python3") as kernel, asyncio.timeout(60):
        end = Interruption(kernel, 0.1, lambda: kernel.supervisor.stop(for_deadline=True))

        def begin(message):
            if message.msg_type == "stream":
                end.begin()

        with end, pytest.raises(KernelDied):
            await kernel.execute(DEAF, receive=begin)
        assert end.gave_up
        assert kernel.status.cause == "deadline"
