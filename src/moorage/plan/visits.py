"""Records: what happens to visitors and their servers, what is to be done, and what a visitor has."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import NewType

from msgspec import Struct

from moorage.plan.clock import Tick

VisitorId = NewType("VisitorId", str)
"""Names a browser, by its cookie."""
ServerId = NewType("ServerId", str)
"""Names a server; it stands in its URL and is never used again."""
OfferName = NewType("OfferName", str)
"""Names what visitors can choose; empty where there is one thing alone."""
UNNAMED = OfferName("")


class OfferTerms(Struct, frozen=True):
    """How many servers of an offer there may be at once, 0 for as many as fit, and how many spares of it."""

    limit: int = 0
    spares: int = 0


class Shortage(enum.StrEnum):
    """What there is too little of for more servers."""

    DESCRIPTORS = "descriptors"
    MEMORY = "memory"

    @property
    def remedy(self) -> str:
        """What an operator can do, in words that a sentence may end with."""
        if self is Shortage.MEMORY:
            return "`--sleep`, `--idle` and `--max-age` free what is not used"
        return "raise `ulimit -Hn` of the service or use `--acceptors`"


class VisitorLimits(Struct, frozen=True):
    """What holds for all visitors.

    Attributes:
        capacity: how many servers there may be at once, spares among them.
        per_address: how many visitors of one address may have one, or wait for one; 0 for any number.
        max_age: seconds after which a server is ended that was handed out; 0 for never.
        fit: for how many servers there is room.
        shortage: what there would be too little of for more.
    """

    capacity: int
    per_address: int = 0
    max_age: float = 0.0
    fit: int = 1 << 30
    shortage: Shortage = Shortage.DESCRIPTORS

    @property
    def most(self) -> int:
        """How many servers there may be: the capacity, or fewer where no more fit."""
        return min(self.capacity, self.fit)


class ServerWanted(Struct, frozen=True):
    """A visitor wants a server.

    Attributes:
        visitor: that asks.
        server: a new name, for the case that one is started.
        offer: that it chose.
        address: that it comes from; empty where none counts.
    """

    visitor: VisitorId
    server: ServerId
    offer: OfferName = UNNAMED
    address: str = ""


class VisitorCame(Struct, frozen=True):
    """A page of a visitor asked how things stand: it is there."""

    visitor: VisitorId


class QueueLeft(Struct, frozen=True):
    """A visitor waits no longer."""

    visitor: VisitorId


class ServerAdopted(Struct, frozen=True):
    """A server of an earlier service is there.

    Attributes:
        visitor: that has it; None for a spare.
        server: its name.
        offer: that it is of.
        address: that its visitor came from; empty where none counts.
        age: seconds since it was handed out.
    """

    visitor: VisitorId | None
    server: ServerId
    offer: OfferName = UNNAMED
    address: str = ""
    age: float = 0.0


class ServerAnswered(Struct, frozen=True):
    """A server answers."""

    server: ServerId


class SpareChecked(Struct, frozen=True):
    """A spare that is handed out still answers, and is its visitor's by what is written down of it."""

    server: ServerId


class ServerEnded(Struct, frozen=True):
    """A server has ended, or could not be started, and nothing of it is left.

    Attributes:
        server: that has.
        why: how it ended, one clause.
        said: the last of what it wrote.
    """

    server: ServerId
    why: str
    said: str = ""


class EndAsked(Struct, frozen=True):
    """A server is to end."""

    server: ServerId
    why: str


class NextStep(Struct, frozen=True):
    """What is due next is asked for, until nothing is; ``server`` is a new name, should one be started."""

    server: ServerId


class OffersChanged(Struct, frozen=True):
    """Visitors can choose something else; a spare of before is for none of them."""

    terms: Mapping[OfferName, OfferTerms]


class LimitsChanged(Struct, frozen=True):
    """There may be more servers from now on, or fewer; what visitors have stays.

    Attributes:
        capacity: how many there may be at once; None for as many as before.
        spares: how many are kept ready of each offer, whatever its terms say; None for as many as before.
        offer: that ``spares`` counts for; None for each.
    """

    capacity: int | None = None
    spares: int | None = None
    offer: OfferName | None = None

    @property
    def words(self) -> str:
        """The change, for a log."""
        of = "each offer" if self.offer is None else f"offer {self.offer or 'without a name'}"
        told = [] if self.capacity is None else [f"capacity is {self.capacity} now"]
        told += [] if self.spares is None else [f"spares of {of} are {self.spares} now"]
        return ", ".join(told) or "nothing"


class DrainChanged(Struct, frozen=True):
    """No new visitors are let in from now on, or they are again; what visitors have stays."""

    draining: bool

    @property
    def words(self) -> str:
        """The change, for a log."""
        return "no new visitors are let in" if self.draining else "new visitors are let in"


class ServersFit(Struct, frozen=True):
    """There is room for so many servers, whatever the capacity is.

    Attributes:
        number: of servers, those that run among them.
        shortage: what there would be too little of for more.
    """

    number: int
    shortage: Shortage = Shortage.DESCRIPTORS


Event = (
    ServerWanted
    | VisitorCame
    | QueueLeft
    | Tick
    | ServerAdopted
    | ServerAnswered
    | SpareChecked
    | ServerEnded
    | EndAsked
    | NextStep
    | OffersChanged
    | LimitsChanged
    | DrainChanged
    | ServersFit
)


class StartServer(Struct, frozen=True):
    """Start a server; ``visitor`` is None for a spare, and ``address`` empty where none counts."""

    server: ServerId
    visitor: VisitorId | None
    offer: OfferName = UNNAMED
    address: str = ""


class HandOut(Struct, frozen=True):
    """Look whether a spare still answers, and write down whose it is: SpareChecked follows, or its end."""

    server: ServerId
    visitor: VisitorId
    address: str = ""


class Admit(Struct, frozen=True):
    """Let the visitor of a server in."""

    server: ServerId
    visitor: VisitorId


class ShutOut(Struct, frozen=True):
    """Let no request through to a server any more."""

    server: ServerId


class EndServer(Struct, frozen=True):
    """End a server; ``why`` is what its visitor is told."""

    server: ServerId
    why: str


Command = StartServer | HandOut | Admit | ShutOut | EndServer


class ServerStarting(Struct, frozen=True):
    """A server is on its way.

    Attributes:
        server: that is.
        since: the time at which it was asked for, or handed out by an earlier service.
        answered: whether it has, to an earlier service.
        spare: whether it was begun as one.
    """

    server: ServerId
    since: float
    answered: bool = False
    spare: bool = False


class SpareTaken(Struct, frozen=True):
    """A spare is being handed out, since the time ``since``."""

    server: ServerId
    since: float


class InQueue(Struct, frozen=True):
    """A server is started as soon as there is room, for a visitor that waits since the time ``since``."""

    since: float


class ServerReady(Struct, frozen=True):
    """A server answers, and was handed out at the time ``since``."""

    server: ServerId
    since: float


class ServerEnding(Struct, frozen=True):
    """A server was told to end."""

    server: ServerId
    why: str


class ServerGone(Struct, frozen=True):
    """A server has ended: how, what it said last, and whether it ever answered."""

    server: ServerId
    why: str
    said: str
    answered: bool


OnTheWay = InQueue | SpareTaken | ServerStarting | ServerEnding
"""What a visitor waits for the end of."""
Standing = OnTheWay | ServerReady | ServerGone
"""What a visitor has, or had last."""
