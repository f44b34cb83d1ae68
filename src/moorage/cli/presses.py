"""Ctrl-C while a loop runs, and while the loop is held up by a question."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Presses:
    """Handles Ctrl-C: in the loop, or where a wait watches :meth:`fileno` too.

    Python carries out a signal's handler between two steps of its own. One that comes just before a read
    blocks would wait for the end of it, so what may block looks at the descriptor too, which is readable
    from the moment of the signal on (:func:`signal.set_wakeup_fd`).
    """

    def __init__(self, signals: socket.socket, handle: Callable[[], None]) -> None:
        """Made by :func:`presses`."""
        self._signals = signals
        self._handle = handle

    def fileno(self) -> int:
        """Return the descriptor that is readable when Ctrl-C was pressed and not handled yet."""
        return self._signals.fileno()

    def handle_pending(self) -> None:
        """Handle what was pressed."""
        signals = b""
        with suppress(BlockingIOError):
            signals = self._signals.recv(256)
        for _ in range(signals.count(signal.SIGINT)):
            self._handle()


@contextmanager
def presses(handle: Callable[[], None]) -> Iterator[Presses]:
    """Call ``handle`` in the running loop for each Ctrl-C, for as long as the block lasts.

    To be used in the main thread, in a loop that handles no signals itself.
    """
    loop = asyncio.get_running_loop()
    reading, writing = socket.socketpair()
    with reading, writing:
        for end in (reading, writing):
            end.setblocking(False)
        pressed = Presses(reading, handle)
        loop.add_reader(reading, pressed.handle_pending)
        wakes = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        handler = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            yield pressed
        finally:
            signal.signal(signal.SIGINT, handler)
            signal.set_wakeup_fd(wakes)
            loop.remove_reader(reading)
