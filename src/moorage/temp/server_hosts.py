"""What the service answers at the hosts of servers: to browsers that may not enter, and on paths of its own.

A browser that comes to a server's host without its cookie is sent to the pages with a random word, which it
keeps as a cookie of that host. The pages know the visitor, and send it back with a ticket that is made for
the word; the ticket becomes the cookie that opens the server. An address alone, the one with the ticket, too,
opens nothing in another browser; and no page can have a browser enter another visitor's server.
"""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlencode

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from aiohttp import web

from moorage.plan.visits import ServerId, VisitorId
from moorage.temp.answers import by_https
from moorage.temp.identity import Identity
from moorage.temp.remaining import Remaining
from moorage.temp.starting import StartingServers
from moorage.temp.tickets import Tickets
from moorage.temp.urls import OWN, ServerUrls
from moorage.temp.wish import wanted_path

OPENING = "/open"
"""Path of the pages that gives tickets."""
NO_SERVER = (
    "There is no server for you at this address",
    "It has ended, or it belongs to another browser: the address alone opens nothing.",
)
_ELSEWHERE = frozenset({"same-site", "cross-site"})
"""What browsers say of pages of other hosts."""
_NOT_KEPT = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class ServerHosts:
    """Answers for one service.

    Args:
        urls: where servers are.
        identity: signs cookies and tickets.
        remaining: answers for what a server's pages ask about it.
        starting: answers for servers that are not there yet.
        refused: is answered with a status, a title and a text to what leads nowhere.
    """

    def __init__(
        self,
        urls: ServerUrls,
        identity: Identity,
        remaining: Remaining,
        starting: StartingServers,
        refused: Callable[[HTTPStatus, str, str], web.Response],
    ) -> None:
        self._urls = urls
        self._identity = identity
        self._tickets = Tickets(identity.signer)
        self._remaining = remaining
        self._starting = starting
        self._refused = refused

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request to a host that a server has, or may have had."""
        host = request.headers.get("Host", "")
        server = self._urls.server(host)
        if server is None:
            return self._nothing()
        elsewhere = request.headers.get("Sec-Fetch-Site") in _ELSEWHERE and _is_part_of_a_page(request)
        if not request.path.startswith(OWN) and not elsewhere:
            visitor = self._visitor(request, server)
            if (waits := await self._starting.answer(request, visitor, server)) is not None:
                return waits
        if _says_go_on(request, host):
            return self._remaining.whole_share(self._visitor(request, server), server)
        if request.method not in {"GET", "HEAD"}:
            return self._nothing()
        if not request.path.startswith(OWN):
            return self._to_pages(request, server, host)
        return await self._own(request, server, host)

    async def _own(self, request: web.Request, server: ServerId, host: str) -> web.StreamResponse:
        """Answer on a path of the service's own, unless a page of another host has the browser ask."""
        if request.headers.get("Sec-Fetch-Site") in _ELSEWHERE and _is_part_of_a_page(request):
            return self._nothing()
        match request.path.removeprefix(OWN):
            case "open":
                return self._open(request, server)
            case "front":
                return _to(f"//{self._urls.pages(host)}/")
            case "time-left":
                return self._remaining.time_left(self._visitor(request, server), server)
            case "download":
                return await self._remaining.download(request, self._visitor(request, server), server)
            case _:
                return self._nothing()

    def _visitor(self, request: web.Request, server: ServerId) -> VisitorId | None:
        cookies = request.headers.get("Cookie", "")
        return self._identity.opened(cookies, server, secure=by_https(request))

    def _to_pages(self, request: web.Request, server: ServerId, host: str) -> web.Response:
        """Send a browser to the pages for a ticket; scripts and frames get none."""
        if _is_part_of_a_page(request):
            return self._nothing()
        secure = by_https(request)
        # Two tabs may come at once: the second one must not take the word from the first.
        words = self._tickets.words(request.headers.get("Cookie", ""), secure=secure)
        word = words[0] if words else self._tickets.new_word()
        asked = urlencode({"server": server, "word": word, "to": wanted_path(request.raw_path)})
        answer = _to(f"//{self._urls.pages(host)}{OPENING}?{asked}")
        answer.headers.add("Set-Cookie", self._tickets.word_field(word, secure=secure))
        return answer

    def _open(self, request: web.Request, server: ServerId) -> web.Response:
        """Let in a browser that comes with a ticket which is its own."""
        secure = by_https(request)
        words = self._tickets.words(request.headers.get("Cookie", ""), secure=secure)
        ticket = request.query.get("ticket", "")
        visitor = self._tickets.bearer(ticket, server, words, time.time()) or self._visitor(request, server)
        if visitor is None:
            return self._refused(
                HTTPStatus.FORBIDDEN,
                "This address opens nothing",
                "It was made for another browser, or some time ago, or this browser takes no cookies. "
                "Cookies are needed here.",
            )
        answer = _to("/" + wanted_path(request.query.get("to", "")))
        answer.headers.add("Set-Cookie", self._identity.server_field(server, visitor, "/", secure=secure))
        answer.headers.add("Set-Cookie", self._tickets.word_field("", secure=secure))
        return answer

    def _nothing(self) -> web.Response:
        return self._refused(HTTPStatus.NOT_FOUND, *NO_SERVER)


def _is_part_of_a_page(request: web.Request) -> bool:
    return request.headers.get("Sec-Fetch-Dest", "document") != "document"


def _says_go_on(request: web.Request, host: str) -> bool:
    """Tell whether a page of a server's own host has it go on with its whole share."""
    origin = request.headers.get("Origin")
    own = origin is None or origin.rpartition("//")[2].lower() == host.lower()
    own = own and request.headers.get("Sec-Fetch-Site") not in _ELSEWHERE
    return own and request.method == "POST" and request.path == f"{OWN}whole-share"


def _to(path: str) -> web.Response:
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={**_NOT_KEPT, "Location": path})
