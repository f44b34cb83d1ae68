"""What is told of a service: counts of what has happened, and how things stand."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from moorage.plan.census import Census
from moorage.wire.acceptor_messages import AcceptorReport
from moorage.wire.temp_admin import Descriptors, ServerCounts, Servers, SpareServers


@dataclass
class ServiceCounts:
    """What has happened since a service began; the service counts.

    Args:
        started: servers that were started, by ``visitor`` and ``spare``.
        adopted: servers of an earlier service.
        handed_out: spares that became a visitor's.
        failed: starts after which a server never answered.
        ended: all others that have ended.
    """

    started: Counter[str] = field(default_factory=Counter)
    adopted: int = 0
    handed_out: int = 0
    failed: int = 0
    ended: int = 0

    def now(self) -> ServerCounts:
        """Return them as they are told."""
        return ServerCounts(
            self.started["visitor"],
            self.started["spare"],
            self.adopted,
            self.handed_out,
            self.failed,
            self.ended,
        )


def servers_of(census: Census, asleep: int = 0, braked: int = 0) -> Servers:
    """Return how many servers there are, by state; of those that are ready some are asleep, or braked."""
    states = Counter(row.state for row in census.servers)
    return Servers(len(census.servers), states["starting"], states["ready"], states["ending"], asleep, braked)


def spares_of(census: Census) -> SpareServers:
    """Return how many spares there are."""
    states = Counter(row.state for row in census.servers if row.spare)
    return SpareServers(census.spares_wanted, states["starting"], states["ready"], census.spares_each)


def visitors_of(census: Census) -> int:
    """Return how many visitors have a server that is ready."""
    return sum(row.state == "ready" and not row.spare for row in census.servers)


def descriptors_of(report: AcceptorReport) -> Descriptors:
    """Return the open descriptors by kind."""
    kinds = report.kinds
    return Descriptors(
        report.descriptors,
        report.limit,
        report.room,
        kinds.get("visitor", 0),
        kinds.get("upstream", 0) - report.idle,
        report.idle,
        kinds.get("websocket", 0),
    )
