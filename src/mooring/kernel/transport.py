"""ZeroMQ sockets <-> frames: the only place in the kernel storey that knows ZeroMQ."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import zmq

from mooring.wire.connection import ConnectionInfo
from mooring.wire.messages import Channel

# A wake-up hands over at most this many messages before other tasks get their turn.
_BATCH = 256
# libzmq tries again this soon (ms) when nobody listens yet; its default of 100 ms would be the largest
# part of a kernel's start. It doubles up to the second figure.
_RECONNECT, _RECONNECT_MOST = 5, 100

_KINDS: dict[Channel, int] = {
    "shell": zmq.DEALER,
    "control": zmq.DEALER,
    "stdin": zmq.DEALER,
    "iopub": zmq.SUB,
}

Receiver = Callable[[Channel, list[bytes]], None]


class Transport:
    """The four message channels of one kernel, as ``async with``.

    ZeroMQ tells of new events by an edge-triggered descriptor: after every read or write of a socket its
    pending events are looked at once more, or a message would wait for the next one.
    """

    def __init__(self, info: ConnectionInfo, identity: bytes, receive: Receiver) -> None:
        """Describe the connection; nothing is opened before ``async with``.

        Args:
            info: the kernel's addresses.
            identity: routing id of this client, the same on shell and stdin so that the kernel's
                input requests find their way.
            receive: called with channel and frames for every message, in the loop's thread.
        """
        self._info = info
        self._identity = identity
        self._receive = receive
        self._sockets: dict[Channel, zmq.Socket[bytes]] = {}

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        context.setsockopt(zmq.MAX_SOCKETS, 65536)
        for channel, kind in _KINDS.items():
            socket = context.socket(kind)
            self._sockets[channel] = socket
            socket.linger = 0
            # Nothing is ever dropped on our side: outputs wait in memory rather than vanish.
            socket.set_hwm(0)
            socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT)
            socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MOST)
            if kind == zmq.SUB:
                socket.subscribe(b"")
            else:
                socket.routing_id = self._identity
            socket.connect(self._info.url(channel))
            loop.add_reader(int(socket.FD), self._drain, channel)
            loop.call_soon(self._drain, channel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        while self._sockets:
            _, socket = self._sockets.popitem()
            loop.remove_reader(int(socket.FD))
            socket.close()

    def send(self, channel: Channel, frames: Sequence[bytes | memoryview]) -> None:
        """Queue one message. Never blocks: what cannot be sent yet waits in memory.

        Args:
            channel: where to.
            frames: the message without routing ids.
        """
        self._sockets[channel].send_multipart(frames, zmq.NOBLOCK)
        asyncio.get_running_loop().call_soon(self._drain, channel)

    def _drain(self, channel: Channel) -> None:
        socket = self._sockets.get(channel)
        if socket is None:
            return
        for _ in range(_BATCH):
            try:
                frames = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._receive(channel, frames)
        asyncio.get_running_loop().call_soon(self._drain, channel)
