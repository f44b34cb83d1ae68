"""Work beside a block, ended with it: the one place where tasks are made outside a TaskGroup.

A TaskGroup wraps what the block raises into an ExceptionGroup, which would reach every user of
``async with moorage.launch(...)``. Here the block's exceptions pass unchanged.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from moorage.regular import reading_ends

T = TypeVar("T")


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None], *, name: str) -> AsyncIterator[asyncio.Task[None]]:
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


async def reaped(task: asyncio.Task[Any]) -> None:
    """Wait until ``task`` has ended, however often the waiter is cancelled meanwhile."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if not task.cancelled():
        task.exception()  # retrieved here so that the loop does not log it a second time
    if cancelled is not None:
        raise cancelled


async def aside(work: Callable[[], T]) -> T:
    """Return what ``work`` returns, which reads files in a thread meanwhile.

    Cancelling returns at once; what ``work`` reads through :mod:`moorage.regular` then ends with an OSError,
    so that no thread goes on.

    Args:
        work: blocks, and changes nothing that is of use when it does not come to its end.

    Raises:
        Exception: whatever ``work`` raises.
    """
    ended = threading.Event()
    context = contextvars.copy_context()
    context.run(reading_ends.set, ended)
    future = asyncio.get_running_loop().run_in_executor(None, context.run, work)
    try:
        return await asyncio.shield(future)
    finally:
        ended.set()
        # If the waiter was cancelled, what comes of it is of no use.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())


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
