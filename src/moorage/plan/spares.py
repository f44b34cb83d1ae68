"""Servers that were started before a visitor wants one. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from moorage.plan.backoff import pause
from moorage.plan.census import CensusRow
from moorage.plan.visits import UNNAMED, OfferName, OfferTerms, ServerId

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds after which a spare is started again, where the ones before could not be."""
PUT_OFF = 1.0
"""Seconds after a hand-out until another spare is started: its visitor's page needs the processors first."""


class Spares:
    """The spares of one offer.

    Args:
        wanted: how many are kept ready.
        at_once: of how many servers the start may be under way when one more spare is started.
    """

    def __init__(self, wanted: int, at_once: int) -> None:
        self.wanted = wanted
        self._at_once = at_once
        self._starting: dict[ServerId, None] = {}  # oldest first, as in the other
        self._ready: dict[ServerId, None] = {}
        self._failures = 0
        self._not_before = 0.0

    def __len__(self) -> int:
        return len(self._starting) + len(self._ready)

    def __contains__(self, server: ServerId) -> bool:
        return server in self._starting or server in self._ready

    def __iter__(self) -> Iterator[ServerId]:
        yield from (*self._starting, *self._ready)

    @property
    def starting(self) -> int:
        """How many do not answer yet."""
        return len(self._starting)

    @property
    def ready(self) -> tuple[ServerId, ...]:
        """Those that answer."""
        return tuple(self._ready)

    @property
    def newest_too_many(self) -> ServerId | None:
        """The newest one, where there are more than are wanted."""
        return None if len(self) <= self.wanted else self.newest

    @property
    def newest(self) -> ServerId:
        """The newest one of those that do not answer yet, or of all that do; there must be one."""
        return next(reversed(self._starting or self._ready))

    def begun(self, server: ServerId) -> None:
        """One is on its way."""
        self._starting[server] = None

    def answered(self, server: ServerId) -> None:
        """One that was on its way answers; of another one nothing follows."""
        if server not in self._starting:
            return
        del self._starting[server]
        self._ready[server] = None
        self._failures = 0

    def take(self, now: float) -> tuple[ServerId, bool] | None:
        """Take out the oldest one, of those that answer where there are any; tell whether it does."""
        for servers, ready in ((self._ready, True), (self._starting, False)):
            for server in servers:
                del servers[server]
                if now >= self._not_before:  # one after the other they do not put it off for ever
                    self._not_before = now + PUT_OFF
                return server, ready
        return None

    def drop(self, server: ServerId) -> None:
        """Take one out that is to end."""
        self._starting.pop(server, None)
        self._ready.pop(server, None)

    def ended(self, server: ServerId, now: float) -> None:
        """Take one out that has ended; the next one is started later each time that this happens in a row."""
        self.drop(server)
        self._failures += 1
        self._not_before = now + pause(FIRST_PAUSE, LONGEST_PAUSE, self._failures)

    def due(self, starting: int, now: float) -> bool:
        """Tell whether one more is to be started.

        Args:
            starting: how many other servers do not answer yet.
            now: time in seconds, on any clock that never goes back.
        """
        under_way = starting + len(self._starting)
        return len(self) < self.wanted and under_way < self._at_once and now >= self._not_before


class AllSpares:
    """The spares of all offers, and those of them that are being ended.

    Args:
        wanted: how many are kept ready as long as there are no offers.
        at_once: of how many servers the start may be under way when one more spare is started.
    """

    def __init__(self, wanted: int, at_once: int) -> None:
        self.ending: dict[ServerId, OfferName] = {}
        self._at_once = at_once
        self._each: int | None = None
        self._told: dict[OfferName, int] = {}  # of single offers, since each was told
        self._by_offer = {UNNAMED: Spares(wanted, at_once)}

    def __len__(self) -> int:
        return sum(map(len, self._by_offer.values()))

    def __iter__(self) -> Iterator[ServerId]:
        for spares in self._by_offer.values():
            yield from spares

    def items(self) -> Iterator[tuple[OfferName, Spares]]:
        """Yield each offer with its spares."""
        yield from self._by_offer.items()

    def of(self, offer: OfferName) -> Spares | None:
        """Return the spares of an offer; None where there is no such offer."""
        return self._by_offer.get(offer)

    @property
    def ready(self) -> tuple[ServerId, ...]:
        """Those that answer."""
        return tuple(server for spares in self._by_offer.values() for server in spares.ready)

    @property
    def newest(self) -> ServerId:
        """The newest one of the offer that has most; there must be one."""
        return max(self._by_offer.values(), key=len).newest

    @property
    def newest_too_many(self) -> ServerId | None:
        """One that is not wanted any more."""
        return next(filter(None, (spares.newest_too_many for spares in self._by_offer.values())), None)

    def rows(self) -> Iterator[CensusRow]:
        """Yield what is told of each, also of those that are being ended."""
        for offer, spares in self._by_offer.items():
            for server in spares:
                yield CensusRow(server, "ready" if server in spares.ready else "starting", offer, spare=True)
        for server, offer in self.ending.items():
            yield CensusRow(server, "ending", offer, spare=True)

    def answered(self, server: ServerId) -> None:
        """One that was on its way answers; of another server nothing follows."""
        for spares in self._by_offer.values():
            spares.answered(server)

    def end(self, server: ServerId) -> bool:
        """Take one out that is being ended; tell whether it was one."""
        offer = next((offer for offer, spares in self._by_offer.items() if server in spares), None)
        if offer is not None:
            self._by_offer[offer].drop(server)
            self.ending[server] = offer
        return offer is not None

    def ended(self, server: ServerId, now: float) -> None:
        """Take one out that has ended; of another server nothing follows."""
        for spares in self._by_offer.values():
            if server in spares:
                spares.ended(server, now)
        self.ending.pop(server, None)

    def change(self, terms: Mapping[OfferName, OfferTerms]) -> None:
        """Have none but of other offers; those of before must have been taken out."""
        for_all = {} if self._each is None else dict.fromkeys(terms, self._each)
        wanted = {**{name: offer.spares for name, offer in terms.items()}, **for_all, **self._told}
        self._by_offer = {name: Spares(wanted[name], self._at_once) for name in terms}

    def keep(self, number: int, offer: OfferName | None = None) -> None:
        """Keep so many ready of an offer, or of each where none is named, whatever its terms say."""
        if offer is None:
            self._each, self._told = number, {}
        else:
            self._told[offer] = number
        for name, spares in self._by_offer.items():
            spares.wanted = number if offer in {None, name} else spares.wanted


def wanted_of(spares: AllSpares) -> tuple[int, int | None]:
    """Return how many are kept ready: of all offers, and of each where that is one number, else None."""
    each = [those.wanted for _, those in spares.items()]
    return sum(each), each[0] if len(set(each)) == 1 else None
