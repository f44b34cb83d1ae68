"""What all connections of a proxy share: routes, descriptors, the clock, and how a server is reached."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Protocol

from moorage.plan.targets import Target
from moorage.proxy.backend import Backend
from moorage.proxy.backends import Backends
from moorage.proxy.limits import DescriptorBudget
from moorage.proxy.opening import fetch_error_page, open_target
from moorage.proxy.settings import ProxySettings
from moorage.proxy.upstream import NEVER, Upstream

log = logging.getLogger(__name__)

TICK = 1.0
"""Seconds between two looks at what is late: deadlines are kept as exactly as that."""
REST = 2.0
"""Seconds for which a connection has to be without use before it is closed because descriptors are short: a
request that meets the end of its connection is lost to some clients."""
UNUSED, ADMITTED, FOR_ALL = 1, 2, 3
"""What a connection between requests was used for last: nothing yet, what its visitor alone may ask for, what
all may. The last ones are closed first."""
ERROR_PAGES_AT_ONCE = 32


class Expiring(Protocol):
    """A connection with a deadline, in seconds of the loop's clock."""

    deadline: float
    transport: asyncio.Transport

    @property
    def idle(self) -> int:
        """0 within a request, else what it was used for last."""

    def expire(self) -> None:
        """End what it waits for: its deadline is over, or it is idle and descriptors are short."""


class ProxyCore:
    """The shared part of a proxy.

    Args:
        settings: of the proxy.
        budget: counts its sockets.
        tasks: where connections to servers are opened.
    """

    def __init__(self, settings: ProxySettings, budget: DescriptorBudget, tasks: asyncio.TaskGroup) -> None:
        self.settings = settings
        self.budget = budget
        self.backends = Backends(settings.upstream_spares)
        self.counts: Counter[tuple[str, int]] = Counter()
        self.visitors: set[Expiring] = set()
        self.now = time.monotonic()
        self._tasks = tasks
        self._fetching = 0

    # Time.

    def tick(self) -> None:
        """Do what is due: end what is late, and close connections that have not been used."""
        self.now = now = time.monotonic()
        for visitor in [each for each in self.visitors if 0 < each.deadline < now]:
            visitor.expire()
        self.backends.drop_idle(now - self.settings.upstream_idle)
        self.backends.ping(now)

    # Descriptors.

    def admit(self) -> bool:
        """Tell whether a visitor more fits, with the connection to a server that it will need."""
        return self._fits(2)

    def _fits(self, sockets: int, *, pages: bool = False) -> bool:
        """Tell whether so many sockets more fit, after connections without use were closed if need be."""
        budget = self.budget
        if budget.has_room(sockets, pages=pages):
            return True
        self._let_go(self.backends.drop_idle(float("inf")))
        rested = [each for each in self.visitors if each.idle and self._rests(each)]
        rested.sort(key=lambda each: (-each.idle, each.deadline))
        for number, visitor in enumerate(rested):
            if number > len(rested) // 8 and budget.has_room(sockets, pages=pages):
                break
            visitor.expire()
            self._let_go(1)
        return budget.has_room(sockets, pages=pages)

    def _let_go(self, sockets: int) -> None:
        """Count sockets no more whose transports are closed: they are counted until the loop's next turn."""
        self.budget.leaving += sockets
        asyncio.get_running_loop().call_soon(self._gone, sockets)

    def _gone(self, sockets: int) -> None:
        self.budget.leaving -= sockets

    def _rests(self, visitor: Expiring) -> bool:
        """Tell whether a connection between requests is without use for a while, and not being closed."""
        settings = self.settings
        kept = settings.head_timeout if visitor.idle == UNUSED else settings.keep_alive
        return not visitor.transport.is_closing() and visitor.deadline - kept <= self.now - REST

    # Servers.

    def connect(
        self, backend: Backend[Upstream], done: Callable[[Upstream], None], failed: Callable[[int], None]
    ) -> asyncio.Task[None] | None:
        """Begin to open a connection to a route's server.

        Args:
            backend: the route.
            done: gets the connection.
            failed: gets the status of the answer, unless the task is cancelled.

        Returns:
            The task, to be cancelled when the connection is no longer wanted; None when descriptors are
            short.
        """
        pages = backend.pages
        if pages and self.budget.kinds["page"] >= self.settings.pages_at_once:
            return None
        if not self._fits(1 + pages, pages=pages):
            return None
        self.budget.opening(pages=pages)
        upstream = Upstream(backend, self.budget)
        opening = self._open_upstream(backend, upstream)
        return self.begin(_told(opening, upstream, done, failed))

    async def _open_upstream(self, backend: Backend[Upstream], upstream: Upstream) -> None:
        try:
            await open_target(backend.route.target, lambda: upstream, self.settings)
        except BaseException:
            if upstream.since == NEVER:  # else its transport is closed, which counts it
                self.budget.closed(pages=backend.pages)
            raise

    def begin(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Begin work for one connection; what goes wrong there is logged, and ends no other connection."""
        return self._tasks.create_task(guarded(work))

    def close(self) -> None:
        """End all connections and everything under way.

        Requests that have no answer yet get none: a 404 would say that a route is gone, which another process
        may have, and have a page give up the kernel that it asks for.
        """
        for visitor in list(self.visitors):
            visitor.transport.abort()
        self.backends.close()

    def fetch_page(
        self, status: int, url: bytes, done: Callable[[tuple[bytes, bytes] | None], None]
    ) -> asyncio.Task[None] | None:
        """Begin to fetch an error page.

        Args:
            status: that it is about.
            url: path and query of the request.
            done: gets lines of fields and the body, or None when there are none.

        Returns:
            The task; None when there is nowhere to fetch it, or too many are under way.
        """
        if self.settings.error_target is None or self._fetching >= ERROR_PAGES_AT_ONCE:
            return None
        return self.begin(self._fetch(self.settings.error_target, status, url, done))

    async def _fetch(
        self, target: Target, status: int, url: bytes, done: Callable[[tuple[bytes, bytes] | None], None]
    ) -> None:
        self._fetching += 1
        try:
            page = await fetch_error_page(target, status, url, self.settings)
        finally:
            self._fetching -= 1
        done(page)


async def _told(
    opening: Coroutine[object, object, None],
    upstream: Upstream,
    done: Callable[[Upstream], None],
    failed: Callable[[int], None],
) -> None:
    try:
        await opening
    except TimeoutError:
        failed(504)
    except OSError:
        failed(503)
    else:
        done(upstream)


async def guarded(work: Coroutine[object, object, None]) -> None:
    """Run work for one connection; what goes wrong there is logged, and ends no other connection."""
    try:
        await work
    except Exception:
        log.exception("A connection failed unexpectedly")
