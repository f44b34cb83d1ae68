"""A service that runs: the proxy, the front behind it, the servers."""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

assert sys.platform != "win32", "keepers need Unix sockets and fork"

import msgspec
from aiohttp import web

from moorage.errors import MoorageError
from moorage.plan.clock import Tick
from moorage.plan.descriptors import PAGES
from moorage.proxy.acceptors import open_acceptors
from moorage.proxy.listening import BACKLOG, bind_unix, remove_socket_file
from moorage.proxy.server import Proxy, open_proxy
from moorage.tasks import every
from moorage.temp.acceptor_settings import AcceptorSettings
from moorage.temp.addresses import origin_of
from moorage.temp.admin import AdminApi
from moorage.temp.admin_invitations import AdminInvitations
from moorage.temp.admin_token import admin_token
from moorage.temp.contained import starter
from moorage.temp.descriptors import check_descriptors
from moorage.temp.egress import Egress
from moorage.temp.events import recent_events
from moorage.temp.external_proxy import external_proxy
from moorage.temp.front import Front
from moorage.temp.identity import Identity, read_key
from moorage.temp.invitation_book import InvitationBook
from moorage.temp.offering import Offering
from moorage.temp.pages import FrontPages
from moorage.temp.room import tell_room
from moorage.temp.server import kind_of
from moorage.temp.service import Service
from moorage.temp.settings import TempSettings
from moorage.temp.sleeping import check_sleep
from moorage.temp.state import opened
from moorage.temp.statistics import ServiceCounts
from moorage.temp.steering import KeptSteering, Steering
from moorage.temp.template.choice import open_templates
from moorage.temp.walled import Surroundings
from moorage.wire.acceptor_messages import Listener
from moorage.wire.temp_admin import SOCKET

log = logging.getLogger("moorage.temp")

FRONT = "front"
"""Name of the socket of the pages in the state directory."""
TURN = 1.0
"""Seconds between looks at what has become due by time alone."""
LOOK = 30.0
"""Seconds between looks at servers without use, or a quarter of the time that they may be."""


@asynccontextmanager
async def run_service(
    offering: Offering,
    listeners: list[socket.socket],
    walling: Surroundings | None = None,
    admin_listeners: Sequence[socket.socket] = (),
) -> AsyncIterator[Service]:
    """Run a service for as long as the block lasts; then all servers have ended.

    Args:
        offering: what visitors can choose, with the settings of the service.
        listeners: bound sockets on which visitors come in; closed with it.
        walling: what is around servers, walls or containers; None for nothing.
        admin_listeners: ... on which the admin page is, for requests with its token.

    Raises:
        UsageError: the state directory, the configuration or the content cannot be used.
        MissingExtra: a server is not installed.
        OutputError: it cannot be written.

    What the block raises arrives in an ExceptionGroup.
    """
    settings = offering.settings
    async with AsyncExitStack() as stack:
        stack.enter_context(opened(settings.state))
        offering.walling = walling
        offers = await offering.read()
        check_sleep(offers)
        identity = Identity(read_key(settings.state / "key"), by_host=settings.urls.by_host)
        outer = external_proxy(settings, identity, origin_of(listeners[0]))
        routes_kept = await stack.enter_async_context(outer)
        told = _told(settings)
        proxy = await stack.enter_async_context(open_proxy(told.proxy()))
        check_descriptors(proxy)
        templates = await stack.enter_async_context(open_templates(wanted=settings.fork))
        for offer in offers.values():
            templates.prepare(*kind_of(offer.settings, walling))
        processes = await stack.enter_async_context(starter(settings, walling, templates))
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        counts, book = ServiceCounts(), InvitationBook(identity, settings.state)
        egress = Egress(proxy.core.budget, tasks)
        service = Service(settings, offers, identity, proxy, processes, tasks, counts, book, egress, walling)
        stack.callback(service.close)
        front = Front(service, identity, FrontPages(settings.title), settings, book, proxy.routed)
        await stack.enter_async_context(_site(front.application(), settings.state / FRONT))
        of_admin = AdminInvitations(service, book, origin_of(listeners[0]), settings.external)
        admin = _admin(service, proxy, counts, of_admin, egress, settings, admin_listeners)
        await stack.enter_async_context(admin)
        proxy.add_route("/", f"unix:{settings.state / FRONT}", pages=True)
        await service.adopt()
        _look_often(stack, service, settings.idle)
        await stack.enter_async_context(_visitors(settings.acceptors, told, proxy, listeners))
        service.handle(Tick())  # acceptors have descriptors of their own
        tell_room(service.visitors.limits, proxy.core.budget.limit)
        await stack.enter_async_context(routes_kept(proxy))
        yield service


def _told(settings: TempSettings) -> AcceptorSettings:
    """Return what acceptors are told."""
    jupyter_path = {**os.environ, **settings.env}.get("JUPYTER_PATH", "")
    return AcceptorSettings(settings.title, jupyter_path, by_host=settings.urls.by_host)


def _look_often(stack: AsyncExitStack, service: Service, idle: float) -> None:
    """Have a service look at what has become due by time alone, until a stack ends."""
    stack.enter_context(every(TURN, lambda: service.handle(Tick())))
    stack.enter_context(every(TURN, service.watch.brakes.look))
    stack.enter_context(every(LOOK, service.watch.check_spares))
    if idle:
        stack.enter_context(every(min(idle / 4, LOOK), service.watch.end_idle))


def steer(service: Service, told: Steering) -> None:
    """Have a service do what an earlier one was told while it ran, and say so."""
    for event in told.events:
        log.warning("As an earlier service was told: %s", event.words)
        service.handle(event)


@asynccontextmanager
async def _visitors(
    count: int, told: AcceptorSettings, proxy: Proxy, listeners: list[socket.socket]
) -> AsyncIterator[None]:
    """Take visitors for as long as the block lasts: in this process where it is one, else in others."""
    if count == 1:
        for each in listeners:
            await proxy.listen(each)
        yield
        return
    pages = max(PAGES // count, proxy.core.budget.limit // 8 // count)
    words = msgspec.json.encode(msgspec.structs.replace(told, pages_at_once=pages)).decode()
    argv = [sys.executable, "-P", "-m", "moorage.cli.temp_acceptor", words]
    shared = [Listener(each.fileno()) for each in listeners]
    try:
        async with open_acceptors(proxy.core, argv, os.environ, shared, count):
            yield
    finally:
        for each in listeners:
            each.close()


@asynccontextmanager
async def _admin(
    service: Service,
    proxy: Proxy,
    counts: ServiceCounts,
    invitations: AdminInvitations,
    egress: Egress,
    settings: TempSettings,
    listeners: Sequence[socket.socket],
) -> AsyncIterator[None]:
    """Serve the admin interface on its socket, and on listeners to requests with its token."""
    steering = KeptSteering(settings.state, settings.capacity, settings.spares)
    steer(service, steering.told)
    async with AsyncExitStack() as stack:
        events = stack.enter_context(recent_events(log))
        admin = AdminApi(service, proxy, counts, invitations, egress, events, steering)
        await stack.enter_async_context(_site(admin.application(), settings.state / SOCKET))
        if listeners:
            application = admin.application(admin_token(settings.state))
            await stack.enter_async_context(_served(application, listeners))
        yield


@asynccontextmanager
async def _site(application: web.Application, path: Path) -> AsyncIterator[None]:
    try:
        async with _served(application, [_private(path)]):
            yield
    finally:
        remove_socket_file(str(path))


@asynccontextmanager
async def _served(application: web.Application, listeners: Sequence[socket.socket]) -> AsyncIterator[None]:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        for each in listeners:
            await web.SockSite(runner, each, backlog=BACKLOG).start()
        yield
    finally:
        await runner.cleanup()


def _private(path: Path) -> socket.socket:
    """Return a bound socket that no other user may open, whatever its directory allows."""
    bound = bind_unix(str(path))
    path.chmod(0o600)
    return bound


async def read_again(offering: Offering, service: Service) -> None:
    """Have what is offered now; where that cannot be, say why, and leave what was.

    Args:
        offering: is read again.
        service: gets it.

    Cancelling leaves it, too.
    """
    try:
        offers = await offering.read()
        check_sleep(offers)
    except MoorageError as error:
        log.warning("%s", error)
        log.warning("Visitors get what they got before")
        return
    service.offers = offers
    names = ", ".join(offers) if all(offers) else ""
    log.info("Read again: new visitors get what is offered now%s", names and f": {names}")
