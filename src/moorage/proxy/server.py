"""A proxy that runs: it listens, and everything that it opened ends with its block."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from moorage.errors import UsageError
from moorage.json_types import JsonObject
from moorage.plan.admission import Admission
from moorage.plan.routes import Segments, prefix_segments
from moorage.proxy.core import TICK, ProxyCore
from moorage.proxy.limits import DescriptorBudget, open_descriptors, raise_limit
from moorage.proxy.listening import BACKLOG, UNIX
from moorage.proxy.metrics import report_of
from moorage.proxy.settings import ProxySettings
from moorage.proxy.shared_files import SharedFiles
from moorage.proxy.splice import Splice
from moorage.proxy.visitor import Visitor
from moorage.tasks import every
from moorage.wire.acceptor_messages import AcceptorReport
from moorage.wire.http import RefusedHead


@dataclass(frozen=True)
class RouteConnections:
    """What is open on a route: websockets, requests under way, connections to its server without use."""

    websockets: int
    requests: int
    unused: int


class Proxy:
    """A running proxy; made by :func:`open_proxy`.

    Args:
        core: what its connections share.
    """

    def __init__(self, core: ProxyCore) -> None:
        self.core = core
        self._servers: list[asyncio.Server] = []
        self._spreading: set[asyncio.Task[None]] = set()

    async def listen(
        self, bound: socket.socket, tls: ssl.SSLContext | None = None, redirect_to: int = 0
    ) -> None:
        """Take visitors from a bound socket, which is closed with the proxy.

        Args:
            bound: a TCP or a Unix socket.
            tls: encrypts the connections.
            redirect_to: port for HTTPS that each request is led to, whatever its path; 0 for none.
        """
        loop = asyncio.get_running_loop()
        core, encrypted = self.core, tls is not None
        opened = loop.create_unix_server if bound.family == UNIX else loop.create_server

        def made() -> Visitor:
            return Visitor(core, tls=encrypted, redirect_to=redirect_to)

        server = await opened(made, sock=bound, ssl=tls, backlog=BACKLOG)
        self._servers.append(server)

    def add_route(
        self,
        path: str,
        target: str,
        extra: Mapping[str, object] | None = None,
        admission: Admission | None = None,
        shared: SharedFiles | None = None,
        *,
        pages: bool = False,
    ) -> None:
        """Add a route, or change it.

        Args:
            path: its prefix, by whole segments; with host routing a host is the first one.
            target: ``http://host:port``, ``https://...``, ``http+unix://%2Fpath`` or ``unix:/path``.
            extra: JSON to keep with it.
            admission: which requests may take it; None for all. Others take the route ``/``.
            shared: files that its server need not be asked for; None for none.
            pages: whether this very process answers, with pages: they come last where descriptors are short.

        Raises:
            UsageError: path or target is none.
        """
        data: JsonObject = {**(extra or {}), "target": target}
        try:
            prefix = prefix_segments(path)
            self.core.backends.add(prefix, data, admission, shared, pages=pages)
        except RefusedHead as error:
            raise UsageError(f"{path!r} is no path of a route", why=error.what) from None
        self._spread(prefix)

    def remove_route(self, path: str) -> bool:
        """Remove a route with everything that is open on it; tell whether there was one."""
        prefix = prefix_segments(path)
        removed = self.core.backends.remove(prefix)
        self._spread(prefix)
        return removed

    def _spread(self, prefix: Segments) -> None:
        """Begin to have the processes that take visitors know a route as it is now."""
        if self.core.backends.others is not None:
            task = self.core.begin(self.core.backends.others.spread(prefix))
            self._spreading.add(task)
            task.add_done_callback(self._spreading.discard)

    async def routed(self) -> None:
        """Wait until all processes that take visitors know all routes as they are now."""
        if self._spreading:
            await asyncio.wait({*self._spreading})

    async def report(self) -> AcceptorReport:
        """Return what this proxy has done and has open, in all its processes."""
        others = self.core.backends.others
        return report_of(self.core) if others is None else await others.report()

    def last_input(self, path: str) -> float | None:
        """Return when a visitor last sent something on a route, in seconds since the epoch.

        That is a data frame of a websocket, or bytes of a request's body; the route's beginning where there
        was none. None where there is no such route.
        """
        backend = self.core.backends.table.get(prefix_segments(path))
        return None if backend is None else backend.route.last_input

    def unused(self) -> int:
        """Return how many descriptors come back where they are short: those of unused connections."""
        kept = sum(backend.idle * (1 + backend.pages) for _, backend in self.core.backends.table.items())
        return kept + sum(each.idle > 0 for each in self.core.visitors)

    def used_on(self, path: str) -> int:
        """Return how many descriptors the requests and websockets have that are under way on a route."""
        backend = self.core.backends.table.get(prefix_segments(path))
        return 0 if backend is None else 2 * len(backend.busy)

    def connections_on(self, path: str) -> RouteConnections | None:
        """Return what is open on a route; None where there is none, or where other processes have that."""
        backend = self.core.backends.table.get(prefix_segments(path))
        if backend is None or self.core.backends.others is not None:
            return None
        websockets = sum(isinstance(each, Splice) for each in backend.busy)
        return RouteConnections(websockets, len(backend.busy) - websockets, backend.idle)

    def stop_listening(self) -> None:
        """Take no more visitors; those that are there stay."""
        for server in self._servers:
            server.close()
        self._servers = []

    def close(self) -> None:
        """Take no more visitors, and end all that are there."""
        self.stop_listening()
        self.core.close()


@asynccontextmanager
async def open_proxy(settings: ProxySettings) -> AsyncIterator[Proxy]:
    """Run a proxy for as long as the block lasts.

    The limit of open descriptors of this process is raised as far as it goes, and stays so. What the block
    raises arrives in an ExceptionGroup.

    Args:
        settings: of the proxy.

    Cancelling ends all connections.
    """
    budget = DescriptorBudget(raise_limit(), open_descriptors())
    async with asyncio.TaskGroup() as tasks:
        core = ProxyCore(settings, budget, tasks)
        proxy = Proxy(core)
        with every(TICK, core.tick):
            try:
                yield proxy
            finally:
                proxy.close()
