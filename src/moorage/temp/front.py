"""The front: the pages of the service, and the one request that has a server started.

A server is started by a POST of a form that this service made for this very visitor, never by a GET: those
are repeated by crawlers, by prefetching and by reloading.
"""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import urlencode

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from aiohttp import web

from moorage.errors import OutputError
from moorage.plan.visits import (
    UNNAMED,
    InQueue,
    OnTheWay,
    ServerGone,
    ServerId,
    ServerReady,
    SpareTaken,
    VisitorId,
)
from moorage.temp.addresses import visitor_address
from moorage.temp.answers import by_https, led_to, shown
from moorage.temp.bodies import FORM_BYTES, leave_out_library
from moorage.temp.guard import PageGuard
from moorage.temp.identity import Identity
from moorage.temp.invitation_book import InvitationBook
from moorage.temp.inviting import Invited, Inviting, NotInvited
from moorage.temp.pages import Choice, FrontPages
from moorage.temp.remaining import Remaining
from moorage.temp.server import Serving
from moorage.temp.server_hosts import NO_SERVER, OPENING, ServerHosts
from moorage.temp.service import Service
from moorage.temp.settings import TempSettings
from moorage.temp.spawning import Spawning
from moorage.temp.starting import PATIENCE, StartingServers
from moorage.temp.tickets import Tickets
from moorage.temp.time_left import TimeLeft
from moorage.temp.urls import OWN
from moorage.temp.wish import Wish, form_wish, link_wish, wanted_path

log = logging.getLogger("moorage.temp")

HANDING_OUT = 1.0
"""Seconds for which an answer is held back that a spare is just being handed out for."""
OFTEN, SELDOM = 5, 30
"""Seconds between looks at a place in the queue: at the front of it, and far behind."""
_RETRY = {"Retry-After": "60"}
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
        self._settings = settings
        self._inviting = Inviting(service, pages, invitations)
        self._urls = settings.urls
        self._starting = StartingServers(service, identity, pages, settings.urls)

    def application(self) -> web.Application:
        """Return what serves it."""
        remaining = Remaining(self._service, self._visitor)
        hosts = ServerHosts(self._urls, self._identity, remaining, self._starting, self._told)
        guard = PageGuard(self._settings, self._pages, hosts, self._routed)
        application = web.Application(middlewares=[guard.guarded], client_max_size=FORM_BYTES)
        application.on_response_prepare.append(leave_out_library)
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
        application.router.add_get("/end", self._ends)
        application.router.add_post("/go-on", self._go_on)
        application.router.add_get("/go-on", self._ends)
        application.router.add_route("*", "/user/{server}/{to:.*}", self._not_there)
        remaining.add_to(application.router)
        if self._urls.by_host:
            application.router.add_get(OPENING, self._ticket)
        origins = self._settings.spawn_from
        spawning = Spawning(
            self._service,
            self._identity,
            origins,
            self._urls,
            self._address,
            self._used,
            self._inviting,
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
            return self._other(request, visitor, serving, wanted)
        return self._onwards(request, visitor, wanted)

    async def _start(self, request: web.Request) -> web.Response:
        visitor, wanted = await self._form(request)
        if visitor is None:
            page = self._pages.message(
                "The form was not taken",
                "It belongs to another page, or this browser takes no cookies. Cookies are needed here.",
            )
            return shown(page, HTTPStatus.FORBIDDEN)
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
        return shown(page, HTTPStatus.TOO_MANY_REQUESTS, **_RETRY)

    async def _waiting(self, request: web.Request) -> web.Response:
        wanted = form_wish(request.query)
        visitor = self._visitor(request)
        has = None if visitor is None else self._service.came(visitor)
        if visitor is not None and isinstance(has, OnTheWay) and not isinstance(has, InQueue):
            return shown(self._pages.waiting(wanted))
        return self._onwards(request, visitor, wanted)

    async def _queue(self, request: web.Request) -> web.Response:
        wanted = form_wish(request.query)
        visitor = self._visitor(request)
        has = None if visitor is None else self._service.came(visitor)
        if visitor is None or not isinstance(has, InQueue):
            waits = isinstance(has, OnTheWay | ServerReady)
            lost = None if waits else self._inviting.lost_place(wanted, self._names(request))
            return self._onwards(request, visitor, wanted) if lost is None else _refused(lost)
        place, waiting = self._service.visitors.place(visitor)
        seconds = min(OFTEN + place // 10, SELDOM)
        stands = self._service.visitors.draining
        page = self._pages.queue(
            self._identity.form_token(visitor), wanted, place, waiting, seconds, stands=stands
        )
        return shown(page, HTTPStatus.SERVICE_UNAVAILABLE, **{"Retry-After": str(seconds)})

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
        watch = self._service.watch
        memory, brake = watch.memory_told(serving.server), watch.brakes.told(serving.server)
        path, called = self._landing(request, serving), serving.record.called
        return shown(self._pages.yours(token, path, called, left, memory, brake))

    def _other(
        self, request: web.Request, visitor: VisitorId, serving: Serving, wanted: Wish
    ) -> web.Response:
        """Return the page for a visitor that has a server of another offer than the one it follows."""
        offers = self._service.offers
        own = offers.get(serving.record.offer)
        page = self._pages.other(
            self._identity.form_token(visitor),
            self._landing(request, serving),
            wanted,
            has="" if own is None else own.title,
            title=offers[wanted.offer].title,
        )
        return shown(page)

    async def _end(self, request: web.Request) -> web.Response:
        visitor, wanted = await self._form(request)
        if visitor is not None:
            self._service.end(visitor)
        return self._onwards(request, visitor, wanted)

    async def _ends(self, _: web.Request) -> web.Response:
        """Lead to the button: the page of a crowd, which answers a form as well, looks again by a GET."""
        return led_to("/server")

    async def _go_on(self, request: web.Request) -> web.Response:
        visitor, wanted = await self._form(request)
        serving = None if visitor is None else self._service.serving(visitor)
        if serving is None:
            return self._onwards(request, visitor, wanted)
        self._service.watch.go_on(serving.server)
        return led_to("/server")

    async def _robots(self, _: web.Request) -> web.Response:
        return web.Response(text=_ROBOTS)

    async def _not_there(self, request: web.Request) -> web.Response:
        """Tell a visitor what became of its server; and others, that there is none for them."""
        visitor, server = self._visitor(request), ServerId(request.match_info["server"])
        if (answer := await self._starting.answer(request, visitor, server)) is not None:
            return answer
        has = None if visitor is None else await self._service.settled(visitor, PATIENCE)
        if visitor is not None and isinstance(has, ServerGone) and has.server == server:
            wanted = Wish(wanted_path(request.raw_path.split("/", 3)[-1]))
            return self._button(request, visitor, wanted, has, HTTPStatus.NOT_FOUND)
        return self._told(HTTPStatus.NOT_FOUND, *NO_SERVER)

    async def _ticket(self, request: web.Request) -> web.Response:
        """Send a browser back to its server's host with a ticket for it; say what became of the server."""
        server, wanted = ServerId(request.query.get("server", "")), form_wish(request.query)
        visitor = self._visitor(request)
        has = None if visitor is None else await self._service.settled(visitor, PATIENCE)
        if visitor is None or has is None or isinstance(has, InQueue) or has.server != server:
            return self._told(HTTPStatus.NOT_FOUND, *NO_SERVER)
        if isinstance(has, ServerGone):
            return self._button(request, visitor, wanted, has, HTTPStatus.NOT_FOUND)
        if not isinstance(has, ServerReady):
            return self._onwards(request, visitor, wanted)
        ticket = Tickets(self._identity.signer).ticket(
            server, visitor, request.query.get("word", ""), time.time()
        )
        query = urlencode({"ticket": ticket, "to": wanted.to})
        return led_to(
            f"{self._urls.url(server, request.headers.get('Host', ''))}{OWN.lstrip('/')}open?{query}"
        )

    def _told(self, status: HTTPStatus, title: str, text: str) -> web.Response:
        return shown(self._pages.message(title, text), status)

    def _used(self) -> web.Response:
        title = "This link leads nowhere any more"
        return shown(self._pages.message(title, "It opens a server once, and soon."), HTTPStatus.GONE)

    async def _nothing(self, _: web.Request) -> web.Response:
        return shown(self._pages.message("There is nothing at this address", ""), HTTPStatus.NOT_FOUND)

    # Steps.

    async def _form(self, request: web.Request) -> tuple[VisitorId | None, Wish]:
        """Return the visitor that a form was made for, None when it was not made for it; and its wish."""
        form = await request.post()
        token, wanted = str(form.get("token", "")), form_wish(form)
        known = any(self._identity.is_form_token(token, each) for each in self._names(request))
        return self._visitor(request) if known else None, wanted

    def _names(self, request: web.Request) -> list[VisitorId]:
        """Return all names that a browser has as a visitor."""
        return self._identity.visitors(request.headers.get("Cookie", ""), secure=by_https(request))

    def _visitor(self, request: web.Request) -> VisitorId | None:
        """Return the visitor that a request comes from; None for a new one."""
        return self._service.visitors.known(self._names(request))

    def _landing(self, request: web.Request, serving: Serving) -> str:
        """Return where a server opens."""
        return self._urls.url(serving.server, request.headers.get("Host", "")) + serving.record.landing

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
        return shown(page, HTTPStatus.NOT_FOUND)

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
        answer = shown(page, HTTPStatus.SERVICE_UNAVAILABLE if full and status == HTTPStatus.OK else status)
        if full:
            answer.headers.update(_RETRY)
        answer.headers.add("Set-Cookie", self._identity.visitor_field(visitor, secure=by_https(request)))
        return answer

    def _onwards(self, request: web.Request, visitor: VisitorId | None, wanted: Wish) -> web.Response:
        """Lead a visitor to what is next for it: its server, the page that waits for it, or the button."""
        has = None if visitor is None else self._service.standing(visitor)
        if isinstance(has, OnTheWay):
            return led_to(f"/{'queue' if isinstance(has, InQueue) else 'start'}?{wanted.query}")
        serving = None if visitor is None else self._service.serving(visitor)
        if visitor is None or serving is None or not isinstance(has, ServerReady):
            return led_to(wanted.link)
        url = self._urls.url(has.server, request.headers.get("Host", ""))
        answer = led_to(url + (wanted.to or serving.record.landing))
        secure = by_https(request)
        answer.headers.add("Set-Cookie", self._identity.visitor_field(visitor, secure=secure))
        if not self._urls.by_host:  # a server's host sets its cookie itself
            field = self._identity.server_field(has.server, visitor, url.rstrip("/"), secure=secure)
            answer.headers.add("Set-Cookie", field)
        return answer


def _refused(refusal: NotInvited) -> web.Response:
    retry = _RETRY if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return shown(refusal.page, refusal.status, **retry)
