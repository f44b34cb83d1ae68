"""An acceptor: a process that takes visitors from shared sockets, with the routes that it is given."""
# ruff: noqa: E402 - it shares sockets with other processes, which Windows has no way for

from __future__ import annotations

import asyncio
import socket
import ssl
import sys

assert sys.platform != "win32", "acceptors need Unix sockets"

import msgspec

from moorage.plan.routes import Segments
from moorage.proxy.metrics import report_of
from moorage.proxy.server import Proxy, open_proxy
from moorage.proxy.settings import ProxySettings
from moorage.wire.acceptor_messages import (
    AcceptorReport,
    Ask,
    Done,
    DropRoute,
    Order,
    SetRoute,
    TakeVisitors,
    encode,
    read_order,
)

LINE_BYTES = 16 << 20
"""The most that one route may be."""


async def run_acceptor(
    orders: socket.socket, settings: ProxySettings, tls: ssl.SSLContext | None = None
) -> None:
    """Carry out orders until the other end of a socket is closed; then everything that is open is ended.

    Args:
        orders: the socket.
        settings: of the proxy.
        tls: for listeners that are encrypted.

    What goes wrong with an order arrives in an ExceptionGroup.
    """
    reader, writer = await asyncio.open_unix_connection(sock=orders, limit=LINE_BYTES)
    try:
        async with open_proxy(settings) as proxy:
            acceptor = _Acceptor(proxy, tls)
            while line := await _next_line(reader):
                order = read_order(line)
                report = await acceptor.carry_out(order)
                writer.write((b"" if report is None else encode(report)) + encode(Done(order.number)))
    finally:
        writer.close()


async def _next_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ConnectionError:  # the proxy was killed before it had read everything
        return b""


class _Acceptor:
    def __init__(self, proxy: Proxy, tls: ssl.SSLContext | None) -> None:
        self._proxy = proxy
        self._tls = tls
        self._told: dict[Segments, tuple[float, float]] = {}

    async def carry_out(self, order: Order) -> AcceptorReport | None:
        """Carry out an order, and return the report where it asks for one."""
        backends = self._proxy.core.backends
        match order:
            case TakeVisitors(_, listeners):
                for each in listeners:
                    bound = socket.socket(fileno=each.descriptor)
                    tls = self._tls if each.encrypted else None
                    await self._proxy.listen(bound, tls, redirect_to=each.redirect_to)
            case SetRoute(_, prefix, extra):
                backends.add(prefix, extra)
                route = backends.table.get(prefix)
                if route is not None:  # the proxy knows the time of this itself
                    self._told[prefix] = route.route.last_activity, route.route.last_input
            case DropRoute(_, prefix):
                backends.remove(prefix)
                self._told.pop(prefix, None)
            case Ask():
                return self._report()
        return None

    def _report(self) -> AcceptorReport:
        core, activity = self._proxy.core, []
        for prefix, backend in core.backends.table.items():
            now = backend.route.last_activity, backend.route.last_input
            if self._told.get(prefix) != now:
                self._told[prefix] = now
                activity.append((prefix, *now))
        return msgspec.structs.replace(report_of(core), activity=tuple(activity))
