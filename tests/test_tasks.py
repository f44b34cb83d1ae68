"""Work beside a block."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from moorage.regular import raise_if_ended
from moorage.tasks import before_end, beside, every, in_thread, reaped, result_of, to_its_end, together

pytestmark = pytest.mark.anyio


async def forever(ended=None):
    try:
        await asyncio.Event().wait()
    finally:
        if ended is not None:
            ended.append(True)


async def test_leaving_ends_the_work():
    ended = []
    async with beside(forever(ended), name="work") as task:
        await asyncio.sleep(0)
        assert task.get_name() == "work"
    assert ended
    assert task.cancelled()


async def test_what_the_block_raises_passes_unchanged():
    with pytest.raises(KeyError, match="mine"):
        async with beside(forever(), name="work"):
            raise KeyError("mine")


async def fails():
    raise LookupError("work")


async def test_what_the_work_raised_is_raised_at_the_end():
    with pytest.raises(LookupError, match="work"):
        async with beside(fails(), name="work"):
            await asyncio.sleep(0)


async def test_the_block_comes_before_the_work():
    with pytest.raises(KeyError):  # noqa: PT012 - it is about the block
        async with beside(fails(), name="work"):
            await asyncio.sleep(0)
            raise KeyError


async def test_cancelling_waits_for_the_end_of_the_work():
    steps = []

    async def slow():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            steps.append("work ended")

    async def block():
        async with beside(slow(), name="work"):
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(block())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        steps.append("block ended")
    assert steps == ["work ended", "block ended"]
    assert task.cancelled()


async def test_work_that_is_to_come_to_its_end_does_however_often_the_waiter_is_cancelled():
    go, done = asyncio.Event(), []

    async def work():
        await go.wait()
        done.append(True)

    waiter = asyncio.ensure_future(to_its_end(work(), name="work"))
    for _ in range(3):
        await asyncio.sleep(0)
        waiter.cancel()
    await asyncio.sleep(0)
    assert not waiter.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert done == [True]


async def test_what_goes_wrong_in_work_that_came_to_its_end_is_raised():
    async def work():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await to_its_end(work(), name="work")


async def test_reaping_what_has_ended_returns():
    async with asyncio.TaskGroup() as group:
        task = group.create_task(asyncio.sleep(0))
    await reaped(task)


async def test_every_so_often_until_the_end():
    calls = []
    enough = asyncio.Event()

    def call():
        calls.append(1)
        if len(calls) == 3:
            enough.set()

    with every(0.001, call):
        async with asyncio.timeout(5):
            await enough.wait()
    count = len(calls)
    await asyncio.sleep(0.01)
    assert len(calls) == count


async def test_a_call_that_raises_does_not_end_the_calls():
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    enough = asyncio.Event()
    calls = []

    def call():
        calls.append(1)
        if len(calls) > 1:
            enough.set()
        raise ValueError

    with every(0.001, call):
        async with asyncio.timeout(5):
            await enough.wait()
    assert told


async def test_what_is_read_in_a_thread_comes_back():
    assert await in_thread(lambda: threading.current_thread() is not threading.main_thread())
    with pytest.raises(KeyError):
        await in_thread(lambda: {}["x"])
    with pytest.raises(SystemExit):
        await in_thread(lambda: sys.exit(3))


async def test_cancelling_ends_the_reading():
    began, ended = threading.Event(), threading.Event()

    def read():
        began.set()
        try:
            while True:
                raise_if_ended()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await in_thread(read)
    assert began.is_set()
    assert await asyncio.to_thread(ended.wait, 60)


ENDLESS = """
import asyncio
from moorage.tasks import in_thread
def work():
    while True:
        pass
async def main():
    async with asyncio.timeout(0.2):
        await in_thread(work)
asyncio.run(main())
"""


def test_no_process_waits_for_work_that_does_not_end():
    done = subprocess.run([sys.executable, "-c", ENDLESS], capture_output=True, timeout=60, check=False)
    assert b"TimeoutError" in done.stderr


class TestBeforeEnd:
    async def wait(self, on_end, seconds=10):
        return await before_end(asyncio.Event().wait(), on_end, asyncio.get_running_loop().time() + seconds)

    async def test_what_is_done_first_is_returned(self):
        async def work():
            return 7

        called = []
        assert await before_end(work(), called.append, asyncio.get_running_loop().time() + 10) == 7
        called[0]()  # later it changes nothing

    async def test_an_end_stops_it(self):
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            await self.wait(lambda call: loop.call_soon(call).cancel)

    async def test_so_does_the_time(self):
        with pytest.raises(TimeoutError):
            await self.wait(lambda call: None, seconds=0.01)

    async def test_what_ends_it_is_called_off(self):
        off = []
        with pytest.raises(TimeoutError):
            await self.wait(lambda call: lambda: off.append(True), seconds=0.01)
        assert off == [True]


class TestResultOf:
    async def test_cancelling_leaves_the_future_and_nothing_is_logged(self):
        loop, logged = asyncio.get_running_loop(), []
        loop.set_exception_handler(lambda _, context: logged.append(context))
        try:
            future = loop.create_future()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await result_of(future)
            assert not future.cancelled()
            future.set_exception(OSError("handled elsewhere"))
            with pytest.raises(OSError, match="elsewhere"):
                await result_of(future)
            del future
            await asyncio.sleep(0)
            assert logged == []
        finally:
            loop.set_exception_handler(None)

    async def test_all_waiters_get_the_result(self):
        future = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as group:
            waiters = [group.create_task(result_of(future)) for _ in range(3)]
            await asyncio.sleep(0)
            future.set_result(7)
        assert [waiter.result() for waiter in waiters] == [7, 7, 7]


async def failing_at_its_end(error):
    try:
        await asyncio.Event().wait()
    finally:
        raise error


async def test_all_are_run_to_their_end():
    ran = []

    async def work(number):
        await asyncio.sleep(0.01 * (3 - number))
        ran.append(number)

    await together(*map(work, range(3)))
    await together()
    assert ran == [2, 1, 0]


async def test_the_first_error_of_several_ends_the_others_and_is_raised():
    async def fails():
        await asyncio.sleep(0)
        raise KeyError("first")

    ended = []
    with pytest.raises(KeyError, match="first"):
        await together(failing_at_its_end(ValueError("second")), fails(), forever(ended))
    assert ended == [True]


async def test_a_task_that_is_cancelled_while_another_fails_ends():
    """A TaskGroup of Python before 3.13 forgets the first of the two."""

    async def works_on():
        while True:
            try:
                await together(failing_at_its_end(KeyError("failed")))
            except KeyError:
                continue

    working = asyncio.ensure_future(works_on())
    await asyncio.sleep(0.01)
    working.cancel()
    done, _ = await asyncio.wait([working], timeout=60)
    assert done
    assert working.cancelled()


async def test_a_limit_that_passes_while_a_task_fails_is_told_as_such():
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(together(failing_at_its_end(KeyError("failed"))), 0.01)
