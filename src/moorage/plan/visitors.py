"""Which visitor has which temporary server, and how many there may be. No I/O, no clock.

==============  ==================================  ===========================================
event           when                                what follows
==============  ==================================  ===========================================
ServerWanted    the visitor has a server            nothing: it is the same one, for every tab
ServerWanted    a spare answers                     HandOut: it is looked at once more
ServerWanted    a spare starts                      nothing: the visitor waits for that one
ServerWanted    there is room                       StartServer; its last one is forgotten
ServerWanted    spares of other offers fill it      EndServer, of one; the visitor is in the queue
ServerWanted    as many as the capacity, or as the  nothing: the visitor is in the queue
                limit of the offer, run, or as fit
ServerWanted    its address has as many as it may   nothing: the visitor still has none
ServerWanted    no new visitors are let in          nothing: the visitor still has none, or its place
VisitorCame     it is in the queue                  nothing: it keeps its place
QueueLeft       it is in the queue                  nothing: the visitor has none
Tick            a visitor in the queue was silent   nothing: the visitor has none
Tick            it got one, and has not come since  ShutOut, EndServer
Tick            it has one for as long as it may    ShutOut, EndServer
ServerAdopted   at a start, of an earlier service   nothing: it is as one that starts
ServerAnswered  it was starting, for a visitor      Admit; HandOut where it was begun as a spare
ServerAnswered  it was starting, as a spare         nothing: it is ready
SpareChecked    it is being handed out              Admit
EndAsked        it is starting or ready             ShutOut where a visitor was let in; EndServer
ServerEnded     it was a spare                      nothing: no visitor knows of it
ServerEnded     it was being handed out             its visitor is the first to get another one
ServerEnded     it was starting, or being ended     its visitor has none, and is told why
ServerEnded     it was ready                        ShutOut; its visitor has none, and is told why
NextStep        there is room for the first that    HandOut or StartServer
                waits, or another offer's spare     EndServer, of that spare
NextStep        there are too many spares           EndServer, of the newest
NextStep        no new visitors are let in          EndServer, of a spare; the queue stands still
NextStep        there are too few, and room         StartServer without a visitor
OffersChanged   whenever                            EndServer, of all spares; what visitors have stays
LimitsChanged   whenever                            nothing: NextStep ends spares that are too many
DrainChanged    whenever                            nothing: NextStep ends all spares, and starts none
ServersFit      whenever                            nothing: visitors and spares keep what they have
==============  ==================================  ===========================================

A server counts until it has ended, be it a spare or a visitor's. What became of the last one of a visitor is
kept for the page that says so, of the newest :data:`~moorage.plan.standings.REMEMBERED` visitors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

from msgspec.structs import replace

from moorage.plan.census import Census, row_of
from moorage.plan.clock import Tick
from moorage.plan.spares import AllSpares, wanted_of
from moorage.plan.standings import is_live, known_name, oldest_gone, ready_for
from moorage.plan.visits import (
    Admit,
    Command,
    DrainChanged,
    EndAsked,
    EndServer,
    Event,
    HandOut,
    InQueue,
    LimitsChanged,
    NextStep,
    OfferName,
    OffersChanged,
    OfferTerms,
    OnTheWay,
    QueueLeft,
    ServerAdopted,
    ServerAnswered,
    ServerEnded,
    ServerEnding,
    ServerGone,
    ServerId,
    ServerReady,
    ServersFit,
    ServerStarting,
    ServerWanted,
    ShutOut,
    SpareChecked,
    SpareTaken,
    Standing,
    StartServer,
    VisitorCame,
    VisitorId,
    VisitorLimits,
)
from moorage.plan.waiting_line import LAPSE, WaitingLine

NEEDED = "its place is needed for another offer"


class Visitors:
    """All visitors and their servers.

    Args:
        capacity: how many servers there may be at once, spares among them.
        spares: how many of them are kept ready, until OffersChanged says more.
        at_once: of how many servers the start may be under way when one more spare is started.
        max_age: seconds after which a server is ended that was handed out; 0 for never.
        per_address: how many visitors of one address may have one, or wait for one; 0 for any number.
    """

    def __init__(
        self, capacity: int, spares: int = 0, at_once: int = 1, per_address: int = 0, max_age: float = 0.0
    ) -> None:
        self.limits = VisitorLimits(capacity, per_address, max_age)
        self.draining = False
        self._terms: Mapping[OfferName, OfferTerms] = {}
        self._spares = AllSpares(spares, at_once)
        self._standing: dict[VisitorId, Standing] = {}
        self._owners: dict[ServerId, VisitorId] = {}  # of servers that have not ended
        self._line = WaitingLine()
        self._addresses: dict[VisitorId, str] = {}  # of those that have one, or had
        self._chosen: dict[VisitorId, OfferName] = {}  # the offer of what each has, or had last

    @property
    def running(self) -> int:
        """How many servers have not ended, spares among them."""
        return len(self._owners) + len(self._spares) + len(self._spares.ending)

    @property
    def ready_spares(self) -> tuple[ServerId, ...]:
        """Spares that answer."""
        return self._spares.ready

    def census(self) -> Census:
        """Return all servers that have not ended, and how many visitors wait."""
        names = self._owners.values()
        addresses = self._addresses
        owned = (row_of(self._standing[each], self._chosen[each], addresses.get(each, "")) for each in names)
        rows = (*filter(None, owned), *self._spares.rows())
        return Census(rows, len(self._line), *wanted_of(self._spares))

    def has_room(self, offer: OfferName) -> bool:
        """Tell whether a visitor more that chooses an offer gets a server without waiting for an end."""
        taken = len(self._owners) + len(self._spares.ending) + len(self._line)
        room = not self.draining and taken < self.limits.most
        return room and self._is_within(offer, len(self._of(offer, self._line)))

    def known(self, names: Sequence[VisitorId]) -> VisitorId | None:
        """Return under which of its names a browser counts; None for one without."""
        return known_name(names, self._standing)

    def offer(self, visitor: VisitorId) -> OfferName | None:
        """Return the offer that a visitor has a server of, or waits for; None where it has neither."""
        return self._chosen[visitor] if is_live(self._standing.get(visitor)) else None

    @property
    def next_in_line(self) -> VisitorId | None:
        """The first in the queue that a server can be had for now; None where there is none."""
        return next((each for each in self._wanting() if self._at_hand(self._chosen[each])), None)

    def _refuses(self, address: str) -> bool:
        """Tell whether an address has as many as it may."""
        there = (*self._owners.values(), *self._line)
        has = sum(self._addresses.get(visitor) == address for visitor in there)
        return bool(self.limits.per_address and address) and has >= self.limits.per_address

    def place(self, visitor: VisitorId) -> tuple[int, int]:
        """Return the place of a visitor in the queue, from 1 on, and how many wait."""
        return self._line.place(visitor), len(self._line)

    def _of(self, offer: OfferName, visitors: Iterable[VisitorId]) -> list[VisitorId]:
        return [visitor for visitor in visitors if self._chosen[visitor] == offer]

    def _is_within(self, offer: OfferName, more: int = 0) -> bool:
        """Tell whether the limit of an offer leaves one more, beside those that run and so many others."""
        limit = self._terms[offer].limit if offer in self._terms else 0
        return not limit or len(self._of(offer, self._owners.values())) + more < limit

    def standing(self, visitor: VisitorId) -> Standing | None:
        """Return what a visitor has, or had last; None for one without."""
        return self._standing.get(visitor)

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take in what happened and return what is to be done, in order.

        Args:
            event: what happened; of a server that has ended nothing follows.
            now: time in seconds, on any clock that never goes back.
        """
        match event:
            case ServerWanted():
                out = self._wanted(event, now)
            case VisitorCame() | QueueLeft() | Tick():
                out = self._handle_waiting(event, now)
            case ServerAdopted():
                out = self._adopt(event, now)
            case ServerAnswered(server):
                out = self._answered(server, now)
            case SpareChecked(server):
                out = self._checked(server, now)
            case ServerEnded(server, why, said):
                out = self._ended(server, why, said, now)
            case EndAsked(server, why):
                out = self._end(server, why)
            case NextStep(server):
                out = self._next(server, now)
            case OffersChanged() | LimitsChanged() | DrainChanged() | ServersFit():
                out = self._steer(event)
            case _:
                assert_never(event)
        return out

    def _wanted(self, wanted: ServerWanted, now: float) -> list[Command]:
        visitor, offer = wanted.visitor, wanted.offer
        has = self._standing.get(visitor)
        if self.draining:
            return []
        if isinstance(has, InQueue) and self._chosen[visitor] != offer:
            self._line.leave(visitor)  # and waits for this one, or gets it
        elif isinstance(has, OnTheWay | ServerReady) or self._refuses(wanted.address):
            return []
        room = self.has_room(offer)
        self._chosen[visitor] = offer
        self._addresses[visitor] = wanted.address
        if room and self._at_hand(offer):
            return self._get(visitor, wanted.server, now)
        self._standing[visitor] = InQueue(now)
        self._line.join(visitor, now)
        return self._end(self._spares.newest, NEEDED) if room else []

    def _handle_waiting(self, event: VisitorCame | QueueLeft | Tick, now: float) -> list[Command]:
        match event:
            case VisitorCame(visitor):
                self._line.asked(visitor, now)
            case QueueLeft(visitor):
                self._leave(visitor)
            case Tick():
                return self._look_at_time(now)
            case _:
                assert_never(event)
        return []

    def _leave(self, visitor: VisitorId) -> None:
        if visitor in self._line:
            self._line.leave(visitor)
            self._forget(visitor)

    def _look_at_time(self, now: float) -> list[Command]:
        """End what is too old; let visitors go that have stopped asking, in the queue or just out of it."""
        for visitor in self._line.gone(now):
            self._leave(visitor)
        out: list[Command] = []
        for server in ready_for(LAPSE, now, self._line.called, self._standing):
            out += self._end(server, "its visitor did not come when it was ready")
        for server in ready_for(self.limits.max_age, now, self._owners.values(), self._standing):
            out += self._end(server, "its time was over")
        return out

    def _at_hand(self, offer: OfferName) -> bool:
        """Tell whether a server of an offer can be had at once: a spare of it, or a place that is free."""
        return bool(self._spares.of(offer)) or self.running < self.limits.most

    def _get(self, visitor: VisitorId, server: ServerId, now: float) -> list[Command]:
        """Get a server for a visitor; there is room."""
        offer, address = self._chosen[visitor], self._addresses.get(visitor, "")
        spares = self._spares.of(offer)
        taken = None if spares is None else spares.take(now)
        if taken is None:
            self._owners[server] = visitor
            self._standing[visitor] = ServerStarting(server, now)
            return [StartServer(server, visitor, offer, address)]
        spare, ready = taken
        self._owners[spare] = visitor
        if not ready:
            self._standing[visitor] = ServerStarting(spare, now, spare=True)
            return []
        self._standing[visitor] = SpareTaken(spare, now)
        return [HandOut(spare, visitor, address)]

    def _adopt(self, adopted: ServerAdopted, now: float) -> list[Command]:
        visitor, server = adopted.visitor, adopted.server
        spares = self._spares.of(adopted.offer)
        if visitor is None and spares is not None:
            spares.begun(server)
        elif visitor is not None:
            self._owners[server] = visitor
            self._chosen[visitor] = adopted.offer
            self._addresses[visitor] = adopted.address
            self._standing[visitor] = ServerStarting(server, now - adopted.age, answered=True)
        return []

    def _answered(self, server: ServerId, now: float) -> list[Command]:
        self._spares.answered(server)
        visitor = self._owners.get(server)
        has = None if visitor is None else self._standing[visitor]
        if visitor is None or not isinstance(has, ServerStarting):
            return []
        if has.spare:
            self._standing[visitor] = SpareTaken(server, has.since)
            return [HandOut(server, visitor, self._addresses.get(visitor, ""))]
        self._standing[visitor] = ServerReady(server, has.since if has.answered else now)
        return [Admit(server, visitor)]

    def _checked(self, server: ServerId, now: float) -> list[Command]:
        visitor = self._owners.get(server)
        if visitor is None or not isinstance(self._standing[visitor], SpareTaken):
            return []
        self._standing[visitor] = ServerReady(server, now)
        return [Admit(server, visitor)]

    def _ended(self, server: ServerId, why: str, said: str, now: float) -> list[Command]:
        self._spares.ended(server, now)
        visitor = self._owners.pop(server, None)
        if visitor is None:
            return []
        has = self._standing.pop(visitor)  # and added again: the oldest are forgotten first
        if isinstance(has, SpareTaken):
            self._standing[visitor] = InQueue(has.since)
            self._line.join(visitor, now, first=True)
            return []
        self._line.called.discard(visitor)
        answered = not isinstance(has, ServerStarting) or has.answered
        why = has.why if isinstance(has, ServerEnding) else why
        self._standing[visitor] = ServerGone(server, why, said, answered=answered)
        for each in oldest_gone(self._standing):
            self._forget(each)
        return [ShutOut(server)] if isinstance(has, ServerReady) else []

    def _end(self, server: ServerId, why: str) -> list[Command]:
        if self._spares.end(server):
            return [EndServer(server, why)]
        visitor = self._owners.get(server)
        has = None if visitor is None else self._standing[visitor]
        if visitor is None or not isinstance(has, ServerStarting | SpareTaken | ServerReady):
            return []
        self._standing[visitor] = ServerEnding(server, why)
        out: list[Command] = [ShutOut(server)] if isinstance(has, ServerReady) else []
        return [*out, EndServer(server, why)]

    def _steer(self, event: OffersChanged | LimitsChanged | DrainChanged | ServersFit) -> list[Command]:
        match event:
            case OffersChanged(terms):
                return self._change(terms)
            case LimitsChanged(capacity, spares, offer):
                if capacity is not None:
                    self.limits = replace(self.limits, capacity=capacity)
                if spares is not None:
                    self._spares.keep(spares, offer)
            case DrainChanged(draining):
                self.draining = draining
            case ServersFit(number, shortage):
                self.limits = replace(self.limits, fit=number, shortage=shortage)
            case _:
                assert_never(event)
        return []

    def _next(self, server: ServerId, now: float) -> list[Command]:
        crowded = self.draining or self.running - len(self._spares.ending) > self.limits.capacity
        if crowded and self._spares:
            why = "no new visitors are let in" if self.draining else "it is a spare too many"
            return self._end(self._spares.newest, why)
        return [] if self.draining else self._next_for_visitors(server, now)

    def _wanting(self) -> list[VisitorId]:
        """Return those in the queue that there is room for, were it not for spares."""
        line = self._line if len(self._owners) < self.limits.most else ()
        return [visitor for visitor in line if self._is_within(self._chosen[visitor])]

    def _next_for_visitors(self, server: ServerId, now: float) -> list[Command]:
        if (visitor := self.next_in_line) is not None:
            self._line.call(visitor)
            return self._get(visitor, server, now)
        wanting = self._wanting()
        if self._spares and len(self._spares.ending) < len(wanting):
            return self._end(self._spares.newest, NEEDED)
        if (excess := self._spares.newest_too_many) is not None:
            return self._end(excess, "it is a spare too many")
        return [] if self.running >= self.limits.most or wanting else self._next_spare(server, now)

    def _next_spare(self, server: ServerId, now: float) -> list[Command]:
        starts = sum(isinstance(has, ServerStarting) for has in self._standing.values())
        starts += sum(spares.starting for _, spares in self._spares.items())
        for offer, spares in self._spares.items():
            open_places = self._is_within(offer, len(self._of(offer, self._line)) + len(spares))
            if open_places and spares.due(starts - spares.starting, now):
                spares.begun(server)
                return [StartServer(server, None, offer)]
        return []

    def _change(self, terms: Mapping[OfferName, OfferTerms]) -> list[Command]:
        """Take in other offers: a spare of before is not what they say now."""
        out = [step for each in tuple(self._spares) for step in self._end(each, "offers have changed")]
        self._terms = terms
        for visitor in self._line:
            if terms and self._chosen[visitor] not in terms:  # the visitor chooses anew
                self._leave(visitor)
        self._spares.change(terms)
        return out

    def _forget(self, visitor: VisitorId) -> None:
        del self._standing[visitor], self._chosen[visitor]
        self._addresses.pop(visitor, None)
