"""Passing on what a process says to a descriptor of the caller: a terminal, a log, a pipe.

The descriptor is shared with every process that inherited it and cannot be made non-blocking for us alone,
and writing to a pipe that is not read would stop every kernel of the loop. So a piece is written only when
the descriptor says that it takes one; meanwhile the process waits, and only that one, as if it had written
there itself.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable

if sys.platform != "win32":
    import select

# What a pipe takes without blocking once it says that it is writable: PIPE_BUF, in pipe(7).
_PIECE = 4096


class Tee:
    """One direction of passing on; :meth:`close` lets go once everything has been passed on.

    Args:
        loop: the running loop.
        target: where to; it is duplicated: the caller closes its own.

    Raises:
        OSError: no descriptors are left.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, target: int) -> None:
        self._loop = loop
        self._target = os.dup(target)
        self._waiting = bytearray()
        self._watched = False
        self._closing = False
        self._resume: Callable[[], None] = _nothing

    def write(self, data: bytes, resume: Callable[[], None]) -> bool:
        """Pass ``data`` on, now or as soon as the target takes it.

        Args:
            data: any number of bytes.
            resume: called when there is room again, if there is none now.

        Returns:
            whether there is room for more; a target that is gone takes everything.
        """
        if self._target >= 0:
            self._waiting += data
            self._resume = resume
            self._flush()
        return not self._waiting

    def close(self) -> None:
        """Let the target go when it has taken what waits, or is gone."""
        self._closing = True
        self._resume = _nothing
        self._flush()

    def _flush(self) -> None:
        while self._waiting and _takes(self._target):
            try:
                del self._waiting[: os.write(self._target, self._waiting[:_PIECE])]
            except BlockingIOError:  # another process made it non-blocking, and was faster
                break
            except OSError:  # the reader is gone: what is captured is captured all the same
                self._waiting.clear()
                self._closing = True
        if self._waiting and not self._watched:
            self._loop.add_writer(self._target, self._writable)
            self._watched = True
        if not self._waiting and self._closing:
            self._let_go()

    def _writable(self) -> None:
        self._flush()
        if not self._waiting and self._watched:
            self._loop.remove_writer(self._target)
            self._watched = False
            resume, self._resume = self._resume, _nothing
            resume()

    def _let_go(self) -> None:
        if self._target >= 0:
            if self._watched:
                self._loop.remove_writer(self._target)
                self._watched = False
            os.close(self._target)
            self._target = -1


def _takes(target: int) -> bool:
    """Tell whether a piece can be written without waiting; errors are found by writing."""
    if sys.platform != "win32":
        poll = select.poll()
        poll.register(target, select.POLLOUT)
        return bool(poll.poll(0))
    else:  # noqa: RET505 - without it mypy sees unreachable code elsewhere
        return True


def _nothing() -> None:
    """Return: nothing waits."""
