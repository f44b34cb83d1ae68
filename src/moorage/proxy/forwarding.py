"""A forward proxy: leads one connection after the other to hosts of a list, and to the addresses it checked.

A name is looked up once; what it leads to is checked, and that very address is connected to, so that a second
answer of its name server (DNS rebinding) changes nothing. Bytes go from socket to socket: nothing of a
connection is kept that the other end has not taken.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address

from moorage.errors import ProtocolError
from moorage.plan.egress import NOWHERE, Address, EgressList, Host, translated, written
from moorage.plan.egress_requests import MAX_HEAD, ForwardRequest, answer, read_forward_request
from moorage.tasks import in_thread, result_of
from moorage.wire.http import HEAD_END, RefusedHead

HEAD_SECONDS = 10.0
"""How long a request's head may take."""
REACH_SECONDS = 20.0
"""How long it may take to look up a host and to connect to it."""
ADDRESS_SECONDS = 6.0
"""... and to connect to one of its addresses."""
MOST_ADDRESSES = 4
"""How many of a host's addresses are tried."""
IDLE_SECONDS = 900.0
"""How long a connection may be without a byte."""
LINGER_SECONDS = 5.0
"""How long a refused connection is read, so that its end gets the answer."""
LOOKUPS = 2
"""How many names of one visitor are looked up at once: each takes a thread, and a name server its time."""
_PIECE = 65536
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

Resolve = Callable[[str, int], list[str]]
"""Returns the addresses of a name; blocks; raises OSError."""


class NotReached(ProtocolError):
    """A request that is answered with an error.

    Args:
        what: why, in a sentence.
        status: of the answer.
    """

    def __init__(self, what: str, status: int) -> None:
        super().__init__(what)
        self.status = status


def addresses_of(name: str, port: int) -> list[str]:
    """Return the addresses of a name, as the system looks it up.

    Raises:
        OSError: it has none.
    """
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(each[4][0]).partition("%")[0] for each in found))


def is_own(address: Address) -> bool:
    """Tell whether an address is one of this machine: a socket can be bound to it.

    Where the system lets sockets be bound to any (ip_nonlocal_bind), it is one that reaches itself.
    """
    four = isinstance(address, IPv4Address)
    family, nowhere = (socket.AF_INET, "192.0.2.1") if four else (socket.AF_INET6, "2001:db8::1")
    if not _binds(family, str(address)):
        return False
    if not _binds(family, nowhere):
        return True
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), 9))  # which sends nothing
        except OSError:
            return False
        return ip_address(probe.getsockname()[0]) == address


def _binds(family: int, address: str) -> bool:
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


@dataclass
class ForwardUse:
    """What one visitor's connections have done.

    Attributes:
        opened: how many reached a host.
        refused: how many were not let to theirs.
        sent: bytes to hosts.
        received: bytes of hosts.
    """

    opened: int = 0
    refused: int = 0
    sent: int = 0
    received: int = 0


@dataclass
class Forwarder:
    """Forwards the connections of one visitor.

    Args:
        allowed: returns the list of hosts that holds now.
        refused: is told of each request that the list does not allow, in a sentence.
        resolve: looks up a name.
        own: tells whether an address is this machine's.

    Attributes:
        use: what has been done.
    """

    allowed: Callable[[], EgressList] = lambda: NOWHERE
    refused: Callable[[str], None] = lambda _: None
    resolve: Resolve = addresses_of
    own: Callable[[Address], bool] = is_own
    use: ForwardUse = field(default_factory=ForwardUse)
    _lookups: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LOOKUPS))

    async def forward(self, client: socket.socket) -> None:
        """Do what a connection asks for, until it ends.

        Args:
            client: the connection, not blocking; left open.

        Cancelling ends it. What goes wrong is told to the client, where it still can be.
        """
        try:
            request, early = await _request(client)
            host = await self._reached(request)
        except (RefusedHead, NotReached) as error:
            await _last_answer(client, answer(error.status, error.what))
            return
        except OSError:  # the client is gone, or says nothing
            return
        with host:
            self.use.opened += 1
            await self._connect(client, host, request, early)

    async def _connect(
        self, client: socket.socket, host: socket.socket, request: ForwardRequest, early: bytes
    ) -> None:
        """Copy both directions until both have ended, or one is broken, or nothing comes any more."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(IDLE_SECONDS) as patience, asyncio.TaskGroup() as tasks:

                def sent(count: int) -> None:
                    patience.reschedule(loop.time() + IDLE_SECONDS)
                    self.use.sent += count

                def received(count: int) -> None:
                    patience.reschedule(loop.time() + IDLE_SECONDS)
                    self.use.received += count

                if not request.message:
                    await loop.sock_sendall(client, _ESTABLISHED)
                    await loop.sock_sendall(host, early)
                    sent(len(early))
                    tasks.create_task(_copy(client, host, sent))
                    tasks.create_task(_copy(host, client, received))
                else:
                    asking = tasks.create_task(_ask(client, host, request, early, sent))
                    await _copy(host, client, received)
                    asking.cancel()
        except* (OSError, RefusedHead):  # one end is gone, both are silent, or what comes is no body
            pass

    async def _reached(self, request: ForwardRequest) -> socket.socket:
        """Return a connection to the host that a request names.

        Raises:
            NotReached: it is not allowed, or does not answer.
        """
        allowed, host, port = self.allowed(), request.host, request.port
        what = f"{written(host)}:{port}"
        if not allowed.allows(host, port):
            raise self._refusal(allowed.refusal(host, port))
        try:
            async with asyncio.timeout(REACH_SECONDS):
                found = await self._addresses(host, port)
                usable = [each for each in found if self._may(allowed, each, port)]
                if not usable:
                    raise self._refusal(f"{host} has no public address")
                return await _opened(usable[:MOST_ADDRESSES], port)
        except TimeoutError:
            raise NotReached(f"{what} does not answer in time", 504) from None
        except OSError as error:
            raise NotReached(f"{what} is not reached: {error.strerror or error}", 502) from None

    def _may(self, allowed: EgressList, address: Address, port: int) -> bool:
        if allowed.names(address, port):
            return True
        return allowed.reaches(address, port) and not self.own(translated(address))

    def _refusal(self, sentence: str) -> NotReached:
        self.use.refused += 1
        self.refused(sentence)
        return NotReached(sentence, 403)

    def _looked_up(self, looking: asyncio.Future[list[str]]) -> None:
        """Give a place free once its thread has ended, also where nothing waits for that any more."""
        self._lookups.release()
        if not looking.cancelled():
            looking.exception()  # taken here: the loop would log it

    async def _addresses(self, host: Host, port: int) -> list[Address]:
        if not isinstance(host, str):
            return [host]
        await self._lookups.acquire()
        try:
            looking = in_thread(lambda: self.resolve(host, port), name="look up a host")
        except BaseException:  # there is no room for a thread
            self._lookups.release()
            raise
        looking.add_done_callback(self._looked_up)
        try:
            return [ip_address(each) for each in await result_of(looking)]
        except OSError:  # told as an address that is not public: names inside are not to be guessed by that
            return []


async def _request(client: socket.socket) -> tuple[ForwardRequest, bytes]:
    """Return the request of a connection, and what came behind its head.

    Raises:
        RefusedHead: it is none.
        OSError: none comes.
    """
    data = b""
    try:
        async with asyncio.timeout(HEAD_SECONDS):
            while (end := data.find(HEAD_END)) < 0 and len(data) <= MAX_HEAD:
                if not (more := await _read(client)):
                    raise ConnectionResetError
                data += more
    except TimeoutError:
        raise RefusedHead("the head did not come in time", 408) from None
    if end < 0:
        raise RefusedHead("the head is too long", 431)
    return read_forward_request(data, end), data[end + len(HEAD_END) :]


async def _opened(addresses: list[Address], port: int) -> socket.socket:
    """Return a connection to the first of some addresses that answers.

    Raises:
        OSError: none does; what the last one said.
    """
    loop = asyncio.get_running_loop()
    failure: OSError = ConnectionRefusedError()
    for address in addresses:
        family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
        try:
            host = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:  # this machine has no IPv6
            failure = error
            continue
        try:
            host.setblocking(False)
            host.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            host.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            async with asyncio.timeout(ADDRESS_SECONDS):
                await loop.sock_connect(host, (str(address), port))
        except OSError as error:
            host.close()
            failure = error
        except BaseException:
            host.close()
            raise
        else:
            return host
    raise failure


async def _read(source: socket.socket) -> bytes:
    """Return what a socket has next, in a turn of its own: one that is ready always has no turn otherwise."""
    await asyncio.sleep(0)
    return await asyncio.get_running_loop().sock_recv(source, _PIECE)


async def _copy(source: socket.socket, target: socket.socket, count: Callable[[int], None]) -> None:
    """Copy one direction until it ends, and tell the other end so."""
    loop = asyncio.get_running_loop()
    while data := await _read(source):
        await loop.sock_sendall(target, data)
        count(len(data))
    target.shutdown(socket.SHUT_WR)


async def _ask(
    client: socket.socket,
    host: socket.socket,
    request: ForwardRequest,
    data: bytes,
    count: Callable[[int], None],
) -> None:
    """Send one plain request with its body, and nothing that comes behind it.

    Raises:
        RefusedHead: what comes is no body.
        OSError: one end is gone.
    """
    loop, body = asyncio.get_running_loop(), request.body
    await loop.sock_sendall(host, request.message)
    count(len(request.message))
    while body is not None:
        part = data[: body.take(data)]
        await loop.sock_sendall(host, part)
        count(len(part))
        if body.done:
            break
        if not (data := await _read(client)):
            raise ConnectionResetError
    while await _read(client):  # what would be another request has no answer
        pass
    raise ConnectionResetError  # the client has gone, and waits for no answer


async def _last_answer(client: socket.socket, message: bytes) -> None:
    """Send an answer, and read until the client has closed: closing sooner would take the answer back."""
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        async with asyncio.timeout(LINGER_SECONDS):
            await loop.sock_sendall(client, message)
            client.shutdown(socket.SHUT_WR)
            while await _read(client):
                pass
