"""Which servers there are and how many visitors wait, for an operator's eyes. No I/O, no clock."""

from __future__ import annotations

from typing import Literal, TypeAlias, assert_never

from msgspec import Struct

from moorage.plan.visits import (
    InQueue,
    OfferName,
    ServerEnding,
    ServerGone,
    ServerId,
    ServerReady,
    ServerStarting,
    SpareTaken,
    Standing,
)

ServerState: TypeAlias = Literal["starting", "ready", "ending"]
"""``ready`` is a server that answers, and has been handed out where it is no spare."""


class CensusRow(Struct, frozen=True):
    """One server that has not ended.

    Attributes:
        server: its name.
        state: of it.
        offer: that it is of.
        spare: whether it is no visitor's.
        address: that its visitor counts for; empty for none.
        since: when it was handed out, or asked for where it is not yet; None for a spare and for what ends.
    """

    server: ServerId
    state: ServerState
    offer: OfferName
    spare: bool = False
    address: str = ""
    since: float | None = None


class Census(Struct, frozen=True):
    """How things stand.

    Attributes:
        servers: all that have not ended, oldest first.
        waiting: how many visitors wait.
        spares_wanted: of all offers together.
        spares_each: of each offer, where that is one number.
    """

    servers: tuple[CensusRow, ...]
    waiting: int
    spares_wanted: int
    spares_each: int | None = None


def row_of(standing: Standing, offer: OfferName, address: str) -> CensusRow | None:
    """Return the row of a visitor's server; None where it has none.

    Args:
        standing: what the visitor has, or had last.
        offer: that it chose.
        address: that it counts for.
    """
    match standing:
        case ServerReady(server, since):
            return CensusRow(server, "ready", offer, address=address, since=since)
        case ServerStarting(server, since) | SpareTaken(server, since):
            return CensusRow(server, "starting", offer, address=address, since=since)
        case ServerEnding(server):
            return CensusRow(server, "ending", offer, address=address)
        case InQueue() | ServerGone():
            return None
        case _:
            assert_never(standing)
