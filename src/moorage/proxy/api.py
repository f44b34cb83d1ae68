"""configurable-http-proxy's REST API, on aiohttp, with a listener of its own.

What it did wrong is done right: a token is looked at before the body and compared whole, a target is checked,
DELETE without a slash answers, and 405 names what is allowed.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from urllib.parse import parse_qs

from aiohttp import web

from moorage.errors import UsageError
from moorage.json_types import JsonObject
from moorage.plan.proxying import PrefixRoute
from moorage.plan.routes import Segments, prefix_segments, shown_prefix
from moorage.proxy.backends import OtherProcesses
from moorage.proxy.core import ProxyCore
from moorage.proxy.exposition import CONTENT_TYPE
from moorage.wire.http import RefusedHead

_AUTHORIZATION = re.compile(r"(?i:token|bearer) +(\S+)")
_ROUTES = "/api/routes"
_METHODS = "GET, POST, DELETE"


class RoutesApi:
    """The API for one proxy.

    Args:
        core: of the proxy.
        token: that every request must have; "" leaves the API open.
        acceptors: that have its routes; None where this process alone takes visitors.
    """

    def __init__(self, core: ProxyCore, token: str, acceptors: OtherProcesses | None = None) -> None:
        self._core = core
        self._token = token.encode()
        self._acceptors = acceptors

    def application(self) -> web.Application:
        """Return it for aiohttp to serve."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.Response:
        response = await self._answer(request)
        self._core.counts["api", response.status] += 1
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        path, _, query = request.raw_path.partition("?")
        if path != _ROUTES and not path.startswith(_ROUTES + "/"):
            return _text(404, "Not Found")
        if not self._allowed(request.headers.get("Authorization", "")):
            return _text(403, "Forbidden")
        try:
            prefix = prefix_segments(path.removeprefix(_ROUTES))
        except RefusedHead as error:
            return _text(400, error.what)
        match request.method:
            case "GET":
                if self._acceptors is not None:
                    await self._acceptors.report()
                response = self._one(prefix) if prefix else self._all(query)
            case "POST":
                response = self._add(prefix, await request.read())
                await self._spread(prefix)
            case "DELETE":
                response = web.Response(status=204 if self._core.backends.remove(prefix) else 404)
                await self._spread(prefix)
            case _:
                response = web.Response(status=405, text="Method not supported", headers={"Allow": _METHODS})
        return response

    async def _spread(self, prefix: Segments) -> None:
        """Answer when all that take visitors have the route: the next request may be one for it."""
        if self._acceptors is not None:
            await self._acceptors.spread(prefix)

    def _allowed(self, authorization: str) -> bool:
        found = _AUTHORIZATION.fullmatch(authorization)
        given = found[1].encode() if found else b""
        return not self._token or hmac.compare_digest(given, self._token)

    def _one(self, prefix: Segments) -> web.Response:
        backend = self._core.backends.table.get(prefix)
        return web.Response(status=404) if backend is None else web.json_response(self._shown(backend.route))

    def _all(self, query: str) -> web.Response:
        words = parse_qs(query)
        since = (words.get("inactiveSince") or words.get("inactive_since") or [""])[0]
        try:
            before = _timestamp(since) if since else float("inf")
        except ValueError:
            return _text(400, f"Invalid datestamp '{since}' must be ISO8601.")
        routes = (backend.route for _, backend in self._core.backends.table.items())
        found = {
            shown_prefix(route.prefix): self._shown(route) for route in routes if route.last_activity < before
        }
        return web.json_response(found)

    def _add(self, prefix: Segments, body: bytes) -> web.Response:
        try:
            data = json.loads(body or b"{}")
        except ValueError as error:
            return _text(400, f"Body not valid JSON: {error}")
        if not isinstance(data, dict) or not isinstance(data.get("target"), str):
            return _text(400, "Must specify 'target' as string")
        if self._core.settings.forwarding.host_routing and prefix:
            data["host"] = prefix[0].decode()
        try:
            self._core.backends.add(prefix, data)
        except UsageError as error:
            return _text(400, str(error))
        return web.Response(status=201)

    def _shown(self, route: PrefixRoute) -> JsonObject:
        moment = datetime.fromtimestamp(route.last_activity, UTC).isoformat(timespec="milliseconds")
        return {**route.extra, "last_activity": moment.replace("+00:00", "Z")}


class MetricsPage:
    """``/metrics`` for Prometheus.

    Args:
        render: makes the text.
    """

    def __init__(self, render: Callable[[], Awaitable[str]]) -> None:
        self._render = render

    def application(self) -> web.Application:
        """Return it for aiohttp to serve."""
        application = web.Application()
        self.add_to(application.router)
        return application

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Take over its address."""
        router.add_get("/metrics", self._page)

    async def _page(self, _: web.Request) -> web.Response:
        return web.Response(text=await self._render(), headers={"Content-Type": CONTENT_TYPE})


def _timestamp(text: str) -> float:
    moment = datetime.fromisoformat(text.replace(" ", "+"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text)
