"""Invitations as visitors meet them: what a link invites to, and the pages that say why one does not.

A link that this service has not signed just so gets one and the same page, whatever is wrong with it; what is
said of the others is said to browsers that have a signed link.
"""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.plan.invitations import Invitation
from moorage.plan.visits import UNNAMED, VisitorId
from moorage.temp.invitation_book import InvitationBook
from moorage.temp.offers import Offer
from moorage.temp.pages import FrontPages
from moorage.temp.server import Serving
from moorage.temp.service import Service
from moorage.temp.wish import Wish

_USED_UP = (
    "It let in as many browsers as it may. If you came before, use the same browser as then: it has a seat. "
    "Else ask for another link where you got this one."
)
_REASONS = {
    "expired": (
        HTTPStatus.GONE,
        "This invitation has expired",
        "Its time is over. Ask for a new link where you got this one.",
    ),
    "used up": (
        HTTPStatus.FORBIDDEN,
        "All seats of this invitation are taken",
        _USED_UP,
    ),
    "withdrawn": (
        HTTPStatus.GONE,
        "This invitation was withdrawn",
        "It lets in no new visitors. Ask for a new link where you got this one.",
    ),
}


@dataclass(frozen=True)
class NotInvited:
    """A page that says why, with its status; ``why`` is that in one clause, for programs."""

    page: str
    status: HTTPStatus
    why: str


@dataclass(frozen=True)
class Invited:
    """A wish with its offer filled in, and the invitation that it came by, if any."""

    wanted: Wish
    by: Invitation | None = None


class Inviting:
    """Looks at the links of one service.

    Args:
        service: that has offers.
        pages: what is shown.
        book: all invitations.
    """

    def __init__(self, service: Service, pages: FrontPages, book: InvitationBook) -> None:
        self.book = book
        self._service = service
        self._pages = pages

    def invited(
        self, wanted: Wish, names: Sequence[VisitorId], serving: Serving | None = None
    ) -> Invited | NotInvited:
        """Return what a wish is for, or why its invitation does not let in; it takes no seat.

        Args:
            wanted: a wish; without an invitation it is returned as it is.
            names: all that the visitor's browser has.
            serving: the visitor's server: the link leads back to it, whatever has become of the invitation.
        """
        if not wanted.invitation:
            return Invited(wanted)
        invitation = self.book.read(wanted.invitation)
        if invitation is None:
            title = "This is no invitation of this page"
            text = (
                "A part of the link may be missing: copy all of it, from the message that it stands in. "
                "If that does not help, ask for a new one."
            )
            return self._refused(HTTPStatus.NOT_FOUND, title, text)
        offer = invitation.offer
        if serving is not None and serving.record.offer == offer:
            return Invited(replace(wanted, offer=UNNAMED, invitation=""))  # it may be offered no more
        state = self.book.state(invitation, names)
        if state != "open":
            return self._refused(*_REASONS[state])
        return self._elsewhere(invitation, wanted) or Invited(replace(wanted, offer=offer), invitation)

    def _elsewhere(self, invitation: Invitation, wanted: Wish) -> NotInvited | None:
        """Return what is said to a visitor whose invitation is for something else than it wants, or gone."""
        offer, called = invitation.offer, invitation.offer or "something else"
        if wanted.offer not in {UNNAMED, offer}:
            title = f"This invitation is for {called}, not for {wanted.offer}"
            return self._refused(HTTPStatus.FORBIDDEN, title, "Open its link as you got it, without changes.")
        if offer not in self._service.offers:
            title = f"This invitation is for {called}, which is not offered now"
            return self._refused(HTTPStatus.NOT_FOUND, title, "It may come back. Ask where you got the link.")
        return None

    def closed(self, offer: Offer, wanted: Wish, names: Sequence[VisitorId]) -> bool:
        """Tell whether a visitor needs an invitation that it has not; that of a wish has been looked at."""
        if not offer.invited_only or (wanted.invitation and wanted.offer == offer.name):
            return False
        return not self.book.invites(names, offer.name)

    def missing(self, wanted: Wish, names: Sequence[VisitorId]) -> NotInvited | None:
        """Return what is said to a visitor that was not let in; None where no invitation is missing."""
        again = self.invited(wanted, names)  # others may have taken the last seat meanwhile
        if isinstance(again, NotInvited):
            return again
        if not self.closed(self._service.offers[wanted.offer], wanted, names):
            return None
        title = "This is by invitation only"
        text = "Open the link that you were invited with, in this browser. If you have none, ask for one."
        return self._refused(HTTPStatus.FORBIDDEN, title, text)

    def lost_place(self, wanted: Wish, names: Sequence[VisitorId]) -> NotInvited | None:
        """Return what is said to a visitor that waits no longer; None where no invitation is missing."""
        missing = self.missing(wanted, names) if wanted.offer in self._service.offers else None
        if missing is None:
            return None
        title = "You have lost your place in the queue"
        text = f"{missing.why}. To come again you need another one: ask for it."
        return self._refused(missing.status, title, text)

    def not_written(self, wanted: Wish) -> NotInvited:
        """Return what is said where a seat cannot be written down."""
        title, why = "Your seat could not be written down", "The machine of this page has no room for that."
        page = self._pages.message(title, f"{why} Try again.", link=wanted.link, word="Try again")
        return NotInvited(page, HTTPStatus.SERVICE_UNAVAILABLE, title)

    def _refused(self, status: HTTPStatus, title: str, text: str) -> NotInvited:
        return NotInvited(self._pages.message(title, text), status, title)
