"""A proxy that another program runs, in front of a service: it is kept having the routes of the service.

All of them lead to the service's own proxy, which admits visitors, adds the tokens of servers, and reaches
servers in their namespaces; so pages, queue, countdown and idle ends are as without a proxy before it.
"""
# ruff: noqa: E402 - keepers, which the service needs, are not there on Windows

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.errors import UsageError
from moorage.plan.external_routes import Repairs, repairs
from moorage.plan.routes import shown_prefix
from moorage.proxy.backends import Backends
from moorage.proxy.routes_client import RoutesClient, open_routes_client
from moorage.proxy.server import Proxy
from moorage.tasks import beside, to_its_end
from moorage.temp.identity import Identity
from moorage.temp.settings import TempSettings

log = logging.getLogger("moorage.temp")

LOOK = 2.0
"""Seconds between two looks at what the proxy has: it may have been started anew, without routes."""
LEAVING = 5.0
"""Seconds in which its routes are deleted at the end."""
DIFFERENCE = (
    "What is its own then: how many connections it may have, which is not counted here, and the page that it "
    "shows while this service is down. Queue, countdown, idle ends and servers' tokens are as without it"
)


class ExternalProxy:
    """Keeps the routes of one service; see :func:`external_proxy`.

    Args:
        client: asks the proxy.
        url: of its API, for the log.
        owner: which service the routes belong to; the same after a restart.
        target: where the proxy is to lead its visitors.
    """

    def __init__(self, client: RoutesClient, url: str, owner: str, target: str) -> None:
        self._client = client
        self._url = url
        self._owner = owner
        self._target = target
        self._due = asyncio.Event()
        self._had: frozenset[str] = frozenset()
        self._trouble = ""

    async def check(self) -> None:
        """Check that the proxy can be asked, and that its visitors may be led here.

        Raises:
            UsageError: it does not answer, refuses, or leads its visitors to another program.
        """
        found = repairs({"/"}, self._target, await self._client.routes(), self._owner)
        if elsewhere := found.taken.get("/"):
            raise UsageError(
                f"the proxy at {self._url} leads its visitors elsewhere",
                why=f"Its route / is another program's, to {elsewhere}",
                do="Start it without --default-target, or delete that route, or use another proxy",
            )

    @asynccontextmanager
    async def kept(self, proxy: Proxy) -> AsyncIterator[None]:
        """Have it keep the routes of a service's own proxy as long as the block lasts; then delete them."""
        backends = proxy.core.backends
        before, backends.changed = backends.changed, self._due.set
        try:
            await self._look(backends)
            async with beside(self._keep(backends), name="keep routes of a proxy"):
                yield
        finally:
            backends.changed = before
            await to_its_end(self._leave(), name="delete routes of a proxy")

    async def _keep(self, backends: Backends) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._due.wait()
            await self._look(backends)

    async def _look(self, backends: Backends) -> None:
        """Have the proxy have what the service's own one has; what goes wrong is told once."""
        self._due.clear()
        routes = frozenset(shown_prefix(prefix) for prefix, _ in backends.table.items())
        try:
            self._tell(await self._repaired(routes), routes)
        except UsageError as error:
            if self._trouble != error.what:
                log.warning("%s", error)
            self._trouble = error.what

    async def _repaired(self, routes: Collection[str]) -> Repairs:
        """Have the proxy have routes, and no others of this service; return what it took.

        Raises:
            UsageError: it does not answer, or refuses.
        """
        found = repairs(routes, self._target, await self._client.routes(), self._owner)
        for path in found.add:
            await self._client.add(path, self._target, self._owner)
        for path in found.delete:
            await self._client.delete(path)
        return found

    def _tell(self, done: Repairs, routes: frozenset[str]) -> None:
        lost = self._had & {*done.add}
        if self._trouble or lost:
            log.info("The proxy at %s has all routes again: %d were missing", self._url, len(lost))
        self._trouble = ""
        for path in [path for path in done.taken if path not in self._had]:
            log.warning("The proxy at %s leads %s elsewhere: %s", self._url, path, done.taken[path])
        self._had = routes

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(LEAVING):
                await self._repaired(())
        except (UsageError, TimeoutError):
            log.warning("The proxy at %s may have routes that lead here still", self._url)


@asynccontextmanager
async def external_proxy(
    settings: TempSettings, identity: Identity, target: str
) -> AsyncIterator[Callable[[Proxy], AbstractAsyncContextManager[None]]]:
    """Yield what keeps the routes of a service's own proxy, for a block, at the proxy before it.

    Args:
        settings: of the service: where that proxy is; without one what is yielded does nothing.
        identity: of the service, which is the same after a restart.
        target: where the service listens.

    Raises:
        UsageError: that proxy does not answer, refuses, or leads its visitors to another program.
    """
    access = settings.external
    if access is None:
        yield lambda _: nullcontext()
        return
    async with open_routes_client(access) as client:
        found = ExternalProxy(client, access.url, identity.signer.sign("routes", "")[:16], target)
        await found.check()
        yield found.kept
