"""Invitations in the admin interface: they are made, listed and withdrawn there."""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import logging
import math
import sys
import time
from http import HTTPStatus

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from aiohttp import web

from moorage.errors import OutputError, ProtocolError
from moorage.plan.invitations import InvitationId, KeptInvitation
from moorage.plan.visits import OfferName
from moorage.proxy.routes_client import ProxyAccess
from moorage.temp.admin_answers import json_answer, refused
from moorage.temp.invitation_book import InvitationBook
from moorage.temp.service import Service
from moorage.temp.wish import Wish
from moorage.wire.temp_admin import InvitationInfo, InvitationList, NewInvitation, read

log = logging.getLogger("moorage.temp")

MOST_SEATS = 100_000
LONGEST = 400 * 24 * 3600
"""Seconds that an invitation may last: more than a year is a mistake of units."""


class AdminInvitations:
    """That part of the interface for one service.

    Args:
        service: that has offers.
        book: all invitations.
        origin: at which visitors reach it, as far as it knows.
        external: the proxy before it, which visitors come by; None for none.
    """

    def __init__(
        self, service: Service, book: InvitationBook, origin: str, external: ProxyAccess | None = None
    ) -> None:
        self._behind = external is not None
        self._book = book
        self._service = service
        self._origin = origin

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Take over its addresses."""
        router.add_get("/api/invitations", self._list)
        router.add_post("/api/invitations", self._make)
        router.add_delete("/api/invitations/{invitation}", self._withdraw)

    async def _list(self, _: web.Request) -> web.Response:
        return json_answer(InvitationList(tuple(map(self._info, self._book))))

    def _info(self, kept: KeptInvitation) -> InvitationInfo:
        invitation, now = kept.invitation, time.time()
        offer = self._service.offers.get(invitation.offer)
        path = Wish(invitation=self._book.token(invitation)).link
        return InvitationInfo(
            invitation.id,
            invitation.offer,
            kept.state(now),
            invitation.seats,
            len(kept.seated),
            max(0.0, invitation.until - now),
            path,
            self._origin + path,
            offer is not None and offer.invited_only,
            self._behind,
        )

    async def _make(self, request: web.Request) -> web.Response:
        try:
            wanted = read(await request.read(), NewInvitation)
        except ProtocolError as error:
            return refused(HTTPStatus.BAD_REQUEST, error.why)
        offers = self._service.offers
        offer = OfferName(wanted.offer)
        if not offer and len(offers) == 1:
            (offer,) = offers
        if offer not in offers:
            known = ", ".join(filter(None, offers)) or "none has a name"
            return refused(HTTPStatus.NOT_FOUND, f"there is no offer {offer or 'without a name'}: {known}")
        if not 1 <= wanted.seats <= MOST_SEATS:
            return refused(HTTPStatus.BAD_REQUEST, f"seats {wanted.seats} cannot be: 1 to {MOST_SEATS}")
        if not (math.isfinite(wanted.seconds) and 1 <= wanted.seconds <= LONGEST):
            why = f"it must be 1 s or more, and no more than {LONGEST // 86400} days"
            return refused(HTTPStatus.BAD_REQUEST, f"a time of {wanted.seconds:g} s cannot be: {why}")
        try:
            kept = self._book.issue(offer, wanted.seats, wanted.seconds)
        except OutputError as error:
            return refused(HTTPStatus.INSUFFICIENT_STORAGE, str(error))
        name, seats = kept.invitation.id, wanted.seats
        places = "one seat" if seats == 1 else f"{seats} seats"
        log.info("Invitation %s is made: %s%s", name, places, f", for {offer}" if offer else "")
        return json_answer(self._info(kept), HTTPStatus.CREATED)

    async def _withdraw(self, request: web.Request) -> web.Response:
        name = InvitationId(request.match_info["invitation"])
        try:
            found = self._book.withdraw(name)
        except OutputError as error:
            return refused(HTTPStatus.INSUFFICIENT_STORAGE, str(error))
        if not found:
            return refused(HTTPStatus.NOT_FOUND, f"there is no invitation {name}")
        log.info("Invitation %s is withdrawn", name)
        return web.Response(status=HTTPStatus.NO_CONTENT)
