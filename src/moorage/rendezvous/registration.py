"""The registrar: one ROUTER at which every kernel of this loop registers, in either dialect.

It listens on the loopback, unless a place says otherwise, where every program of this machine may speak to
it, so it takes anything: a peer has one message of bounded size, what is no registration is counted and hung
up on, and so many peers are there at once and no more. That is why it speaks ZMTP itself
(:mod:`moorage.wire.zmtp`): a socket of libzmq keeps an unfinished message in memory however long it grows.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from moorage.errors import LaunchError, ProtocolError
from moorage.rendezvous.base import LOOPBACK
from moorage.wire import zmtp
from moorage.wire.connection import ConnectionInfo
from moorage.wire.handshake import Agreed, Reason, Registry, Send
from moorage.wire.registration import Terms

_log = logging.getLogger("moorage.rendezvous")

MOST_PEERS = 256
"""How many may be connected at once; then the oldest is hung up on, after it was read once more."""

# A wake-up accepts at most this many before other tasks get their turn: a few milliseconds.
_BATCH = 64
# How many connections wait to be accepted. Each costs 30 µs, so the last of them waits 30 ms, twice that
# where a flood has its share of the processors; one for which there is no room is tried again by the system
# after a second, and so is the flood's next.
_WAITING = 1024
# How soon to accept again (s) after descriptors have run out.
_LATER = 0.1

OnRegistered = Callable[[ConnectionInfo], None]


class Registrar:
    """A listening socket and the kernels it awaits; :func:`shared_registrar` makes one for each loop."""

    def __init__(self, ip: str = LOOPBACK) -> None:
        """Bind a port and begin to listen, in the running loop.

        Args:
            ip: the address to listen at.

        Raises:
            LaunchError: no port or descriptor is free.
        """
        self._loop = asyncio.get_running_loop()
        self._registry = Registry(lambda: secrets.token_hex(16))
        self._awaited: dict[str, OnRegistered] = {}
        self._peers: dict[socket.socket, zmtp.FirstMessage] = {}
        self._listening = _listen(ip)
        self._port = int(self._listening.getsockname()[1])
        self._loop.add_reader(self._listening, self._accept)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def refused(self) -> Mapping[Reason, int]:
        """How many requests were refused, by reason."""
        return self._registry.refused

    def expect(self, terms: Terms, on_registered: OnRegistered) -> None:
        """Await a kernel until it has registered or is forgotten.

        Args:
            terms: those of its registration file.
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
        """Stop listening and hang up on every peer. Idempotent."""
        if self._listening.fileno() >= 0:
            self._loop.remove_reader(self._listening)
            self._listening.close()
        for peer in list(self._peers):
            self._hang_up(peer)

    def _accept(self) -> None:
        for _ in range(_BATCH):
            try:
                peer, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    # The loop would report it again at once, and no more could be done about it then.
                    self._loop.remove_reader(self._listening)
                    self._loop.call_later(_LATER, self._accept_again)
                    return
                raise
            peer.setblocking(False)
            self._greet(peer)

    def _greet(self, peer: socket.socket) -> None:
        message = zmtp.FirstMessage()
        # A peer that sends a message before this side has greeted, as only a flood does, is hung up on before
        # it costs any more.
        if not self._receive(peer, message):
            peer.close()
            return
        self._send(peer, message.reply_greeting())
        self._peers[peer] = message
        self._loop.add_reader(peer.fileno(), self._on_readable, peer)
        if len(self._peers) > MOST_PEERS:
            first = next(iter(self._peers))
            self._on_readable(first)
            self._hang_up(first)

    def _accept_again(self) -> None:
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening, self._accept)

    def _on_readable(self, peer: socket.socket) -> None:
        message = self._peers.get(peer)
        if message is not None and not self._receive(peer, message):
            self._hang_up(peer)

    def _receive(self, peer: socket.socket, message: zmtp.FirstMessage) -> bool:
        """Take in what a peer sends, and answer; False when it is to be hung up on."""
        try:
            data = peer.recv(zmtp.MOST_BYTES)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        if not data or message.frames is not None:  # it has gone, or sends more than one message
            return False
        try:
            frames = message.receive(data)
        except ProtocolError as error:
            self._registry.refused["malformed"] += 1
            _log.debug("a registration was refused: malformed (%s)", error.what)
            return False
        return frames is None or self._take(peer, frames)

    def _take(self, peer: socket.socket, frames: tuple[bytes, ...]) -> bool:
        """Take a registration; False when there is no answer to it."""
        answered = False
        # Acknowledged at once: xeus waits five seconds and no longer.
        for command in self._registry.receive(frames, time.time()):
            match command:
                case Send(answer):
                    answered = True
                    self._send(peer, zmtp.message(answer))
                case Agreed(info, kernel_id):
                    if (on_registered := self._awaited.pop(kernel_id, None)) is not None:
                        on_registered(info)
                case _:
                    _log.debug("a registration was refused: %s (%s)", command.reason, command.why)
        return answered

    def _send(self, peer: socket.socket, data: bytes) -> None:
        try:
            # Fewer bytes than any socket's buffer, into one that is empty: they go out whole.
            peer.send(data)
        except OSError as error:  # it has hung up meanwhile
            _log.debug("a registration could not be answered: %s", error)

    def _hang_up(self, peer: socket.socket) -> None:
        if self._peers.pop(peer, None) is not None:
            self._loop.remove_reader(peer.fileno())
            peer.close()


def _listen(ip: str) -> socket.socket:
    """Bind and listen.

    Raises:
        LaunchError: no port or descriptor is free.
    """
    try:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listening.setblocking(False)
            listening.bind((ip, 0))
            listening.listen(_WAITING)
        except BaseException:
            listening.close()
            raise
    except OSError as error:
        raise LaunchError(
            "there is no port at which kernels could register",
            why=str(error),
            do="Raise `ulimit -n`, or use --rendezvous ipc or hold",
        ) from error
    return listening


class _Share:
    """A loop's registrar and how many use it."""

    def __init__(self, ip: str) -> None:
        self.registrar = Registrar(ip)
        self.users = 0


_shares: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Share]] = WeakKeyDictionary()


@contextmanager
def shared_registrar(ip: str = LOOPBACK) -> Iterator[Registrar]:
    """Yield the registrar of the running loop at an address: the first use opens it, the last closes it.

    Leave it in the thread of the same loop, which may have stopped.

    Raises:
        LaunchError: no port or descriptor is free.
    """
    loop = asyncio.get_running_loop()
    shares = _shares.setdefault(loop, {})
    share = shares.get(ip) or shares.setdefault(ip, _Share(ip))
    share.users += 1
    try:
        yield share.registrar
    finally:
        share.users -= 1
        if share.users == 0:
            del shares[ip]
            share.registrar.close()
