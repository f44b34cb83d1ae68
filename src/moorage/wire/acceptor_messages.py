"""What a proxy and its acceptors tell each other: one JSON document a line, over a socket of their own.

The proxy gives orders with a number each; an acceptor carries them out one after the other and says so.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from moorage.errors import ProtocolError
from moorage.json_types import JsonObject


class Listener(msgspec.Struct, frozen=True):
    """A listening socket that an acceptor has inherited.

    Attributes:
        descriptor: of the socket.
        encrypted: whether connections are.
        redirect_to: port for HTTPS that each request is led to; 0 for none.
    """

    descriptor: int
    encrypted: bool = False
    redirect_to: int = 0


class TakeVisitors(msgspec.Struct, frozen=True, tag="take"):
    """Take visitors from these listeners alone from now on; what is open stays."""

    number: int
    listeners: tuple[Listener, ...]


class SetRoute(msgspec.Struct, frozen=True, tag="set"):
    """Add a route or change it.

    Attributes:
        number: of the order.
        prefix: of the route.
        extra: has its target.
        admission: which requests may take it, as an object with what its class says; None for all.
        shared: whether its server shares files with others.
        pages: whether the process that has the routes answers, with pages.
    """

    number: int
    prefix: tuple[bytes, ...]
    extra: JsonObject
    admission: JsonObject | None = None
    shared: bool = False
    pages: bool = False


class DropRoute(msgspec.Struct, frozen=True, tag="drop"):
    """Remove a route with everything that is open on it."""

    number: int
    prefix: tuple[bytes, ...]


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """Send a report."""

    number: int


Order: TypeAlias = TakeVisitors | SetRoute | DropRoute | Ask


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The order of this number is carried out."""

    number: int


class AcceptorReport(msgspec.Struct, frozen=True, tag="report"):
    """What an acceptor has done and has open.

    Attributes:
        counts: counters by name and status, since it began.
        kinds: open sockets by kind.
        idle: unused connections to servers among them.
        descriptors: open ones of the process.
        limit: of descriptors.
        room: how many of them visitors and servers may have.
        activity: ``last_activity`` and ``last_input`` of the routes where these have changed.
    """

    counts: tuple[tuple[str, int, int], ...]
    kinds: dict[str, int]
    idle: int
    descriptors: int
    limit: int
    room: int
    activity: tuple[tuple[tuple[bytes, ...], float, float], ...] = ()


News: TypeAlias = Done | AcceptorReport

_ENCODER = msgspec.json.Encoder()
_ORDERS = msgspec.json.Decoder(Order)
_NEWS = msgspec.json.Decoder(News)


def encode(message: Order | News) -> bytes:
    """Return the line that says a message."""
    return _ENCODER.encode(message) + b"\n"


def read_order(line: bytes) -> Order:
    """Return the order of a line.

    Raises:
        ProtocolError: it is none.
    """
    try:
        return _ORDERS.decode(line)
    except msgspec.DecodeError as error:
        raise ProtocolError("a line to an acceptor is no order", why=str(error)) from None


def read_news(line: bytes) -> News:
    """Return the news of a line.

    Raises:
        ProtocolError: it is none.
    """
    try:
        return _NEWS.decode(line)
    except msgspec.DecodeError as error:
        raise ProtocolError("a line of an acceptor is no news", why=str(error)) from None
