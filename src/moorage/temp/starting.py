"""Requests for a server that the proxy has no route to yet: it answers a service again that was started anew.

A 404 there would be wrong, and dear: JupyterLab takes one for the end of the kernel that it asks for.
"""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import sys
from http import HTTPStatus

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from aiohttp import web

from moorage.plan.visits import ServerId, ServerReady, ServerStarting, VisitorId
from moorage.temp.answers import by_https, led_to, shown
from moorage.temp.identity import Identity
from moorage.temp.pages import FrontPages
from moorage.temp.service import Service
from moorage.temp.urls import ServerUrls

PATIENCE = 20.0
"""Seconds after which a page that waits is sent again: proxies on the way end silent requests."""
_RETRY = {"Retry-After": "2"}
_SAFE = frozenset({"GET", "HEAD"})


class StartingServers:
    """Answers for one service.

    Args:
        service: whose servers they are.
        identity: signs cookies.
        pages: what is shown.
        urls: where servers are.
    """

    def __init__(self, service: Service, identity: Identity, pages: FrontPages, urls: ServerUrls) -> None:
        self._service, self._identity, self._pages, self._urls = service, identity, pages, urls

    async def answer(
        self, request: web.Request, visitor: VisitorId | None, server: ServerId
    ) -> web.Response | None:
        """Lead a visitor to its own server as soon as that answers; None where it has no such server.

        Args:
            request: that came here, for there was no route.
            visitor: that it comes from; None for one that is not known.
            server: that it is for.

        What cannot be led on, a websocket and a request with a body, is told to come again (503).
        """
        has = None if visitor is None else self._service.standing(visitor)
        if visitor is None or not isinstance(has, ServerStarting | ServerReady) or has.server != server:
            return None
        websocket = request.headers.get("Upgrade", "").lower() == "websocket"
        if websocket or (request.method not in _SAFE and isinstance(has, ServerStarting)):
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, headers=_RETRY)
        if request.method not in _SAFE:  # what its route has refused
            return None
        has = await self._service.settled(visitor, PATIENCE)
        if isinstance(has, ServerStarting):
            return shown(self._pages.silent(), HTTPStatus.SERVICE_UNAVAILABLE, **_RETRY)
        if not isinstance(has, ServerReady) or has.server != server:
            return None
        answer = led_to(f"/{request.raw_path.lstrip('/')}")
        if not self._urls.by_host:  # at a host of its own the visitor is known by that very cookie
            path = self._urls.base(server).rstrip("/")
            field = self._identity.server_field(server, visitor, path, secure=by_https(request))
            answer.headers.add("Set-Cookie", field)
        return answer
