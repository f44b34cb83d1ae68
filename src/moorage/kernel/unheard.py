"""A request of which a kernel shows no sign: something small is asked, in case it was not woken for it.

A kernel that waits on the descriptor of a ZeroMQ socket, as xeus-python's event loop does, is woken by edges:
one that is missed leaves a request unread until the next one comes. A kernel that is busy with another
client's code shows no sign either, and answers one question more when it is done with that.

Source: ZMQ_FD in zmq_getsockopt(3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from moorage.kernel.request import Request

UNHEARD = 5.0
"""Seconds without a sign of a request after which the kernel is asked something."""


class Unheard:
    """Looks after the requests of one client; all methods belong to the loop it was made in."""

    def __init__(self, held: Callable[[Request], bool], ask: Callable[[], None]) -> None:
        """Begin with nothing asked.

        Args:
            held: tells whether a request is held back, for its kernel is being started again.
            ask: sends something small on the shell channel.
        """
        self._held, self._ask = held, ask
        self._unheard: dict[Request, float] = {}  # when each was sent, the oldest first
        self._running: Request | None = None
        self._timer: asyncio.TimerHandle | None = None

    def asked(self, request: Request) -> None:
        """Take note of a request."""
        if request.message.channel == "shell":
            self._unheard[request] = monotonic()
            self._arm()

    def heard(self, request: Request) -> None:
        """Take note of a message that a request has caused."""
        if self._unheard.pop(request, None) is not None:
            self._running = request

    def close(self) -> None:
        """Ask no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(UNHEARD, self._due)

    def _due(self) -> None:
        self._timer = None
        for request in [each for each in self._unheard if each.reply.done()]:
            del self._unheard[request]
        # What runs keeps the others waiting.
        if self._running is None or self._running.reply.done():
            self._look()
        if self._unheard:
            self._arm()

    def _look(self) -> None:
        """Ask where the oldest waits for long; once for each."""
        sent = ((each, since) for each, since in self._unheard.items() if not self._held(each))
        oldest, since = next(sent, (None, 0.0))
        if oldest is not None and monotonic() - since >= UNHEARD:
            del self._unheard[oldest]
            self._ask()
