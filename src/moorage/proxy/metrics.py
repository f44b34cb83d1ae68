"""What a proxy tells Prometheus: counters by configurable-http-proxy's names, and what is open by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from moorage.proxy.core import ProxyCore
from moorage.proxy.exposition import Labels, family, single
from moorage.proxy.limits import open_descriptors
from moorage.wire.acceptor_messages import AcceptorReport

_STATUSES = {
    "proxied": "requests_proxy",
    "api": "requests_api",
    "refused": "requests_refused",
    "shared": "requests_shared",
}
_TOTALS = {"requests": "requests_web", "websockets": "requests_ws"}
_HELP = {
    "requests_proxy": "Responses to visitors by status",
    "requests_api": "Responses of the REST API by status",
    "requests_refused": "Connections and malformed requests that were refused, by status",
    "requests_shared": "Responses to visitors with files that servers share, by status",
    "requests_web": "Requests that took a route",
    "requests_ws": "Requests for a websocket that took a route",
    "moorage_sockets": "Open sockets by kind; a websocket has one of a visitor and one of a server",
    "moorage_websockets": "Open websockets",
    "moorage_routes": "Routes",
    "moorage_descriptors": "Open descriptors of all processes of the proxy",
    "moorage_descriptors_limit": "The limits of open descriptors of all processes of the proxy",
    "moorage_descriptors_for_sockets": "How many of them visitors and servers may have",
}


def render(report: AcceptorReport, routes: int) -> str:
    """Return the page ``/metrics``, in Prometheus' text format 0.0.4.

    Args:
        report: of the whole proxy.
        routes: how many there are.
    """
    counts = {(name, status): count for name, status, count in report.counts}
    parts = [family(name, "counter", _HELP[name], _by_status(counts, key)) for key, name in _STATUSES.items()]
    parts += [single(name, "counter", _HELP[name], counts.get((key, 0), 0)) for key, name in _TOTALS.items()]
    sockets = {
        "visitor": report.kinds.get("visitor", 0),
        "upstream_idle": report.idle,
        "upstream": report.kinds.get("upstream", 0) - report.idle,
    }
    by_kind = (((("kind", kind),), count) for kind, count in sockets.items())
    parts.append(family("moorage_sockets", "gauge", _HELP["moorage_sockets"], by_kind))
    gauges = {
        "moorage_websockets": report.kinds.get("websocket", 0),
        "moorage_routes": routes,
        "moorage_descriptors": report.descriptors,
        "moorage_descriptors_limit": report.limit,
        "moorage_descriptors_for_sockets": report.room,
    }
    parts += [single(name, "gauge", _HELP[name], value) for name, value in gauges.items()]
    return "".join(parts)


def _by_status(counts: Mapping[tuple[str, int], int], key: str) -> list[tuple[Labels, float]]:
    return [
        ((("status", str(status)),), count) for (kind, status), count in sorted(counts.items()) if kind == key
    ]


def report_of(core: ProxyCore) -> AcceptorReport:
    """Return what a proxy has done and has open in this process, without the activity of routes."""
    budget = core.budget
    return AcceptorReport(
        tuple((name, status, count) for (name, status), count in core.counts.items()),
        dict(budget.kinds),
        core.backends.idle(),
        open_descriptors(),
        budget.limit,
        budget.room,
    )


def summed(reports: Iterable[AcceptorReport]) -> AcceptorReport:
    """Return the sum of reports of several processes."""
    counts: Counter[tuple[str, int]] = Counter()
    kinds: Counter[str] = Counter()
    idle = descriptors = limit = room = 0
    for each in reports:
        for name, status, count in each.counts:
            counts[name, status] += count
        kinds.update(each.kinds)
        idle, descriptors = idle + each.idle, descriptors + each.descriptors
        limit, room = limit + each.limit, room + each.room
    lines = tuple((name, status, count) for (name, status), count in counts.items())
    return AcceptorReport(lines, dict(kinds), idle, descriptors, limit, room)
