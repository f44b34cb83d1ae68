"""Closing a ZeroMQ socket so that nothing of it is left: libzmq closes them in threads of its own."""

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import ClassVar

import zmq

from moorage.tasks import result_of


class SocketEnd:
    """The moment when nothing is left of a socket in libzmq's threads.

    A monitor's last event comes as the socket is destroyed, after everything that may send for it. libzmq's
    thread that sends it waits for a reader, and destroys no socket of the process meanwhile: so the monitor
    is read until it has come, whether it is waited for or not.
    """

    _unread: ClassVar[set[SocketEnd]] = set()
    """Those that are waited for no longer; a socket that is collected would be closed."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        """Watch a socket that is about to be closed."""
        address = f"inproc://end-{next(_ends)}"
        # Not asyncio's, whatever the socket is.
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.shadow(socket.context.underlying)
        self._monitor = context.socket(zmq.PAIR)
        try:
            self._monitor.linger = 0
            self._monitor.connect(address)  # first: there may be no event without a reader
            socket.monitor(address, zmq.EVENT_MONITOR_STOPPED)
        except zmq.ZMQError:
            self._monitor.close()
            raise
        self._come: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def come(self) -> None:
        """Wait for it. Cancelling is safe."""
        self._read()
        await result_of(self._come)

    def close(self) -> None:
        """Wait no longer."""
        if not self._monitor.closed:
            self._unread.add(self)
            self._read()

    def _read(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(int(self._monitor.FD), self._look)
        loop.call_soon(self._look)

    def _look(self) -> None:
        while not self._monitor.closed:
            try:
                event = self._monitor.recv_multipart(zmq.NOBLOCK)[0]
            except zmq.Again:
                return
            if event_of(event) == zmq.EVENT_MONITOR_STOPPED:
                asyncio.get_running_loop().remove_reader(int(self._monitor.FD))
                self._monitor.close()
                self._unread.discard(self)
                self._come.set_result(None)


async def close_now(socket: zmq.Socket[bytes]) -> None:
    """Close a socket, and wait until nothing of it is left in libzmq's threads: what it holds is never sent.

    Without the wait a thread that gets no processor for a while sends it to whatever listens by then.
    Cancelling is safe.
    """
    try:
        end = SocketEnd(socket)
    except zmq.ZMQError:  # no descriptors are left
        socket.close(linger=0)
        return
    try:
        socket.close(linger=0)
        await end.come()
    finally:
        end.close()


_ends = itertools.count()


def event_of(event: bytes) -> int:
    """Return the number of a monitor's event: a zmq_event_t has it first, in the machine's byte order."""
    return int.from_bytes(event[:2], sys.byteorder)
