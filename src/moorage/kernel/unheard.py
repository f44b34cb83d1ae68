"""A request of which a kernel shows no sign: the kernel is woken, in case it has missed that one came.

A kernel whose event loop waits on the descriptor of a ZeroMQ socket is woken by edges. xeus-python loses one
where a request comes while it sends the reply to another: sending takes note of all that happened to the
socket, and the descriptor tells of it no more. What the same client sends later changes nothing, for libzmq
tells of a connection's messages only after its queue was found empty. Another connection is told of.

A kernel that is busy with another client's code shows no sign either. Waking it changes nothing.

Source: ZMQ_FD in zmq_getsockopt(3); ``src/xasync_runner.cpp`` of xeus-python 0.19.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from moorage.errors import MoorageError
from moorage.kernel.request import Request

_log = logging.getLogger("moorage.kernel")

UNHEARD = 1.0
"""Seconds without a sign of a request after which the kernel is woken; each time twice as many."""


class Unheard:
    """Looks after the requests of one client; all methods belong to the loop it was made in."""

    def __init__(self, held: Callable[[Request], bool], wake: Callable[[], None]) -> None:
        """Begin with nothing asked.

        Args:
            held: tells whether a request is held back, for its kernel is being started again.
            wake: wakes the kernel; a MoorageError of it is logged.
        """
        self._held, self._wake = held, wake
        self._unheard: dict[Request, _Wait] = {}  # the oldest first
        self._running: Request | None = None
        self._timer: asyncio.TimerHandle | None = None

    def asked(self, request: Request) -> None:
        """Take note of a request."""
        if request.message.channel == "shell":
            self._unheard[request] = _Wait(monotonic(), UNHEARD)
            self._arm()

    def heard(self, request: Request) -> None:
        """Take note of a message that a request has caused."""
        if self._unheard.pop(request, None) is not None:
            self._running = request

    def close(self) -> None:
        """Wake it no more."""
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
        """Wake the kernel where the oldest request waits for long."""
        oldest = next((wait for each, wait in self._unheard.items() if not self._held(each)), None)
        now = monotonic()
        if oldest is not None and now - oldest.since >= oldest.seconds:
            oldest.since, oldest.seconds = now, 2 * oldest.seconds
            _log.info("no sign of a request yet: the kernel is woken")
            try:
                self._wake()
            except MoorageError as error:
                _log.warning("the kernel cannot be woken: %s", error)


@dataclass(slots=True)
class _Wait:
    """How long a request is waited for until the kernel is woken (again), and since when."""

    since: float
    seconds: float
