"""All routes of a proxy: found by a path, added, removed with everything that is open on them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from moorage.json_types import JsonObject
from moorage.plan.admission import Admission
from moorage.plan.proxying import PrefixRoute
from moorage.plan.routes import RouteTable, Segments, shown_prefix
from moorage.plan.targets import parse_target
from moorage.proxy.backend import Backend
from moorage.proxy.shared_files import SharedFiles
from moorage.proxy.upstream import Upstream
from moorage.wire.acceptor_messages import AcceptorReport

log = logging.getLogger(__name__)


class OtherProcesses(Protocol):
    """Processes that take visitors with the routes of this one."""

    async def spread(self, prefix: Segments) -> None:
        """Have them take over a route as it is now, and return when they have."""

    async def report(self) -> AcceptorReport:
        """Return what all have done and have open; the activity of routes is in the table then."""

    def told(self) -> AcceptorReport:
        """Return what those that take visitors have told last."""


class Backends:
    """The routes of a proxy.

    Args:
        spares: how many unused connections to its server each of them keeps.

    Attributes:
        others: processes that take the visitors, and have to know each change; None where this one does.
        changed: called when a route was added or removed.
    """

    def __init__(self, spares: int) -> None:
        self.table: RouteTable[Backend[Upstream]] = RouteTable()
        self.others: OtherProcesses | None = None
        self.changed: Callable[[], None] = _ignored
        self._spares = spares

    def add(
        self,
        prefix: Segments,
        extra: JsonObject,
        admission: Admission | None = None,
        shared: SharedFiles | None = None,
        *,
        pages: bool = False,
    ) -> None:
        """Add a route, or change the one of this prefix; a changed target ends what is open on the old one.

        Args:
            prefix: of the paths.
            extra: has ``target``, and what its author wants to find again.
            admission: which requests may take it; None for all.
            shared: files that its server need not be asked for; None for none.
            pages: whether this very process answers, with pages.

        Raises:
            UsageError: the target is none.
        """
        target = parse_target(str(extra["target"]))
        before = self.table.get(prefix)
        alike = before is not None and before.route.target == target
        if before is not None and alike and before.route.admission == admission:
            before.route.extra = extra
            before.shared = shared
            before.route.last_activity = time.time()
            return
        log.info("Adding route %s -> %s", shown_prefix(prefix), extra["target"])
        route = PrefixRoute(prefix, target, extra, time.time(), admission)
        self.table.add(prefix, Backend(route, self._spares, shared, pages=pages))
        if before is not None:
            before.close()
        self.changed()

    def remove(self, prefix: Segments) -> bool:
        """Remove a route and end everything that is open on it; tell whether there was one."""
        backend = self.table.remove(prefix)
        if backend is not None:
            log.info("Removing route %s", shown_prefix(prefix))
            backend.close()
            self.changed()
        return backend is not None

    def drop_idle(self, before: float) -> int:
        """Close the connections to servers that have not been used since a time, and return how many."""
        return sum(backend.drop_idle(before) for _, backend in self.table.items())

    def ping(self, now: float) -> None:
        """Send signs of life to visitors whose servers are asleep, where they are due."""
        for rest in [backend.rest for _, backend in self.table.items() if backend.rest is not None]:
            rest.ping(now)

    def idle(self) -> int:
        """Return how many unused connections to servers are kept."""
        return sum(backend.idle for _, backend in self.table.items())

    def close(self) -> None:
        """End everything that is open on any route; the routes stay."""
        for backend in [backend for _, backend in self.table.items()]:
            backend.close()


def _ignored() -> None:
    """Tell nothing of a change."""
