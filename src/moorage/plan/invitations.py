"""Invitations: which visitors have a seat by one, and why a link of one does not let in. No I/O, no clock.

A link says all of an invitation, and is signed; what is kept here is what a link cannot say: its seats that
are taken, and whether it was withdrawn. An invitation of which nothing is kept counts as withdrawn, so that a
lost record lets in none, and not all over again.

Times are seconds since the epoch, for invitations outlive the service.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Literal, NewType, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from moorage.plan.visits import UNNAMED, OfferName, VisitorId

InvitationId = NewType("InvitationId", str)
"""Names an invitation; it stands in its link and is never used again."""
InvitationState: TypeAlias = Literal["open", "used up", "expired", "withdrawn"]


class Invitation(Struct, frozen=True):
    """What a link says.

    Attributes:
        id: its name.
        seats: how many visitors it lets in.
        until: when it expires.
        offer: that it is for.
    """

    id: InvitationId
    seats: int
    until: int
    offer: OfferName = UNNAMED


class KeptInvitation(Struct, frozen=True):
    """What is kept of one, across restarts: the visitors that have a seat, in the order of coming."""

    invitation: Invitation
    seated: tuple[VisitorId, ...] = ()
    withdrawn: bool = False

    def state(self, now: float) -> InvitationState:
        """Return how it stands for a visitor without a seat."""
        if now >= self.invitation.until:
            return "expired"
        if self.withdrawn:
            return "withdrawn"
        return "used up" if len(self.seated) >= self.invitation.seats else "open"

    def lets_in(self, names: Collection[VisitorId], now: float) -> bool:
        """Tell whether a visitor that has a seat may still have a server started, under one of its names."""
        return self.state(now) in {"open", "used up"} and any(name in self.seated for name in names)


class Invitations:
    """All invitations of a service.

    A change is asked for, and comes back as what is to be kept; it counts once :meth:`keep` is told that it
    is: what could not be written down has not happened.

    Args:
        kept: of an earlier service.
    """

    def __init__(self, kept: Iterable[KeptInvitation] = ()) -> None:
        self._kept = {each.invitation.id: each for each in kept}

    def __iter__(self) -> Iterator[KeptInvitation]:
        return iter(tuple(self._kept.values()))

    def get(self, name: InvitationId) -> KeptInvitation | None:
        """Return one; None where nothing is kept of it."""
        return self._kept.get(name)

    def keep(self, kept: KeptInvitation) -> None:
        """Have a change count."""
        self._kept[kept.invitation.id] = kept

    def forget(self, name: InvitationId) -> None:
        """Keep nothing of one any more."""
        self._kept.pop(name, None)

    def state(self, invitation: Invitation, names: Collection[VisitorId], now: float) -> InvitationState:
        """Return how the invitation of a link stands for a visitor; ``open`` is one that lets it in.

        Args:
            invitation: as a link says it that this service has signed.
            names: of the visitor; a browser may have several.
            now: the time.
        """
        kept = self._kept.get(invitation.id)
        if kept is None:
            return "expired" if now >= invitation.until else "withdrawn"
        return "open" if kept.lets_in(names, now) else kept.state(now)

    def invites(self, names: Collection[VisitorId], offer: OfferName, now: float) -> bool:
        """Tell whether a visitor has a seat for an offer, by whatever invitation."""
        return self.inviting(names, offer, now) is not None

    def inviting(self, names: Collection[VisitorId], offer: OfferName, now: float) -> Invitation | None:
        """Return an invitation by which a visitor has a seat for an offer; None where there is none."""
        kept = (each for each in self if each.invitation.offer == offer and each.lets_in(names, now))
        return next((each.invitation for each in kept), None)

    def seated(
        self, name: InvitationId, visitor: VisitorId, names: Collection[VisitorId], now: float
    ) -> KeptInvitation | None:
        """Return what is to be kept when a visitor takes a seat; None where it gets none.

        A browser that comes back under another of its names keeps the seat that it has.

        Args:
            name: of the invitation.
            visitor: that is to have the seat.
            names: all that its browser has.
            now: the time.
        """
        kept = self._kept.get(name)
        if kept is None or (not kept.lets_in((*names, visitor), now) and kept.state(now) != "open"):
            return None
        if {visitor} == set(kept.seated) & {*names, visitor}:
            return kept
        others = tuple(each for each in kept.seated if each not in {*names, visitor})
        return replace(kept, seated=(*others, visitor))

    def left(self, name: InvitationId, visitor: VisitorId) -> KeptInvitation | None:
        """Return what is to be kept when a visitor gives its seat back; None where it has none."""
        kept = self._kept.get(name)
        if kept is None or visitor not in kept.seated:
            return None
        return replace(kept, seated=tuple(each for each in kept.seated if each != visitor))

    def expired(self, since: float) -> list[InvitationId]:
        """Return those that had expired at a time."""
        return [each.invitation.id for each in self if since >= each.invitation.until]
