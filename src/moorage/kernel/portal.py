"""One thread with one event loop for threads that have none: behind ``moorage.blocking`` and the provisioner.

One portal serves all of a process; it is started when first needed. A forked child gets its own.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import Any, TypeVar

from moorage.errors import UsageError
from moorage.tasks import result_of

T = TypeVar("T")

# How long the loop's thread may take to stop when the interpreter ends (s).
_STOP = 5.0


class _Errand:
    """A coroutine on its way through the portal, which may be withdrawn at any moment."""

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self._work = work
        self._tasks: list[asyncio.Task[Any]] = []
        self._withdrawn = False
        self.ended = threading.Event()

    async def run(self) -> Any:
        """Do it, in the portal's loop."""
        try:
            if self._withdrawn:
                self._work.close()
                raise asyncio.CancelledError
            task = asyncio.current_task()
            self._tasks += [task] if task is not None else []
            return await self._work
        finally:
            self.ended.set()

    def withdraw(self) -> None:
        """Cancel it; called in the portal's loop."""
        self._withdrawn = True
        for task in self._tasks:
            task.cancel()


class Portal:
    """One thread with one event loop, both started when first needed."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="moorage", daemon=True)
        self._thread.start()
        self._process = os.getpid()
        self._blocks: list[Any] = []
        atexit.register(self.close)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` in the loop and return its result or raise its exception.

        An interrupt (Ctrl-C) cancels ``work``, waits until it has tidied up, and is raised.

        Raises:
            UsageError: it would wait for ever: called in the loop's thread, in a fork, or after the end.
        """
        if (error := self._refusal()) is not None:
            work.close()
            raise error
        errand = _Errand(work)
        future = asyncio.run_coroutine_threadsafe(errand.run(), self._loop)
        try:
            result: T = future.result()
        except BaseException:
            # Raised in this thread while the work goes on; or by the work, and then there is nothing to end.
            if not future.done():
                self._loop.call_soon_threadsafe(errand.withdraw)
                errand.ended.wait()
            raise
        return result

    def call(self, function: Any, *arguments: Any, **rest: Any) -> Any:
        """Call a function in the loop's thread and return its result or raise its exception."""
        if threading.current_thread() is self._thread:
            return function(*arguments, **rest)

        async def work() -> Any:
            return function(*arguments, **rest)

        return self.run(work())

    def enter(self, block: AbstractAsyncContextManager[T]) -> T:
        """Enter a kernel's asynchronous block; :meth:`close` leaves it if nothing else does."""
        entered = self.run(_entered(block))
        self._blocks.append(block)
        return entered

    def leave(self, block: Any, error: BaseException | None) -> None:
        """Leave a block, once; a fork of this process does not, for the kernel is not its own."""
        if self._process == os.getpid() and block in self._blocks:
            self._blocks.remove(block)
            self.run(_left(block, error))

    async def reach(self, work: Coroutine[Any, Any, T]) -> T:
        """Await ``work``, done in the portal's loop, from a coroutine of whatever loop runs here.

        Cancelling cancels ``work`` and does not wait for it to tidy up.

        Raises:
            UsageError: as :meth:`run`.
        """
        if (error := self._refusal()) is not None:
            work.close()
            raise error
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def step_in(self, block: AbstractAsyncContextManager[T]) -> T:
        """Enter a block in the portal's loop; :meth:`close` leaves it if nothing else does.

        Cancelling leaves it, at once or as soon as it was entered.
        """

        async def entering() -> T:
            entered = await block.__aenter__()
            self._blocks.append(block)
            return entered

        try:
            return await self.reach(entering())
        except asyncio.CancelledError:
            with suppress(RuntimeError):  # the loop is closed: then nothing is open any more
                asyncio.run_coroutine_threadsafe(self._step_out(block), self._loop)
            raise

    async def step_out(self, block: Any) -> None:
        """Leave such a block, once; nothing happens in a fork, or where the portal has left it itself."""
        if self._process == os.getpid() and block in self._blocks:
            # It goes on when the caller is cancelled: what is half left would be left for ever.
            left = asyncio.run_coroutine_threadsafe(self._step_out(block), self._loop)
            await result_of(asyncio.wrap_future(left))

    async def _step_out(self, block: Any) -> None:
        if block in self._blocks:
            self._blocks.remove(block)
            await _left(block, None)

    def _refusal(self) -> UsageError | None:
        if self._process != os.getpid():
            why, do = "It belongs to the process this one was forked from", "Launch one here"
        elif threading.current_thread() is self._thread:
            why = "A callback runs in the thread that would do the work"
            do = "Let the callback take a note, and do it where execute() was called"
        elif self._loop.is_closed():
            why, do = "This process is about to end", "Do it earlier"
        else:
            return None
        return UsageError("the kernel cannot be waited for here", why=why, do=do)

    def close(self) -> None:
        """End the kernels still open, and stop the loop."""
        if self._process != os.getpid() or self._loop.is_closed():
            return
        for block in reversed(list(self._blocks)):
            with suppress(Exception):  # nothing is left to tell it to, and the warden ends what is left
                self.leave(block, SystemExit())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP)
        if not self._thread.is_alive():
            self._loop.close()


_portals: dict[int, Portal] = {}
_locks: dict[int, threading.Lock] = {}


def portal() -> Portal:
    """Return this process's portal; a forked child does not use its parent's, whose thread it lacks."""
    process = os.getpid()
    with _locks.setdefault(process, threading.Lock()):
        if process not in _portals:
            _portals[process] = Portal()
        return _portals[process]


@contextmanager
def entered(block: AbstractAsyncContextManager[T]) -> Iterator[tuple[T, Portal]]:
    """Enter a kernel's asynchronous block for as long as a ``with`` block lasts.

    Args:
        block: not entered yet.

    Yields:
        What the block gives, and the portal that it belongs to.
    """
    through = portal()
    result = through.enter(block)
    try:
        yield result, through
    except BaseException as error:
        # The block's exception passes; the asynchronous block hears of it and kills without asking.
        through.leave(block, error)
        raise
    else:
        through.leave(block, None)


async def _entered(block: AbstractAsyncContextManager[T]) -> T:
    return await block.__aenter__()


async def _left(made: Any, error: BaseException | None) -> None:
    """Leave the asynchronous block, which raises an exception of its own only."""
    if error is None:
        await made.__aexit__(None, None, None)
        return
    # Not the exception itself: KeyboardInterrupt and SystemExit would end the portal's loop.
    stand_in = asyncio.CancelledError()
    try:
        await made.__aexit__(asyncio.CancelledError, stand_in, None)
    except asyncio.CancelledError as passed:
        if passed is not stand_in:
            raise
