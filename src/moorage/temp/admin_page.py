"""The admin page, and which requests may reach the admin interface.

The page is two files: one with all that is shown, and its script, which asks the interface. It holds nothing
of the service itself.
"""

from __future__ import annotations

import hmac
from http import HTTPStatus
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from moorage.stylesheet import stylesheet
from moorage.temp.admin_answers import refused
from moorage.temp.urls import host_name

PAGE, SCRIPT = "/admin", "/admin.js"
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; "
    "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class AdminPage:
    """The page."""

    def __init__(self) -> None:
        folder = Path(__file__)
        style = stylesheet() + "".join(
            folder.with_name(name).read_text("utf-8") for name in ("style.css", "admin_page.css")
        )
        page = folder.with_name("admin_page.html").read_text("utf-8")
        self._page = page.replace("/* style */", style)
        self._script = folder.with_name("admin_page.js").read_text("utf-8")

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Take over its addresses."""
        router.add_get("/", self._lead)
        router.add_get(PAGE, self._show)
        router.add_get(SCRIPT, self._run)

    async def _lead(self, _: web.Request) -> web.Response:
        return web.Response(status=HTTPStatus.SEE_OTHER, headers={**_HEADERS, "Location": PAGE})

    async def _show(self, _: web.Request) -> web.Response:
        return web.Response(text=self._page, content_type="text/html", headers=_HEADERS)

    async def _run(self, _: web.Request) -> web.Response:
        return web.Response(text=self._script, content_type="text/javascript", headers=_HEADERS)


def guard(token: str = "") -> Middleware:
    """Return what lets the right requests through, as a middleware of aiohttp.

    Args:
        token: that each request needs but those for the page itself; empty on a socket that its user alone
            can open. A browser may lead to that by a port that is forwarded to it; then a page of another
            site must not reach it, neither by its own name for this machine (DNS rebinding) nor by its
            requests.
    """

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        if origin is not None and origin.rpartition("//")[2].lower() != host.lower():
            return refused(HTTPStatus.FORBIDDEN, "pages of other sites may not ask")
        if token:
            if request.path not in {"/", PAGE, SCRIPT} and not _has(request, token):
                return refused(
                    HTTPStatus.UNAUTHORIZED, "the token of the admin page is missing, or another one"
                )
        elif "." in (name := host_name(host)) and name not in _LOCAL:
            return refused(HTTPStatus.MISDIRECTED_REQUEST, f"{name} is no name of this interface")
        return await handler(request)

    return guarded


def _has(request: web.Request, token: str) -> bool:
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode("utf-8", "replace"), token.encode())
    return kind.lower() in {"bearer", "token"} and same
