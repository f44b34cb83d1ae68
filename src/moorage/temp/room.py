"""For how many servers there is room on this machine: descriptors and memory, counted for the plan."""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import asyncio
import logging
import random
import sys
import time
from collections.abc import Callable, Collection, Mapping
from math import inf

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.plan.memory import JUPYTER, OTHERS, YOUNG, MemoryCount, average, expected
from moorage.plan.visitors import Visitors
from moorage.plan.visits import ServerId, ServersFit, Shortage, VisitorLimits
from moorage.process import control_groups
from moorage.process.machine import available_memory
from moorage.proxy.server import Proxy
from moorage.tasks import in_thread
from moorage.temp.descriptors import fitting
from moorage.temp.egress import Egress
from moorage.temp.offers import Offers
from moorage.temp.process_figures import memory_of
from moorage.temp.server import Serving
from moorage.temp.urls import ServerUrls

log = logging.getLogger("moorage.temp")

MEASURE = 15.0
"""Seconds between measurements."""
SAMPLE = 8
"""Servers of each kind that are measured at a time: each takes some milliseconds of a processor."""


class Room:
    """Counts for how many servers there is room.

    Args:
        proxy: in front of them.
        visitors: and what they have.
        running: servers that have not ended.
        serving: those of them that answer.
        urls: where servers are.
        tasks: where each look has a task.
        egress: leads servers to hosts.
        available: tells how many bytes programs can still get; None where the system does not tell.
    """

    def __init__(
        self,
        proxy: Proxy,
        visitors: Visitors,
        running: Collection[ServerId],
        serving: Mapping[ServerId, Serving],
        urls: ServerUrls,
        tasks: asyncio.TaskGroup,
        egress: Egress,
        available: Callable[[], int | None] = available_memory,
    ) -> None:
        self._proxy = proxy
        self._visitors = visitors
        self._running = running
        self._serving = serving
        self._urls = urls
        self._tasks = tasks
        self._egress = egress
        self._available = available
        self._total = available() or 0
        self._since: dict[ServerId, float] = {}  # when each began to be used, or was seen first
        self._counted = False
        self._taken: dict[ServerId, int] = {}  # by servers that were measured and are not young
        self._young_have = 0  # each, as was measured last
        self._measuring = False
        self._due = 0.0
        self._unmeasured = JUPYTER

    def offered(self, offers: Offers) -> None:
        """Take note of what visitors can choose: what is expected of servers until some were measured."""
        jupyter = any(each.settings.command.jupyter for each in offers.values())
        self._unmeasured = JUPYTER if jupyter else OTHERS

    def count(self) -> ServersFit:
        """Count descriptors and memory, and return how many servers fit."""
        descriptors = fitting(self._proxy, self._running, self._serving, self._urls, self._egress)
        now = time.monotonic()
        memory = self._memory(now)
        if now >= self._due:
            self._due = now + MEASURE
            self.measure()
        if memory is not None and memory.servers < descriptors:
            return ServersFit(memory.servers, Shortage.MEMORY)
        return ServersFit(descriptors)

    def measure(self) -> None:
        """Begin to measure a few of the servers that are not asleep: of the young ones, and of the others."""
        young, spares = self._young(time.monotonic()), self._visitors.ready_spares
        awake = [server for server, each in self._serving.items() if not each.asleep and server not in spares]
        chosen: dict[ServerId, Serving] = {}
        for some in (
            [each for each in awake if each in young],
            [each for each in awake if each not in young],
        ):
            chosen |= {each: self._serving[each] for each in random.sample(some, min(SAMPLE, len(some)))}
        if chosen and not self._measuring:
            self._measuring = True
            self._tasks.create_task(self._measure(chosen))

    async def _measure(self, servers: Mapping[ServerId, Serving]) -> None:
        try:
            found = await in_thread(
                lambda: {name: taken_by(each) for name, each in servers.items()}, name="measure servers"
            )
            known = {name: size for name, size in found.items() if size is not None}
            young = self._young(time.monotonic())
            self._young_have = average([size for name, size in known.items() if name in young])
            self._taken |= {name: size for name, size in known.items() if name not in young}
        finally:
            self._measuring = False

    def _memory(self, now: float) -> MemoryCount | None:
        available = self._available()
        if available is None:
            return None
        # Servers of an earlier service have grown already; a spare begins to grow with its visitor.
        first, spares = now if self._counted else -inf, self._visitors.ready_spares
        self._counted = True
        self._since = {
            each: now if each in spares else self._since.get(each, first) for each in self._running
        }
        self._taken = {name: size for name, size in self._taken.items() if name in self._since}
        one = expected(self._taken.values(), self._unmeasured)
        young = len(self._young(now))
        return MemoryCount(self._total, available, one, len(self._running), young, self._young_have)

    def _young(self, now: float) -> set[ServerId]:
        return {server for server, since in self._since.items() if now - since < YOUNG}


def taken_by(serving: Serving) -> int | None:
    """Return how many bytes a server takes, with all that it has started; None where nothing tells."""
    told = control_groups.use(serving.record.groups).memory
    return told if told is not None or serving.root is None else memory_of(serving.root)


def tell_room(limits: VisitorLimits, descriptors: int) -> None:
    """Say how many servers there is room for, where these are fewer than there may be.

    Args:
        limits: of visitors.
        descriptors: that the service may have open.
    """
    if limits.most < limits.capacity:
        memory = limits.shortage is Shortage.MEMORY
        what = "Memory is" if memory else f"Descriptors ({descriptors}) are"
        servers = f"{limits.most} of the {limits.capacity} servers of --capacity"
        log.warning("%s enough for %s: %s", what, servers, limits.shortage.remedy)
