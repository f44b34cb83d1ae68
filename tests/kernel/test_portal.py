"""One thread with one loop: what it does for others, and what it refuses."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest

from moorage.errors import UsageError
from moorage.kernel.portal import portal


async def name():
    return threading.current_thread().name


def test_work_is_done_in_one_thread_of_its_own():
    assert portal() is portal()
    assert portal().run(name()) == "moorage"
    assert portal().call(lambda: threading.current_thread().name) == "moorage"


def test_what_the_work_raises_is_raised():
    async def fails():
        raise KeyError("x")

    with pytest.raises(KeyError):
        portal().run(fails())


def test_a_loop_of_ones_own_can_await_it():
    async def main():
        return await portal().reach(name())

    assert asyncio.run(main()) == "moorage"


def test_a_block_is_entered_and_left_once_and_hears_how():
    told = []

    @asynccontextmanager
    async def block():
        try:
            yield 7
        except BaseException as error:
            told.append(type(error))
            raise
        else:
            told.append(None)

    for error, heard in ((None, None), (ValueError(), asyncio.CancelledError)):
        made = block()
        assert portal().enter(made) == 7
        portal().leave(made, error)
        portal().leave(made, error)
        assert told.pop() is heard
    assert not told


def test_the_thread_may_not_wait_for_itself():
    work = name()
    with pytest.raises(UsageError, match="callback"):
        portal().call(portal().run, work)
    work.close()
