"""An acceptor: a process that takes visitors from shared sockets, with the routes that it is given."""
# ruff: noqa: E402 - it shares sockets with other processes, which Windows has no way for

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from contextlib import AsyncExitStack, closing

assert sys.platform != "win32", "acceptors need Unix sockets"

import msgspec

from moorage.plan.admission import Admission
from moorage.plan.routes import Segments
from moorage.proxy.metrics import report_of
from moorage.proxy.server import Proxy, open_proxy
from moorage.proxy.settings import ProxySettings
from moorage.proxy.shared_files import SharedFiles
from moorage.wire.acceptor_messages import (
    AcceptorReport,
    Ask,
    Done,
    DropRoute,
    Listener,
    Order,
    SetRoute,
    TakeVisitors,
    encode,
    read_order,
)

LINE_BYTES = 16 << 20
"""The most that one route may be."""


async def run_acceptor(
    orders: socket.socket,
    settings: ProxySettings,
    tls: ssl.SSLContext | None = None,
    shared: SharedFiles | None = None,
) -> None:
    """Carry out orders until the other end of a socket is closed; then everything that is open is ended.

    Args:
        orders: the socket.
        settings: of the proxy.
        tls: for listeners that are encrypted.
        shared: files that servers share, for routes that say so.

    What goes wrong with an order arrives in an ExceptionGroup.
    """
    reader, writer = await asyncio.open_unix_connection(sock=orders, limit=LINE_BYTES)
    try:
        async with open_proxy(settings) as proxy, AsyncExitStack() as stack:
            acceptor = stack.enter_context(closing(_Acceptor(proxy, tls, shared)))
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
    def __init__(self, proxy: Proxy, tls: ssl.SSLContext | None, shared: SharedFiles | None) -> None:
        self._proxy = proxy
        self._tls = tls
        self._shared = shared
        self._bound: dict[int, socket.socket] = {}  # by descriptor; each is listened on by a copy
        self._told: dict[Segments, tuple[float, float]] = {}

    async def carry_out(self, order: Order) -> AcceptorReport | None:
        """Carry out an order, and return the report where it asks for one."""
        backends = self._proxy.core.backends
        match order:
            case TakeVisitors(_, listeners):
                self._proxy.stop_listening()
                for each in listeners:
                    await self._listen(each)
            case SetRoute(_, prefix, extra, admission, shared, pages):
                admits = None if admission is None else msgspec.convert(admission, Admission)
                backends.add(prefix, extra, admits, self._shared if shared else None, pages=pages)
                route = backends.table.get(prefix)
                if route is not None:  # the proxy knows the time of this itself
                    self._told[prefix] = route.route.last_activity, route.route.last_input
            case DropRoute(_, prefix):
                backends.remove(prefix)
                self._told.pop(prefix, None)
            case Ask():
                return self._report()
        return None

    async def _listen(self, listener: Listener) -> None:
        bound = self._bound.get(listener.descriptor)
        if bound is None:
            bound = self._bound[listener.descriptor] = socket.socket(fileno=listener.descriptor)
        tls = self._tls if listener.encrypted else None
        await self._proxy.listen(bound.dup(), tls, redirect_to=listener.redirect_to)

    def close(self) -> None:
        """Close the sockets that it was given."""
        for bound in self._bound.values():
            bound.close()

    def _report(self) -> AcceptorReport:
        core, activity = self._proxy.core, []
        for prefix, backend in core.backends.table.items():
            now = backend.route.last_activity, backend.route.last_input
            if self._told.get(prefix) != now:
                self._told[prefix] = now
                activity.append((prefix, *now))
        return msgspec.structs.replace(report_of(core), activity=tuple(activity))
