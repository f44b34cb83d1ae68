"""The admin interface of a service: what runs, and what of it can be changed while it does.

It has a Unix socket of its own, which the user of the service alone can open: there is no token. Where it is
asked for it has a port, too, with a token.
"""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import msgspec

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from aiohttp import web

from moorage.errors import OutputError, ProtocolError
from moorage.plan.census import CensusRow
from moorage.plan.routes import shown_prefix
from moorage.plan.visits import DrainChanged, EndAsked, LimitsChanged, OfferName, ServerId, ServerReady
from moorage.plan.walls import Share
from moorage.process import control_groups
from moorage.process.control_groups import GroupUse
from moorage.proxy.api import MetricsPage
from moorage.proxy.metrics import render as render_proxy
from moorage.proxy.server import Proxy
from moorage.temp.admin_answers import json_answer, refused
from moorage.temp.admin_invitations import AdminInvitations
from moorage.temp.admin_page import AdminPage, guard
from moorage.temp.brake_told import BrakeTold
from moorage.temp.egress import Egress
from moorage.temp.events import RecentEvents
from moorage.temp.metrics import render
from moorage.temp.process_figures import ServerFigures, memory_of, open_files_of
from moorage.temp.service import Service
from moorage.temp.statistics import ServiceCounts, descriptors_of, servers_of, spares_of, visitors_of
from moorage.temp.steering import KeptSteering
from moorage.version import __version__
from moorage.wire.temp_admin import (
    Drain,
    EventList,
    OpenFiles,
    RouteInfo,
    RouteList,
    ServerBrake,
    ServerConnections,
    ServerInfo,
    ServerLimits,
    ServerList,
    ServerUse,
    Settings,
    Stats,
    read,
)

log = logging.getLogger("moorage.temp")

BODY_BYTES = 64 * 1024


class AdminApi:
    """The interface for one service.

    Args:
        service: that it is of.
        proxy: of the service.
        counts: of the service.
        invitations: made, listed and withdrawn with it.
        egress: counts what servers ask of hosts.
        events: of the service.
        steering: keeps what is changed, for the next service.
    """

    def __init__(
        self,
        service: Service,
        proxy: Proxy,
        counts: ServiceCounts,
        invitations: AdminInvitations,
        egress: Egress,
        events: RecentEvents,
        steering: KeptSteering,
    ) -> None:
        self._steering = steering
        self._invitations, self._egress = invitations, egress
        self._service = service
        self._proxy = proxy
        self._counts = counts
        self._page = AdminPage()
        self._memory = ServerFigures(memory_of)
        self._open_files = ServerFigures(open_files_of)
        self._used = ServerFigures[tuple[str, ...], GroupUse](control_groups.use)
        self._events = events
        self._began = time.monotonic()

    def application(self, token: str = "") -> web.Application:
        """Return it for aiohttp to serve, with the page in front of it.

        Args:
            token: that each request needs; empty on a socket that its user alone can open.
        """
        application = web.Application(middlewares=[_told, guard(token)], client_max_size=BODY_BYTES)
        router = application.router
        self._page.add_to(router)
        router.add_get("/api/stats", self._get_stats)
        router.add_get("/api/servers", self._get_servers)
        router.add_delete("/api/servers/{server}", self._end)
        router.add_get("/api/routes", self._get_routes)
        router.add_get("/api/events", self._get_events)
        router.add_patch("/api/settings", self._change)
        router.add_get("/api/drain", self._get_drain)
        router.add_post("/api/drain", self._drain)
        router.add_delete("/api/drain", self._undo_drain)
        self._invitations.add_to(router)
        MetricsPage(self._metrics).add_to(router)
        return application

    # What is told.

    async def _get_stats(self, _: web.Request) -> web.Response:
        return json_answer(await self._stats())

    async def _stats(self) -> Stats:
        memory = await self._measured()
        known = self._memory.knows(self._pids())
        census, limits = self._service.visitors.census(), self._service.visitors.limits
        watch = self._service.watch
        return Stats(
            moorage=__version__,
            pid=os.getpid(),
            uptime=time.monotonic() - self._began,
            draining=self._service.visitors.draining,
            capacity=limits.capacity,
            fit=limits.fit,
            shortage=limits.shortage,
            visitors=visitors_of(census),
            queue=census.waiting,
            servers=servers_of(
                census, sum(each.asleep for each in watch.serving.values()), watch.brakes.lowered
            ),
            spares=spares_of(census),
            counts=self._counts.now(),
            descriptors=descriptors_of(await self._proxy.report()),
            memory=sum(memory.values()) if known and (memory or not census.servers) else None,
            sleepless=sum(each.sleepless for each in self._service.watch.serving.values()),
        )

    async def _measured(self) -> Mapping[int, int]:
        """Return the memory of servers that answer, by process id."""
        return await self._memory.of(self._pids())

    def _pids(self) -> set[int]:
        serving = self._service.watch.serving.values()
        return {each.root for each in serving if each.root is not None}

    async def _get_servers(self, _: web.Request) -> web.Response:
        memory, files = await self._measured(), await self._open_files.of(self._pids())
        serving = self._service.watch.serving.values()
        used = await self._used.of({each.record.groups for each in serving if each.record.groups})
        rows = self._service.visitors.census().servers
        return json_answer(ServerList(tuple(self._info(row, memory, files, used) for row in rows)))

    def _info(
        self,
        row: CensusRow,
        memory: Mapping[int, int],
        files: Mapping[int, OpenFiles],
        used: Mapping[tuple[str, ...], GroupUse],
    ) -> ServerInfo:
        watch = self._service.watch
        path = watch.urls.route(row.server)
        info = ServerInfo(row.server, path, row.state, row.spare, row.offer, address=row.address)
        serving = watch.serving.get(row.server)
        if serving is not None:
            pid = -1 if serving.root is None else serving.root
            info = msgspec.structs.replace(
                info,
                called=serving.record.called,
                memory=memory.get(pid),
                pid=None if serving.asleep else serving.pid,
                offer=serving.record.offer,
                connections=self._connections(path),
                open_files=files.get(pid),
                limits=_limits(serving.record.share),
                used=_used(used.get(serving.record.groups)),
                brake=_brake(watch.brakes.told(row.server)),
                egress=self._egress.use(row.server),
            )
        if row.since is None:
            return info
        info = msgspec.structs.replace(info, age=time.monotonic() - row.since)
        if row.state != "ready":
            return info
        now = time.time()
        left = watch.time_left(ServerReady(row.server, row.since)).seconds
        if serving is not None and serving.asleep:
            info = msgspec.structs.replace(info, state="asleep")
        return msgspec.structs.replace(info, unused=max(0.0, now - watch.used(row.server, now)), left=left)

    def _connections(self, path: str) -> ServerConnections | None:
        found = self._proxy.connections_on(path)
        if found is None:
            return None
        return ServerConnections(found.websockets, found.requests, found.unused)

    async def _get_routes(self, _: web.Request) -> web.Response:
        await self._proxy.report()  # acceptors tell then when routes were used
        routes, now = [each.route for _, each in self._proxy.core.backends.table.items()], time.time()
        found = [(shown_prefix(each.prefix), each) for each in routes]
        return json_answer(
            RouteList(
                tuple(
                    RouteInfo(
                        path,
                        str(route.extra["target"]),
                        max(0.0, now - route.last_activity),
                        self._connections(path),
                    )
                    for path, route in found
                )
            )
        )

    async def _get_events(self, request: web.Request) -> web.Response:
        after = request.query.get("after", "0")
        if not after.isascii() or not after.isdecimal() or len(after) > 18:
            return refused(HTTPStatus.BAD_REQUEST, f"after={after} cannot be: it is the number of an event")
        return json_answer(EventList(self._events.after(int(after))))

    async def _metrics(self) -> str:
        report = await self._proxy.report()
        return render_proxy(report, len(self._proxy.core.backends.table)) + render(await self._stats())

    # What is changed.

    async def _end(self, request: web.Request) -> web.Response:
        server = ServerId(request.match_info["server"])
        if not any(row.server == server for row in self._service.visitors.census().servers):
            return refused(HTTPStatus.NOT_FOUND, f"there is no server {server}")
        self._service.handle(EndAsked(server, "the operator of this service ended it"))
        return web.Response(status=HTTPStatus.ACCEPTED)

    async def _change(self, request: web.Request) -> web.Response:
        try:
            wanted = read(await request.read(), Settings)
        except ProtocolError as error:
            return refused(HTTPStatus.BAD_REQUEST, error.why)
        capacity = self._service.visitors.limits.capacity if wanted.capacity is None else wanted.capacity
        if capacity < 1:
            return refused(HTTPStatus.BAD_REQUEST, f"capacity {capacity} cannot be: it must be 1 or more")
        if wanted.spares is not None and not 0 <= wanted.spares <= capacity:
            why = f"it must be 0 or more, and no more than the capacity, {capacity}"
            return refused(HTTPStatus.BAD_REQUEST, f"spares {wanted.spares} cannot be: {why}")
        offer = None if wanted.offer is None else OfferName(wanted.offer)
        if offer is not None and (wanted.spares is None or offer not in self._service.offers):
            why = "needs spares" if wanted.spares is None else "is none that there is"
            return refused(HTTPStatus.BAD_REQUEST, f"offer {offer} {why}")
        return self._tell(LimitsChanged(wanted.capacity, wanted.spares, offer)) or json_answer(
            await self._stats()
        )

    def _tell(self, event: DrainChanged | LimitsChanged) -> web.Response | None:
        """Have a change hold, now and after a restart; return the answer that refuses it."""
        try:
            self._steering.tell(event)
        except OutputError as error:
            return refused(HTTPStatus.INSUFFICIENT_STORAGE, str(error))
        log.info("Told to change: %s", event.words)
        self._service.handle(event)
        return None

    async def _get_drain(self, _: web.Request) -> web.Response:
        return json_answer(Drain(self._service.visitors.draining))

    async def _drain(self, _: web.Request) -> web.Response:
        return self._tell(DrainChanged(True)) or json_answer(Drain(True))

    async def _undo_drain(self, _: web.Request) -> web.Response:
        return self._tell(DrainChanged(False)) or json_answer(Drain(False))


def _limits(share: Share | None) -> ServerLimits | None:
    if share is None:
        return None
    return ServerLimits(share.memory or None, share.disk, share.cpus or None, share.processes)


def _used(used: GroupUse | None) -> ServerUse | None:
    return None if used is None else ServerUse(used.memory, used.processes, used.kills)


def _brake(told: BrakeTold | None) -> ServerBrake | None:
    return None if told is None else ServerBrake(told.after, told.state, told.alone)


@web.middleware
async def _told(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Have what cannot be said as JSON, too."""
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        answer = refused(refusal.status, f"{request.method} {request.path}: {refusal.reason}")
        if allowed := refusal.headers.get("Allow"):
            answer.headers["Allow"] = allowed
        return answer
