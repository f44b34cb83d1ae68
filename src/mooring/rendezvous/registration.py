"""The registrar: one ROUTER at which every kernel of this loop registers, in either dialect.

It listens on 127.0.0.1, where every program of this machine may speak to it, so it takes anything: what is
no registration is counted and forgotten, each sender waits its turn behind nobody but one message of every
other, and none may queue more than a few.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from weakref import WeakKeyDictionary

import zmq

from mooring.errors import LaunchError
from mooring.wire.connection import ConnectionInfo
from mooring.wire.handshake import MOST_BYTES, Agreed, Reason, Registry, Send
from mooring.wire.registration import Terms

_log = logging.getLogger("mooring.rendezvous")

# A wake-up takes at most this many messages before other tasks get their turn: about a millisecond.
_BATCH = 64
# How many messages of one sender wait in memory; the rest waits in its own.
_QUEUE = 16
# Who connects and then does not speak ZeroMQ is hung up on after so many ms.
_SILENCE = 3000
# libzmq's own bound of 1023 would be met at the 205th kernel; in vain once a socket is open.
_MOST_SOCKETS = 65_535

OnRegistered = Callable[[ConnectionInfo], None]


class Registrar:
    """One ROUTER on 127.0.0.1 and whom it awaits; :func:`shared_registrar` makes one for each loop.

    ZeroMQ tells of new events by an edge-triggered descriptor: after every read or write the socket's
    pending events are looked at once more.
    """

    def __init__(self) -> None:
        """Bind a port and begin to listen, in the running loop.

        Raises:
            LaunchError: no port or descriptor is free.
        """
        self._loop = asyncio.get_running_loop()
        self._registry = Registry(lambda: secrets.token_hex(16))
        self._awaited: dict[str, OnRegistered] = {}
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        context.set(zmq.MAX_SOCKETS, _MOST_SOCKETS)
        with ExitStack() as undo, _explained():
            self._socket = undo.enter_context(context.socket(zmq.ROUTER))
            self._socket.linger = 0
            self._socket.set_hwm(_QUEUE)
            self._socket.setsockopt(zmq.MAXMSGSIZE, MOST_BYTES)
            self._socket.setsockopt(zmq.HANDSHAKE_IVL, _SILENCE)
            self._port = self._socket.bind_to_random_port("tcp://127.0.0.1")
            undo.pop_all()
        self._loop.add_reader(int(self._socket.FD), self._drain)

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return self._port

    @property
    def refused(self) -> Mapping[Reason, int]:
        """How many requests were refused, by reason."""
        return self._registry.refused

    def expect(self, terms: Terms, on_registered: OnRegistered) -> None:
        """Await a kernel until it has registered or is forgotten.

        Args:
            terms: what its registration file says.
            on_registered: called in the loop's thread with its addresses, once it has been acknowledged.

        Raises:
            ProtocolError: the terms have no key or id of their own.
        """
        self._registry.expect(terms)
        self._awaited[terms.kernel_id] = on_registered

    def forget(self, kernel_id: str) -> bool:
        """Await a kernel no longer.

        Returns:
            False when it was not awaited, because it has registered or never was.
        """
        self._registry.forget(kernel_id)
        return self._awaited.pop(kernel_id, None) is not None

    def close(self) -> None:
        """Stop listening. Idempotent."""
        if not self._socket.closed:
            self._loop.remove_reader(int(self._socket.FD))
            self._socket.close()

    def _drain(self) -> None:
        again = True  # also when a receiver raises: nothing else would tell of what still waits
        try:
            for _ in range(_BATCH):
                if self._socket.closed:
                    again = False
                    return
                try:
                    frames = self._socket.recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    again = False
                    return
                self._take(frames)
        finally:
            if again:
                self._loop.call_soon(self._drain)

    def _take(self, frames: list[bytes]) -> None:
        # Acknowledged at once: xeus waits five seconds and no longer.
        for command in self._registry.receive(frames, time.time()):
            match command:
                case Send(answer):
                    self._answer(answer)
                case Agreed(info, kernel_id):
                    if (on_registered := self._awaited.pop(kernel_id, None)) is not None:
                        on_registered(info)
                case _:
                    _log.debug("a registration was refused: %s (%s)", command.reason, command.why)

    def _answer(self, frames: tuple[bytes, ...]) -> None:
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.ZMQError as error:
            # It has hung up meanwhile, or never reads: its launcher's deadline will tell.
            _log.debug("a registration could not be answered: %s", error)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except zmq.ZMQBaseError as error:
        raise LaunchError(
            "there is no port at which kernels could register",
            why=str(error),
            do="Raise `ulimit -n`, or use --rendezvous ipc or hold",
        ) from error


class _Share:
    """A loop's registrar and how many use it."""

    def __init__(self) -> None:
        self.registrar = Registrar()
        self.users = 0


_shares: WeakKeyDictionary[asyncio.AbstractEventLoop, _Share] = WeakKeyDictionary()


@contextmanager
def shared_registrar() -> Iterator[Registrar]:
    """Yield the registrar that everybody in the running loop uses: the first opens it, the last closes it.

    Leave it in the thread of the same loop, which may have stopped.

    Raises:
        LaunchError: no port or descriptor is free.
    """
    loop = asyncio.get_running_loop()
    share = _shares.get(loop)
    if share is None:
        share = _shares[loop] = _Share()
    share.users += 1
    try:
        yield share.registrar
    finally:
        share.users -= 1
        if share.users == 0:
            del _shares[loop]
            share.registrar.close()
