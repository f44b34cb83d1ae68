"""What the service has open, counted for the plan, which says how many servers fit."""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Container, Iterable

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.errors import UsageError
from moorage.plan.descriptors import DOOR, EACH, LINKS, OWN, DescriptorCount, served_elsewhere
from moorage.plan.visits import ServerId
from moorage.proxy.limits import open_descriptors
from moorage.proxy.server import Proxy
from moorage.temp.egress import Egress
from moorage.temp.urls import ServerUrls

log = logging.getLogger("moorage.temp")


def counted(
    proxy: Proxy,
    servers: Iterable[ServerId] = (),
    answering: Container[ServerId] = (),
    urls: ServerUrls | None = None,
    egress: Egress | None = None,
) -> DescriptorCount:
    """Count what is open, and have the proxy leave to servers what they may still need.

    Args:
        proxy: in front of them.
        servers: that have not ended.
        answering: those of them that do.
        urls: where they are; None for paths.
        egress: what leads them to hosts; None for nothing.
    """
    door = DOOR if egress is not None and egress.wanted else 0
    route = (urls or ServerUrls()).route
    budget, opened = proxy.core.budget, open_descriptors()
    held = [LINKS + door + proxy.used_on(route(each)) if each in answering else 0 for each in servers]
    each = door + (EACH if proxy.core.backends.others is None else OWN)
    left = 0 if egress is None else egress.left
    count = DescriptorCount(budget.limit, budget.reserve, opened, proxy.unused(), held, each, left)
    budget.recount(opened)
    budget.promised = max(0, count.promised - count.unused)
    return count


def fitting(
    proxy: Proxy,
    servers: Collection[ServerId],
    answering: Container[ServerId],
    urls: ServerUrls | None = None,
    egress: Egress | None = None,
) -> int:
    """Count what is open, as :func:`counted` does, and return how many servers fit."""
    fit, others = counted(proxy, servers, answering, urls, egress).servers, proxy.core.backends.others
    if others is None:
        return fit
    told = others.told()
    used = told.kinds.get("visitor", 0) + told.kinds.get("upstream", 0) - told.idle
    return min(fit, served_elsewhere(told.room, used, len(servers)))


def check_descriptors(proxy: Proxy) -> None:
    """Refuse to begin where not one server fits.

    Raises:
        UsageError: so few descriptors there are.
    """
    count = counted(proxy)
    if not count.servers:
        raise UsageError(f"{count.limit} descriptors are too few for a server", do="Raise `ulimit -Hn`")
