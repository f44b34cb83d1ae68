"""The front: the pages of the service, and the one request that has a server started.

A server is started by a POST of a form that this service made for this very visitor, never by a GET: those
are repeated by crawlers, by prefetching and by reloading.
"""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Awaitable, Callable
from http import HTTPStatus

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from aiohttp import web

from moorage.errors import OutputError
from moorage.plan.visits import UNNAMED, InQueue, OnTheWay, ServerGone, ServerReady, SpareTaken, VisitorId
from moorage.temp.addresses import visitor_address
from moorage.temp.identity import Identity
from moorage.temp.invitation_book import InvitationBook
from moorage.temp.inviting import Invited, Inviting, NotInvited
from moorage.temp.pages import Choice, FrontPages
from moorage.temp.remaining import Remaining
from moorage.temp.server import Serving, base_path
from moorage.temp.service import Service
from moorage.temp.settings import TempSettings
from moorage.temp.spawning import PATH as SPAWN_PATH
from moorage.temp.spawning import Spawning
from moorage.temp.time_left import TimeLeft
from moorage.temp.wish import Wish, form_wish, link_wish, wanted_path

log = logging.getLogger("moorage.temp")

PATIENCE = 20.0
"""Seconds after which a page that waits is sent again: proxies on the way end silent requests."""
HANDING_OUT = 1.0
"""Seconds for which an answer is held back that a spare is just being handed out for."""
OFTEN, SELDOM = 5, 30
"""Seconds between looks at a place in the queue: at the front of it, and far behind."""
FORM_BYTES = 64 * 1024
"""So long may a form be."""
UNREAD_BYTES = 64 * 1024 * 1024
"""So much of a body that is no form is read and dropped: a browser may still save to a server that ended."""
_RETRY = {"Retry-After": "60"}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_ROBOTS = "User-agent: *\n" + "".join(
    f"Disallow: /{each}/\n" for each in ("user", "spawn", "offer", "enter", "invitation")
)


class Front:
    """Answers requests that go to no server.

    Args:
        service: whose front it is.
        identity: signs cookies and forms.
        pages: what is shown.
        settings: of the service.
        invitations: of the service.
        routed: waits until all processes that take visitors know where servers are.
    """

    def __init__(
        self,
        service: Service,
        identity: Identity,
        pages: FrontPages,
        settings: TempSettings,
        invitations: InvitationBook,
        routed: Callable[[], Awaitable[None]],
    ) -> None:
        self._routed = routed
        self._service = service
        self._pages = pages
        self._identity = identity
        self._hosts = settings.hosts
        self._settings = settings
        self._inviting = Inviting(service, pages, invitations)

    def application(self) -> web.Application:
        """Return what serves it."""
        application = web.Application(middlewares=[self._guarded], client_max_size=FORM_BYTES)
        application.on_response_prepare.append(_unnamed)
        application.router.add_get("/", self._front)
        application.router.add_get("/spawn", self._front)
        application.router.add_get("/spawn/{to:.*}", self._front)
        application.router.add_get("/offer/{to:.*}", self._front)
        application.router.add_get("/invitation/{to:.*}", self._front)
        application.router.add_post("/start", self._start)
        application.router.add_get("/start", self._waiting)
        application.router.add_get("/ready", self._ready)
        application.router.add_get("/queue", self._queue)
        application.router.add_get("/server", self._yours)
        application.router.add_post("/end", self._end)
        application.router.add_route("*", "/user/{server}/{to:.*}", self._not_there)
        Remaining(self._service, self._identity, self._settings.state / "servers").add_to(application.router)
        origins = self._settings.spawn_from
        spawning = Spawning(
            self._service, self._identity, origins, self._address, _secure, self._used, self._inviting
        )
        spawning.add_to(application.router)
        application.router.add_get("/robots.txt", self._robots)
        application.router.add_route("*", "/{rest:.*}", self._nothing)
        return application

    # FrontPages.

    async def _front(self, request: web.Request) -> web.Response:
        visitor = self._visitor(request) or self._identity.new_visitor()
        has = self._service.came(visitor)
        serving = self._service.serving(visitor)
        invited = self._invited(request, visitor, link_wish(request.raw_path))
        if isinstance(invited, web.Response):
            return invited
        wanted = invited.wanted
        if not isinstance(has, OnTheWay | ServerReady):
            return self._button(request, visitor, wanted, has)
        if serving is not None and wanted.offer not in {UNNAMED, serving.record.offer}:
            return self._other(visitor, serving, wanted)
        return self._onwards(request, visitor, wanted)

    async def _start(self, request: web.Request) -> web.Response:
        visitor, wanted = await self._form(request)
        if visitor is None:
            page = self._pages.message(
                "The form was not taken",
                "It belongs to another page, or this browser takes no cookies. Cookies are needed here.",
            )
            return _page(page, HTTPStatus.FORBIDDEN)
        invited = self._invited(request, visitor, wanted)
        if isinstance(invited, web.Response):
            return invited
        wanted, names = invited.wanted, self._names(request)
        if wanted.offer not in self._service.offers:
            if len(self._service.offers) > 1:
                return self._onwards(request, visitor, wanted)
            wanted = Wish(wanted.to, *self._service.offers)  # a form made before there were offers
        try:
            has = self._service.ask(visitor, wanted.offer, self._address(request), invited.by, names)
        except OutputError as error:
            log.warning("%s", error)
            return _refused(self._inviting.not_written(wanted))
        if isinstance(has, SpareTaken):  # it is there in a moment: the page that waits is left out
            has = await self._service.settled(visitor, HANDING_OUT)
        if isinstance(has, OnTheWay | ServerReady) or self._service.visitors.draining:
            return self._onwards(request, visitor, wanted)
        return self._not_let_in(wanted, [*names, visitor])

    def _not_let_in(self, wanted: Wish, names: list[VisitorId]) -> web.Response:
        """Return the page that says why a visitor got no server, and no place in the queue."""
        if (missing := self._inviting.missing(wanted, names)) is not None:
            return _refused(missing)
        page = self._pages.message(
            "There are as many servers for your address as there may be",
            f"They are {self._settings.per_address}, with those that are waited for. One has to end first.",
            link=wanted.link,
            word="Try again",
        )
        return _page(page, HTTPStatus.TOO_MANY_REQUESTS, **_RETRY)

    async def _waiting(self, request: web.Request) -> web.Response:
        wanted = form_wish(request.query)
        visitor = self._visitor(request)
        has = None if visitor is None else self._service.came(visitor)
        if visitor is not None and isinstance(has, OnTheWay) and not isinstance(has, InQueue):
            return _page(self._pages.waiting(wanted))
        return self._onwards(request, visitor, wanted)

    async def _queue(self, request: web.Request) -> web.Response:
        wanted = form_wish(request.query)
        visitor = self._visitor(request)
        has = None if visitor is None else self._service.came(visitor)
        if visitor is None or not isinstance(has, InQueue):
            return self._onwards(request, visitor, wanted)
        place, waiting = self._service.visitors.place(visitor)
        seconds = min(OFTEN + place // 10, SELDOM)
        stands = self._service.visitors.draining
        page = self._pages.queue(
            self._identity.form_token(visitor), wanted, place, waiting, seconds, stands=stands
        )
        return _page(page, HTTPStatus.SERVICE_UNAVAILABLE, **{"Retry-After": str(seconds)})

    async def _ready(self, request: web.Request) -> web.Response:
        visitor = self._visitor(request)
        if visitor is not None:
            self._service.came(visitor)
            await self._service.settled(visitor, PATIENCE)
        return self._onwards(request, visitor, form_wish(request.query))

    async def _yours(self, request: web.Request) -> web.Response:
        visitor = self._visitor(request)
        serving = None if visitor is None else self._service.serving(visitor)
        if visitor is None or serving is None:
            return self._onwards(request, visitor, Wish())
        token = self._identity.form_token(visitor)
        has = self._service.standing(visitor)
        left = self._service.watch.time_left(has) if isinstance(has, ServerReady) else TimeLeft()
        return _page(self._pages.yours(token, serving.landing, serving.record.called, left))

    def _other(self, visitor: VisitorId, serving: Serving, wanted: Wish) -> web.Response:
        """Return the page for a visitor that has a server of another offer than the one it follows."""
        offers = self._service.offers
        own = offers.get(serving.record.offer)
        page = self._pages.other(
            self._identity.form_token(visitor),
            serving.landing,
            wanted,
            has="" if own is None else own.title,
            title=offers[wanted.offer].title,
        )
        return _page(page)

    async def _end(self, request: web.Request) -> web.Response:
        visitor, wanted = await self._form(request)
        if visitor is not None:
            self._service.end(visitor)
        return self._onwards(request, visitor, wanted)

    async def _robots(self, _: web.Request) -> web.Response:
        return web.Response(text=_ROBOTS)

    async def _not_there(self, request: web.Request) -> web.Response:
        """Tell a visitor what became of its server; and others, that there is none for them."""
        visitor = self._visitor(request)
        has = None if visitor is None else await self._service.settled(visitor, PATIENCE)
        if visitor is not None and isinstance(has, ServerGone) and has.server == request.match_info["server"]:
            wanted = Wish(wanted_path(request.raw_path.split("/", 3)[-1]))
            return self._button(request, visitor, wanted, has, HTTPStatus.NOT_FOUND)
        page = self._pages.message(
            "There is no server for you at this address",
            "It has ended, or it belongs to another browser: the address alone opens nothing.",
        )
        return _page(page, HTTPStatus.NOT_FOUND)

    def _used(self) -> web.Response:
        title = "This link leads nowhere any more"
        return _page(self._pages.message(title, "It opens a server once, and soon."), HTTPStatus.GONE)

    async def _nothing(self, _: web.Request) -> web.Response:
        return _page(self._pages.message("There is nothing at this address", ""), HTTPStatus.NOT_FOUND)

    # Steps.

    async def _form(self, request: web.Request) -> tuple[VisitorId | None, Wish]:
        """Return the visitor that a form was made for, None when it was not made for it; and its wish."""
        form = await request.post()
        token, wanted = str(form.get("token", "")), form_wish(form)
        known = any(self._identity.is_form_token(token, each) for each in self._names(request))
        return self._visitor(request) if known else None, wanted

    def _names(self, request: web.Request) -> list[VisitorId]:
        """Return all names that a browser has as a visitor."""
        return self._identity.visitors(request.headers.get("Cookie", ""))

    def _visitor(self, request: web.Request) -> VisitorId | None:
        """Return the visitor that a request comes from; None for a new one."""
        return self._service.visitors.known(self._names(request))

    def _address(self, request: web.Request) -> str:
        """Return the address that a visitor counts for; empty where none does."""
        if not self._settings.per_address:
            return ""
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", []))
        return visitor_address(forwarded, self._settings.trusted)

    def _invited(self, request: web.Request, visitor: VisitorId, wanted: Wish) -> Invited | web.Response:
        """Return what a visitor wants, with its invitation looked at; or the page that says why not."""
        invited = self._inviting.invited(wanted, self._names(request), self._service.serving(visitor))
        if isinstance(invited, NotInvited):
            return _refused(invited)
        if not invited.wanted.offer or invited.wanted.offer in self._service.offers:
            return invited
        wanted = invited.wanted
        page = self._pages.message(
            f"There is no {wanted.offer} here", "It may have been taken away. Look what there is now."
        )
        return _page(page, HTTPStatus.NOT_FOUND)

    def _button(
        self,
        request: web.Request,
        visitor: VisitorId,
        wanted: Wish,
        last: object,
        status: HTTPStatus = HTTPStatus.OK,
    ) -> web.Response:
        visitors = self._service.visitors
        choices = [
            Choice(
                offer,
                full=not visitors.has_room(offer.name),
                closed=self._inviting.closed(offer, wanted, [*self._names(request), visitor]),
            )
            for offer in self._service.offers.values()
            if wanted.offer in {UNNAMED, offer.name}
        ]
        full = all(choice.full and not choice.closed for choice in choices)
        gone = last if isinstance(last, ServerGone) else None
        token = self._identity.form_token(visitor)
        page = self._pages.front(token, wanted, gone, choices, drained=visitors.draining)
        answer = _page(page, HTTPStatus.SERVICE_UNAVAILABLE if full and status == HTTPStatus.OK else status)
        if full:
            answer.headers.update(_RETRY)
        answer.headers.add("Set-Cookie", self._identity.visitor_field(visitor, secure=_secure(request)))
        return answer

    def _onwards(self, request: web.Request, visitor: VisitorId | None, wanted: Wish) -> web.Response:
        """Lead a visitor to what is next for it: its server, the page that waits for it, or the button."""
        has = None if visitor is None else self._service.standing(visitor)
        if isinstance(has, OnTheWay):
            return _to(f"/{'queue' if isinstance(has, InQueue) else 'start'}?{wanted.query}")
        serving = None if visitor is None else self._service.serving(visitor)
        if visitor is None or serving is None or not isinstance(has, ServerReady):
            return _to(wanted.link)
        path = base_path(has.server)
        answer = _to(path + wanted.to if wanted.to else serving.landing)
        secure = _secure(request)
        answer.headers.add("Set-Cookie", self._identity.visitor_field(visitor, secure=secure))
        answer.headers.add(
            "Set-Cookie", self._identity.server_field(has.server, visitor, path.rstrip("/"), secure=secure)
        )
        return answer

    @web.middleware
    async def _guarded(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer for hosts of this service alone, and take forms of its own pages alone."""
        await _take_body(request)
        host = request.headers.get("Host", "")
        origin = request.headers.get("Origin")
        if self._hosts and host_name(host) not in self._hosts:
            page = self._pages.message(
                "This service has another name", "It does not answer for the host of this address."
            )
            return _page(page, HTTPStatus.MISDIRECTED_REQUEST)
        foreign = origin is not None and origin.rpartition("//")[2].lower() != host.lower()
        shared = bool(self._settings.spawn_from) and request.path == SPAWN_PATH  # which looks itself
        if foreign and not shared and request.method not in {"GET", "HEAD"}:
            page = self._pages.message("The form was not taken", "It belongs to a page of another site.")
            return _page(page, HTTPStatus.FORBIDDEN)
        answer = await handler(request)
        await self._routed()  # a page that leads to a server is not there before its route is
        return answer


async def _unnamed(_: web.Request, answer: web.StreamResponse) -> None:
    """Leave out which library and which Python answer: an attacker alone has use for that."""
    answer.headers.pop("Server", None)


async def _take_body(request: web.Request) -> None:
    """Read a form, or drop what is none: some proxies on the way cut off an answer that comes before that."""
    if request.content_length is not None and request.content_length <= FORM_BYTES:
        await request.read()
        return
    dropped = 0
    async for part in request.content.iter_any():
        dropped += len(part)
        if dropped > UNREAD_BYTES:
            return


def host_name(host: str) -> str:
    """Return the name in a Host field, without its port, in lower case."""
    name = host.lower()
    return re.sub(r":[0-9]*$", "", name).strip("[]")


def _secure(request: web.Request) -> bool:
    return request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip() == "https"


def _to(path: str) -> web.Response:
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={**_HEADERS, "Location": path})


def _refused(refusal: NotInvited) -> web.Response:
    retry = _RETRY if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return _page(refusal.page, refusal.status, **retry)


def _page(text: str, status: HTTPStatus = HTTPStatus.OK, **more: str) -> web.Response:
    fields = {**_HEADERS, **more}
    return web.Response(text=text, status=status, content_type="text/html", headers=fields)
