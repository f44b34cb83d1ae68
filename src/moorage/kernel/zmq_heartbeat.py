"""One echo of a kernel's heartbeat: what answers on its last socket has bound the others.

tslab binds its five sockets in threads of their own and listens at once. A request that comes before its main
thread has heard that the socket is bound ends the loop that reads it (``EBUSY``), and the kernel is deaf for
good: two of ninety starts on a busy machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import zmq

PATIENCE = 1.0
"""Seconds after the connection in which the echo comes, unless that loop is the one that ended."""


class Heartbeat:
    """Waits for one echo; all methods belong to the loop it was made in."""

    def __init__(self, socket: zmq.Socket[bytes], then: Callable[[], None]) -> None:
        """Listen to a socket.

        Args:
            socket: a DEALER that is not connected yet; closed at the end of the wait.
            then: called once there is an echo, or none within :data:`PATIENCE`.
        """
        self._socket, self._then = socket, then
        self._monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._timer: asyncio.TimerHandle | None = None

    def send(self) -> None:
        """Send what is to be echoed: the socket has been connected."""
        self._socket.send_multipart([b"", b"moorage"], zmq.NOBLOCK)
        loop = asyncio.get_running_loop()
        for each in (self._socket, self._monitor):
            loop.add_reader(int(each.FD), self._look)
        loop.call_soon(self._look)

    def close(self) -> None:
        """Wait no longer, and call nothing."""
        if self._socket.closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        for each in (self._socket, self._monitor):
            asyncio.get_running_loop().remove_reader(int(each.FD))
        self._socket.disable_monitor()
        self._socket.close()
        self._monitor.close()

    def _look(self) -> None:
        if self._socket.closed:
            return
        if self._timer is None and _arrived(self._monitor):
            self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._end)
        if _arrived(self._socket):
            self._end()

    def _end(self) -> None:
        self.close()
        self._then()


def _arrived(socket: zmq.Socket[bytes]) -> bool:
    """Take a message; False where there is none."""
    try:
        return bool(socket.recv_multipart(zmq.NOBLOCK))
    except zmq.Again:
        return False
