"""ZeroMQ sockets <-> frames: the only place in the kernel storey that knows ZeroMQ."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

import zmq

from moorage.errors import MoorageError, ProtocolError
from moorage.kernel.transport import FrameReceiver, LineReceiver
from moorage.kernel.zmq_closing import SocketEnd, event_of
from moorage.kernel.zmq_heartbeat import Heartbeat
from moorage.wire.connection import ConnectionInfo, Socket
from moorage.wire.messages import Channel

_log = logging.getLogger("moorage.kernel")

# A wake-up hands over at most this many messages before other tasks get their turn.
_BATCH = 256
# libzmq tries again this soon (ms) when nothing listens yet; its default of 100 ms would be the largest
# part of a kernel's start. It doubles up to the second figure.
_RECONNECT, _RECONNECT_MOST = 5, 100

# libzmq's own bound of 1023 would be met at the 205th kernel.
_MOST_SOCKETS = 65_535

# TCP asks a peer that is silent for so long (s), so often and so many times, before it gives the line up.
_KEEPALIVE = {
    zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: 10,
    zmq.TCP_KEEPALIVE_INTVL: 5,
    zmq.TCP_KEEPALIVE_CNT: 3,
}

# Of libzmq's two threads (4), of four sockets and a monitor's two (6), of four connections.
_DESCRIPTORS = 14

_KINDS: dict[Channel, int] = {
    "shell": zmq.DEALER,
    "control": zmq.DEALER,
    "stdin": zmq.DEALER,
    "iopub": zmq.SUB,
}


class ZmqTransport:
    """The four message channels of one kernel over ZeroMQ; see :class:`moorage.kernel.transport.Transport`.

    ZeroMQ tells of new events by an edge-triggered descriptor: after every read or write of a socket its
    pending events are looked at once more, or a message would wait for the next one.
    """

    def __init__(self, info: ConnectionInfo, identity: bytes, *, after_heartbeat: bool = False) -> None:
        """Describe the connection; nothing is opened before ``async with``.

        Args:
            info: the kernel's addresses.
            identity: routing id of this client.
            after_heartbeat: send nothing before the kernel's heartbeat has been heard, see
                :mod:`moorage.kernel.zmq_heartbeat`.
        """
        self._info = info
        self._identity = identity
        self._receivers: list[FrameReceiver] = []
        self._sockets: dict[Channel, zmq.Socket[bytes]] = {}
        self._monitors: list[zmq.Socket[bytes]] = []
        self._hung_up = asyncio.Event()
        self._line_receivers: list[LineReceiver] = []
        self._waker: zmq.Socket[bytes] | None = None
        self._after_heartbeat = after_heartbeat
        self._heartbeat: Heartbeat | None = None
        self._unsent: list[tuple[Channel, Sequence[bytes | memoryview]]] = []

    async def __aenter__(self) -> Self:
        _check_descriptors()
        self._connect()
        return self

    def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        # Not setsockopt, which on a context gives defaults to its sockets. In vain once a socket is open.
        context.set(zmq.MAX_SOCKETS, _MOST_SOCKETS)
        keys = _curve_keys(self._info)
        try:
            with _descriptors_told():
                for channel, kind in _KINDS.items():
                    self._open(context, loop, channel, kind, keys)
                if self._after_heartbeat:
                    socket = context.socket(zmq.DEALER)
                    self._heartbeat = Heartbeat(socket, self._send_all)
                    self._dial(socket, "hb", keys)
                    self._heartbeat.send()
        except MoorageError:
            self._close()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def move(self, info: ConnectionInfo) -> None:
        """Connect to other addresses; what was sent to the old ones and not taken is lost.

        Args:
            info: where to; nothing happens where that is where we are.

        Raises:
            MoorageError: no descriptors are left.
        """
        elsewhere = any(self._info.url(channel) != info.url(channel) for channel in _KINDS)
        if elsewhere or self._info.curve_publickey != info.curve_publickey:
            self._close()
            self._info = info
            self._connect()

    async def drop_unsent(self) -> None:
        """Connect anew to the same addresses: what was not delivered yet never is.

        libzmq closes a socket in threads of its own, and until it has come to that it goes on connecting and
        sends what waits there: on a busy machine to whatever listens at the address by then. So their end is
        waited for; it takes 0.1 ms on an idle one. Cancelling is safe.

        Raises:
            MoorageError: no descriptors are left.
        """
        if not self._sockets:
            return
        ends: list[SocketEnd] = []
        try:
            with _descriptors_told():
                ends += (SocketEnd(self._sockets[channel]) for channel in _KINDS if channel != "iopub")
            self._close()
            self._connect()
            for end in ends:
                await end.come()
        finally:
            for end in ends:
                end.close()

    def wake(self) -> None:
        """Connect to the shell channel once more, beside, and keep that connection until the next time."""
        if not self._sockets:
            return
        if self._waker is not None:
            self._waker.close()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        with _descriptors_told():
            self._waker = context.socket(zmq.DEALER)
            self._dial(self._waker, "shell", _curve_keys(self._info))

    def _close(self) -> None:
        loop = asyncio.get_running_loop()
        if self._waker is not None:
            self._waker.close()
            self._waker = None
        if self._heartbeat is not None:
            self._heartbeat.close()
            self._heartbeat = None
        self._unsent.clear()
        while self._sockets:
            channel, socket = self._sockets.popitem()
            loop.remove_reader(int(socket.FD))
            if channel == "iopub":
                socket.disable_monitor()
            socket.close()
        while self._monitors:
            monitor = self._monitors.pop()
            loop.remove_reader(int(monitor.FD))
            monitor.close()

    def _open(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        loop: asyncio.AbstractEventLoop,
        channel: Channel,
        kind: int,
        keys: tuple[bytes, bytes] | None,
    ) -> None:
        socket = self._sockets[channel] = context.socket(kind)
        if kind == zmq.SUB:
            socket.subscribe(b"")
            self._watch(socket, loop)
        else:
            socket.routing_id = self._identity
        self._dial(socket, channel, keys)
        loop.add_reader(int(socket.FD), self._drain, channel)
        loop.call_soon(self._drain, channel)

    def _dial(self, socket: zmq.Socket[bytes], channel: Socket, keys: tuple[bytes, bytes] | None) -> None:
        socket.linger = 0
        # Nothing is ever dropped on our side: outputs wait in memory rather than vanish.
        socket.set_hwm(0)
        socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MOST)
        for option, value in _KEEPALIVE.items():
            socket.setsockopt(option, value)
        if keys is not None:
            socket.curve_serverkey = self._info.curve_publickey.encode()
            socket.curve_publickey, socket.curve_secretkey = keys
        socket.connect(self._info.url(channel))

    def on_frames(self, receive: FrameReceiver) -> None:
        """Call ``receive`` with channel and frames of every message, in the loop's thread."""
        self._receivers.append(receive)

    def on_line(self, receive: LineReceiver) -> None:
        """Call ``receive`` with False when the kernel hangs up, with True when a peer is there (again).

        What hangs up is the peer's operating system, at once when the process ends; a machine that is gone
        without a word is noticed by TCP after 25 s.
        """
        self._line_receivers.append(receive)

    def send(self, channel: Channel, frames: Sequence[bytes | memoryview]) -> None:
        """Queue one message. Never blocks: what cannot be sent yet waits in memory.

        Args:
            channel: where to.
            frames: the message without routing ids.

        Raises:
            ProtocolError: something that is no kernel listens there, so libzmq has hung up on it.
        """
        if self._heartbeat is not None:
            self._unsent.append((channel, frames))
            return
        try:
            self._sockets[channel].send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            raise ProtocolError(f"what listens at {self._info.url(channel)} is no kernel") from None
        asyncio.get_running_loop().call_soon(self._drain, channel)

    def _send_all(self) -> None:
        """Send what has waited for the heartbeat; what cannot be sent is told, its limit ends the wait."""
        self._heartbeat = None
        unsent, self._unsent = self._unsent, []
        for channel, frames in unsent:
            try:
                self.send(channel, frames)
            except ProtocolError as error:
                _log.warning("a request that waited for the heartbeat cannot be sent: %s", error)

    def drain(self) -> None:
        """Hand over everything that has arrived so far."""
        for channel in _KINDS:
            self._drain(channel)

    async def receive_rest(self, seconds: float) -> None:
        """Wait until the kernel, which has ended, has hung up, and hand over its last words.

        Args:
            seconds: wait no longer; a child that outlived the kernel may keep the line open.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hung_up.wait()
        self.drain()

    def _watch(self, socket: zmq.Socket[bytes], loop: asyncio.AbstractEventLoop) -> None:
        monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._monitors.append(monitor)
        loop.add_reader(int(monitor.FD), self._look, monitor)
        loop.call_soon(self._look, monitor)

    def _look(self, monitor: zmq.Socket[bytes]) -> None:
        while not monitor.closed:
            try:
                event = monitor.recv_multipart(zmq.NOBLOCK)[0]
            except zmq.Again:
                return
            there = event_of(event) == zmq.EVENT_HANDSHAKE_SUCCEEDED
            if there:
                self._hung_up.clear()
            else:
                self._hung_up.set()
            for receive in self._line_receivers:
                receive(there)

    def _drain(self, channel: Channel) -> None:
        socket = self._sockets.get(channel)
        if socket is None:
            return
        again = True  # also when a receiver raises: nothing else would tell of what still waits
        try:
            for _ in range(_BATCH):
                if socket.closed:  # by a receiver
                    return
                try:
                    frames = socket.recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    again = False
                    return
                for receive in self._receivers:
                    receive(channel, frames)
        finally:
            if again:
                asyncio.get_running_loop().call_soon(self._drain, channel)


def _check_descriptors() -> None:
    """Refuse to begin without the descriptors that libzmq needs.

    Where its threads get none for their epoll it ends the process (``src/epoll.cpp``), and where a
    connection gets none it tries again in silence.
    """
    held: list[int] = []
    try:
        with _descriptors_told():
            held.append(os.open(os.devnull, os.O_RDONLY))
            held += (os.dup(held[0]) for _ in range(_DESCRIPTORS - 1))
    finally:
        for descriptor in held:
            os.close(descriptor)


@contextmanager
def _descriptors_told() -> Iterator[None]:
    """Say what to do where libzmq has no descriptors left."""
    try:
        yield
    except (zmq.ZMQError, OSError) as error:
        raise MoorageError(
            "no more connections to kernels can be opened",
            why=error.strerror or str(error),
            do="Raise `ulimit -n` or run fewer kernels at once",
        ) from error


def _curve_keys(info: ConnectionInfo) -> tuple[bytes, bytes] | None:
    """Return the public and the secret key a client has, or None where nothing is encrypted.

    Raises:
        MoorageError: this libzmq cannot encrypt.
    """
    if not info.curve_publickey:
        return None
    if not zmq.has("curve"):
        raise MoorageError(
            "the kernel's channels are encrypted, and this pyzmq cannot encrypt",
            do="Install a pyzmq whose libzmq has CurveZMQ: those of PyPI have",
        )
    if info.curve_secretkey:
        return info.curve_publickey.encode(), info.curve_secretkey.encode()
    return zmq.curve_keypair()
