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
ERROR_PAGES_AT_ONCE = 32


class Expiring(Protocol):
    """A connection with a deadline, in seconds of the loop's clock."""

    deadline: float
    transport: asyncio.Transport

    @property
    def idle(self) -> bool:
        """Whether it is between requests."""

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

    # Descriptors.

    def admit(self) -> bool:
        """Tell whether a visitor more fits, with the connection to a server that it will need."""
        return self.budget.has_room(2) or self._make_room()

    def _make_room(self) -> bool:
        """Close what is open without need, and tell whether there was any.

        A closed transport gives its descriptor back at the next turn of the loop; the reserve covers that.
        """
        closed = self.backends.drop_idle(float("inf"))
        idle = sorted((each for each in self.visitors if each.idle), key=lambda each: each.deadline)
        for visitor in idle[: 1 + len(idle) // 8]:
            visitor.expire()
        return bool(closed or idle)

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
        if not (self.budget.has_room(1) or self._make_room()):
            return None
        self.budget.kinds["upstream"] += 1
        upstream = Upstream(backend, self.budget)
        opening = self._open_upstream(backend.route.target, upstream)
        return self.begin(_told(opening, upstream, done, failed))

    async def _open_upstream(self, target: Target, upstream: Upstream) -> None:
        try:
            await open_target(target, lambda: upstream, self.settings)
        except BaseException:
            if upstream.since == NEVER:  # else its transport is closed, which counts it
                self.budget.kinds["upstream"] -= 1
            raise

    def begin(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Begin work for one connection; what goes wrong there is logged, and ends no other connection."""
        return self._tasks.create_task(guarded(work))

    def close(self) -> None:
        """End all connections and everything under way."""
        self.backends.close()
        for visitor in list(self.visitors):
            visitor.transport.abort()

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
