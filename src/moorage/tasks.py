"""Work beside a block, ended with it: the one place where tasks are made outside a TaskGroup.

A TaskGroup wraps what the block raises into an ExceptionGroup, which would reach every user of
``async with moorage.launch(...)``. Here the block's exceptions pass unchanged.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeAlias, TypeVar

from moorage.regular import reading_ends

T = TypeVar("T")
Work: TypeAlias = Coroutine[Any, Any, T]
"""What ``async def`` makes: to be awaited once, or run as a task."""


@asynccontextmanager
async def beside(work: Work[T], *, name: str) -> AsyncIterator[asyncio.Task[T]]:
    """Run ``work`` beside the block; leaving the block cancels it and waits until it has ended.

    Args:
        work: the coroutine to run.
        name: of its task.

    Raises:
        Exception: whatever ``work`` raised, when the block itself ends well.

    Cancelling while it waits for ``work`` to end is delivered once it has ended.
    """
    task = asyncio.create_task(work, name=name)  # noqa: TID251 - the one place
    try:
        yield task
    finally:
        task.cancel()
        await reaped(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


async def together(*works: Work[Any]) -> None:
    """Run all at once; the first that fails ends the others.

    Before Python 3.13 a TaskGroup that is cancelled while one of its tasks fails raises the error alone:
    where that is handled the task goes on, although it was to end. Here the cancellation is raised.

    Args:
        *works: what to run.

    Raises:
        Exception: what that one raised.

    Cancelling ends all, and is delivered once they have ended.
    """
    if not works:
        return
    tasks = [asyncio.create_task(work) for work in works]  # noqa: TID251 - the one place
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        failed = [task for task in tasks if task.done() and not task.cancelled() and task.exception()]
    finally:
        for task in tasks:
            task.cancel()
        await reaped(*tasks)
    for task in failed or tasks:
        task.result()


async def before_end(
    work: Awaitable[T], on_end: Callable[[Callable[[], None]], Callable[[], None] | None], at: float
) -> T:
    """Await work until it is done, until something ends, or until a time, whichever is first.

    Args:
        work: what to await; it is cancelled in the two other cases.
        on_end: has a function called, in the running loop, when that something ends or has ended; returns
            what calls that off, or None.
        at: the time, in seconds of the loop's clock.

    Raises:
        TimeoutError: it has ended, or the time has come.
    """
    waiting, call_off = True, None
    try:
        async with asyncio.timeout_at(at) as patience:
            # The end moves the deadline to now.
            call_off = on_end(lambda: patience.reschedule(0) if waiting and not patience.expired() else None)
            return await work
    finally:
        waiting = False
        if call_off is not None:
            call_off()


async def result_of(future: asyncio.Future[T]) -> T:
    """Wait for a future that others may wait for, too, and return its result or raise its exception.

    Cancelling leaves the future as it is. :func:`asyncio.shield` does that as well, but from Python 3.14 on
    it logs the exception of a future whose waiter was cancelled, be it handled elsewhere or not.
    """
    if not future.done():
        await asyncio.wait([future])
    return future.result()


async def to_its_end(work: Work[None], *, name: str) -> None:
    """Run ``work`` to its end, however often the waiter is cancelled meanwhile; that is delivered then.

    Args:
        work: ends by itself, and soon: what removes what else would be left.
        name: of its task.

    Raises:
        Exception: whatever ``work`` raised, where the waiter was not cancelled.
    """
    task = asyncio.create_task(work, name=name)  # noqa: TID251 - the one place
    await reaped(task)
    task.result()


async def reaped(*tasks: asyncio.Future[Any]) -> None:
    """Wait until all ``tasks`` have ended, however often the waiter is cancelled meanwhile."""
    cancelled: asyncio.CancelledError | None = None
    while not all(task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:
            cancelled = error
    for task in tasks:
        if not task.cancelled():
            task.exception()  # retrieved here so that the loop does not log it a second time
    if cancelled is not None:
        raise cancelled


def in_thread(work: Callable[[], T], *, name: str = "moorage") -> asyncio.Future[T]:
    """Begin blocking work in a daemon thread and return its result, to be awaited.

    Cancelling is done at once; what ``work`` reads through :mod:`moorage.regular` then ends with an OSError.
    Work of another kind goes on without effect, and the end of this process does not wait for it, as it would
    for the threads of an executor.

    Args:
        work: leaves nothing behind when it does not come to its end. What it raises is raised by awaiting.
        name: of the thread.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    ended = threading.Event()
    future.add_done_callback(lambda _: ended.set())
    context = contextvars.copy_context()
    context.run(reading_ends.set, ended)

    def settle(setting: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            setting(value)

    def run() -> None:
        with suppress(RuntimeError):  # the loop is closed: nothing waits any more
            try:
                result = context.run(work)
            except BaseException as error:  # noqa: BLE001 - raised where it is awaited
                loop.call_soon_threadsafe(settle, future.set_exception, error)
            else:
                loop.call_soon_threadsafe(settle, future.set_result, result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


@contextmanager
def every(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Call ``call`` in the running loop every so many seconds for as long as the block lasts."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def again() -> None:
        nonlocal timer
        timer = loop.call_later(seconds, again)
        call()

    timer = loop.call_later(seconds, again)
    try:
        yield
    finally:
        timer.cancel()
