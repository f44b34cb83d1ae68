"""``POST /api/spawn``: a page of another site has a server started, and gets a link that opens it once.

The page is no browser of this service: it gets no cookie, and the server belongs to a new visitor. The link
makes the browser that follows it that visitor. A server whose link is not followed in time is ended.

A page that runs cells by itself, as thebe does, asks for that with ``embed``, and gets what a Jupyter client
has to know: the server's address and a key (:mod:`moorage.plan.embedding`).
"""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import urljoin

import msgspec

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from aiohttp import web

from moorage.errors import OutputError, UsageError
from moorage.plan.invitations import Invitation
from moorage.plan.visits import UNNAMED, InQueue, OfferName, OnTheWay, ServerReady, VisitorId
from moorage.temp.admitting import page_key
from moorage.temp.answers import by_https
from moorage.temp.identity import Identity
from moorage.temp.inviting import Invited, Inviting, NotInvited
from moorage.temp.service import Service
from moorage.temp.urls import ServerUrls
from moorage.temp.wish import Wish, wanted_path

log = logging.getLogger("moorage.temp")

PATH = "/api/spawn"
LINK_SECONDS = 120
"""So long may a link be followed."""
EMBED_SECONDS = 60.0
"""So long may a server take to start for a page that runs cells by itself."""
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]+)?|https?://\[[0-9a-f:]+\](:[0-9]+)?")
_NOT_KEPT = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Spawn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a page asks for: a path in the server, and an offer; the signed part of an invitation's link.

    ``embed`` asks for what the page needs to run cells by itself, in the place of a link.
    """

    path: str = ""
    offer: str = ""
    invitation: str = ""
    embed: bool = False


@dataclass(frozen=True)
class EntryLink:
    """A visitor that no browser is yet, what opens for it, and the invitation that it has a seat of."""

    visitor: VisitorId
    wanted: Wish
    by: Invitation | None = None


def checked_origin(text: str) -> str:
    """Return an origin as browsers write it.

    Raises:
        UsageError: it is none.
    """
    origin = text.lower().rstrip("/")
    if not _ORIGIN.fullmatch(origin):
        what = f"--spawn-from {text} cannot be"
        raise UsageError(
            what, why="It is the origin of a page: https://docs.example.org, with a port or none"
        )
    return origin


class Spawning:
    """Answers for one service.

    Args:
        service: that starts servers.
        identity: names visitors.
        origins: of pages that may ask.
        urls: where servers are.
        address: tells which address a request counts for.
        used: what is answered to a link that leads nowhere any more.
        inviting: looks at invitations.
    """

    def __init__(
        self,
        service: Service,
        identity: Identity,
        origins: frozenset[str],
        urls: ServerUrls,
        address: Callable[[web.Request], str],
        used: Callable[[], web.Response],
        inviting: Inviting,
    ) -> None:
        self._inviting = inviting
        self._used = used
        self._service = service
        self._identity = identity
        self._origins = origins
        self._urls = urls
        self._address = address
        self._links: dict[str, EntryLink] = {}

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Take over its addresses, where there are pages that may ask."""
        if self._origins:
            router.add_post(PATH, self._spawn)
            router.add_options(PATH, self._preflight)
            router.add_get("/enter/{token}", self._enter, allow_head=False)

    async def _preflight(self, request: web.Request) -> web.Response:
        if request.headers.get("Origin") not in self._origins:
            return web.Response(status=HTTPStatus.FORBIDDEN)
        fields = {"Methods": "POST", "Headers": "Content-Type"}
        allowed = {f"Access-Control-Allow-{name}": value for name, value in fields.items()}
        return self._shared(request, web.Response(status=HTTPStatus.NO_CONTENT, headers=allowed))

    async def _spawn(self, request: web.Request) -> web.Response:
        """Start a server; a request without an origin comes from a program, not from a page."""
        if request.headers.get("Origin") not in {None, *self._origins}:
            return _refused(HTTPStatus.FORBIDDEN, "pages of this origin may not ask")
        try:
            said = msgspec.json.decode(await request.read() or b"{}", type=Spawn)
        except msgspec.MsgspecError as error:
            return self._shared(request, _refused(HTTPStatus.BAD_REQUEST, str(error)))
        if said.embed and "Origin" not in request.headers:
            return _refused(HTTPStatus.BAD_REQUEST, "embed is for pages, and a page names its Origin")
        begun = self._begun(request, said)
        if not isinstance(begun, web.Response):
            link, has = begun
            begun = await self._embedded(request, link) if said.embed else self._entered(request, link, has)
        return self._shared(request, begun)

    def _wanted(self, said: Spawn) -> Invited | web.Response:
        """Return what a request asks for, or the answer that refuses it."""
        offers = self._service.offers
        wish = Wish(wanted_path(said.path), OfferName(said.offer), said.invitation)
        invited = self._inviting.invited(wish, ())
        if isinstance(invited, NotInvited):
            return _refused(invited.status, invited.why)
        offer = invited.wanted.offer
        if offer == UNNAMED and len(offers) == 1:
            (offer,) = offers
        if offer not in offers:
            known = ", ".join(filter(None, offers)) or "none has a name"
            return _refused(HTTPStatus.NOT_FOUND, f"choose an offer: {known}")
        return Invited(replace(invited.wanted, offer=offer), invited.by)

    def _begun(
        self, request: web.Request, said: Spawn
    ) -> tuple[EntryLink, OnTheWay | ServerReady] | web.Response:
        """Have a server started; return whose it is and what that visitor has, or what refuses it."""
        invited = self._wanted(said)
        if isinstance(invited, web.Response):
            return invited
        wanted = invited.wanted
        if self._service.visitors.draining:
            return _refused(HTTPStatus.SERVICE_UNAVAILABLE, "no new visitors are let in at the moment")
        visitor = self._identity.new_visitor()
        try:
            has = self._service.ask(visitor, wanted.offer, self._address(request), invited.by)
        except OutputError as error:
            log.warning("%s", error)
            return _refused(HTTPStatus.SERVICE_UNAVAILABLE, self._inviting.not_written(wanted).why)
        if not isinstance(has, OnTheWay | ServerReady):
            missing = self._inviting.missing(wanted, [visitor])
            if missing is not None:
                return _refused(missing.status, missing.why)
            return _refused(
                HTTPStatus.TOO_MANY_REQUESTS, "there are as many for this address as there may be"
            )
        return EntryLink(visitor, Wish(wanted.to, wanted.offer), invited.by), has

    def _page(self, request: web.Request) -> str:
        """Return the address of the front page."""
        scheme = "https" if by_https(request) else "http"
        return f"{scheme}://{self._urls.pages(request.headers.get('Host', ''))}/"

    def _entered(self, request: web.Request, link: EntryLink, has: OnTheWay | ServerReady) -> web.Response:
        """Return the link that makes a browser the visitor."""
        page, host = self._page(request), request.headers.get("Host", "")
        url = None if isinstance(has, InQueue) else self._urls.url(has.server, host) + link.wanted.to
        said = {
            "link": f"{page}enter/{self._linked(link)}",
            "url": None if url is None else urljoin(page, url),
            "seconds": LINK_SECONDS,
        }
        return web.json_response(said, status=HTTPStatus.ACCEPTED, headers=_NOT_KEPT)

    async def _embedded(self, request: web.Request, link: EntryLink) -> web.Response:
        """Return what a page needs to run cells in the server, once that answers."""
        has = await self._service.settled(link.visitor, EMBED_SECONDS)
        if not isinstance(has, ServerReady):
            self._drop(link)
            why = "all servers are in use" if isinstance(has, InQueue) else "the server did not start"
            return _refused(HTTPStatus.SERVICE_UNAVAILABLE, why)
        base = urljoin(self._page(request), self._urls.url(has.server, request.headers.get("Host", "")))
        settings = {
            "baseUrl": base,
            "wsUrl": f"ws{base.removeprefix('http')}",
            "token": page_key(self._identity, has.server, link.visitor),
            "appendToken": True,
        }
        return web.json_response({"serverSettings": settings}, headers=_NOT_KEPT)

    def _linked(self, link: EntryLink) -> str:
        token = secrets.token_urlsafe(32)
        self._links[token] = link
        asyncio.get_running_loop().call_later(LINK_SECONDS, self._expire, token)
        return token

    def _expire(self, token: str) -> None:
        """End what a link leads to that was not followed."""
        if (link := self._links.pop(token, None)) is not None:
            self._drop(link)

    def _drop(self, link: EntryLink) -> None:
        self._service.end(link.visitor)
        if link.by is not None:
            self._inviting.book.give_back(link.by, link.visitor)

    def _share_seat(self, link: EntryLink, names: Sequence[VisitorId]) -> None:
        """Have a browser that has a seat already keep to one."""
        try:
            if link.by is not None:
                self._inviting.book.take(link.by, link.visitor, names)
        except OutputError as error:  # it has two then
            log.warning("%s", error)

    async def _enter(self, request: web.Request) -> web.Response:
        """Make a browser the visitor of a link; one that has a server already keeps to that."""
        if "prefetch" in request.headers.get("Sec-Purpose", request.headers.get("Purpose", "")):
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, headers=_NOT_KEPT)
        link = self._links.pop(request.match_info["token"], None)
        if link is None:
            return self._used()
        answer = web.Response(status=HTTPStatus.SEE_OTHER, headers=_NOT_KEPT)
        answer.headers["Location"] = f"/start?{link.wanted.query}"
        names = self._identity.visitors(request.headers.get("Cookie", ""), secure=by_https(request))
        known = self._service.visitors.known(names)
        has = None if known is None else self._service.standing(known)
        if isinstance(has, OnTheWay | ServerReady):
            self._drop(link)
        else:
            self._share_seat(link, names)
            field = self._identity.visitor_field(link.visitor, secure=by_https(request))
            answer.headers.add("Set-Cookie", field)
        return answer

    def _shared(self, request: web.Request, answer: web.Response) -> web.Response:
        """Let the page that asked read an answer."""
        answer.headers["Vary"] = "Origin"
        if (origin := request.headers.get("Origin")) is not None:
            answer.headers["Access-Control-Allow-Origin"] = origin
        return answer


def allowed_ahead(origin: str) -> web.Response:
    """Return the answer to a browser that asks whether a page may send a request to a server."""
    fields = {
        "Allow-Origin": origin,
        "Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        "Allow-Headers": "Authorization, Content-Type, X-XSRFToken, Cache-Control, Pragma",
        "Max-Age": "600",
    }
    answer = web.Response(status=HTTPStatus.NO_CONTENT, headers={"Vary": "Origin"})
    answer.headers.update({f"Access-Control-{name}": value for name, value in fields.items()})
    return answer


def _refused(status: HTTPStatus, why: str) -> web.Response:
    retry = {"Retry-After": "60"} if status in {503, 429} else {}
    return web.json_response({"error": why}, status=status, headers={**_NOT_KEPT, **retry})
