"""What is looked at before a page answers: to which host a request goes, and which page it comes from."""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from http import HTTPStatus

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from aiohttp import web

from moorage.temp.answers import led_to, shown
from moorage.temp.bodies import take_body
from moorage.temp.pages import FrontPages
from moorage.temp.server_hosts import ServerHosts
from moorage.temp.settings import TempSettings
from moorage.temp.spawning import PATH as SPAWN_PATH
from moorage.temp.spawning import allowed_ahead
from moorage.temp.urls import host_name


class PageGuard:
    """Stands before the pages of one service.

    Args:
        settings: of the service.
        pages: what is shown.
        hosts: answers at the hosts of servers.
        routed: waits until all processes that take visitors know where servers are.
    """

    def __init__(
        self,
        settings: TempSettings,
        pages: FrontPages,
        hosts: ServerHosts,
        routed: Callable[[], Awaitable[None]],
    ) -> None:
        self._names = settings.hosts
        self._origins = settings.spawn_from
        self._urls = settings.urls
        self._pages = pages
        self._hosts = hosts
        self._routed = routed

    @web.middleware
    async def guarded(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer for hosts of this service alone, and take forms of its own pages alone."""
        await take_body(request)
        host = request.headers.get("Host", "")
        origin = request.headers.get("Origin")
        if request.method == "OPTIONS" and origin in self._origins and request.path != SPAWN_PATH:
            return allowed_ahead(origin)  # its route has an admission, which looks at what comes then
        if self._urls.is_below(host):
            return await self._hosts.answer(request)
        if self._names and host_name(host) not in self._names:
            page = self._pages.message(
                "This service has another name", "It does not answer for the host of this address."
            )
            return shown(page, HTTPStatus.MISDIRECTED_REQUEST)
        foreign = origin is not None and origin.rpartition("//")[2].lower() != host.lower()
        shared = bool(self._origins) and request.path == SPAWN_PATH  # which looks itself
        if foreign and not shared and request.method not in {"GET", "HEAD"}:
            page = self._pages.message("The form was not taken", "It belongs to a page of another site.")
            return shown(page, HTTPStatus.FORBIDDEN)
        if host != self._urls.pages(host) and request.method in {"GET", "HEAD"}:
            return led_to(f"//{self._urls.pages(host)}{request.raw_path}")  # where cookies are
        answer = await handler(request)
        if self._urls.by_host:  # browsers look at what a form is redirected to, too
            policy = answer.headers.get("Content-Security-Policy", "")
            answer.headers["Content-Security-Policy"] = policy.replace("'self'", self._urls.sources(host))
        await self._routed()  # a page that leads to a server is not there before its route is
        return answer
