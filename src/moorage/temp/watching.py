"""Looks at servers that run: spares that do not answer any more, and servers that are not used."""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Mapping

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.plan.targets import parse_target
from moorage.plan.visitors import Visitors
from moorage.plan.visits import EndAsked, ServerId, ServerReady
from moorage.process import control_groups
from moorage.proxy.server import Proxy
from moorage.temp.activity import may_be_busy
from moorage.temp.braking import Brakes
from moorage.temp.handing_out import healthy
from moorage.temp.memory_told import MemoryTold
from moorage.temp.server import Serving
from moorage.temp.time_left import TimeLeft, left, sooner
from moorage.temp.urls import ServerUrls


class ServerWatch:
    """Watches the servers of one service.

    Attributes:
        serving: servers that answer.
        urls: where servers are.
        brakes: of those servers.

    Args:
        visitors: and what they have.
        serving: servers that answer.
        proxy: knows when each was used last.
        end: ends a server.
        tasks: where each look has a task.
        idle: seconds for which a server may be without use; 0 for ever.
        urls: where servers are.
    """

    def __init__(
        self,
        visitors: Visitors,
        serving: Mapping[ServerId, Serving],
        proxy: Proxy,
        end: Callable[[EndAsked], None],
        tasks: asyncio.TaskGroup,
        idle: float,
        urls: ServerUrls,
    ) -> None:
        self.urls = urls
        self._visitors = visitors
        self.serving = serving
        self._proxy = proxy
        self._end = end
        self._tasks = tasks
        self._idle = idle
        self._busy: dict[ServerId, float] = {}  # when a kernel of it was busy last
        self._asked: set[ServerId] = set()
        self.brakes = Brakes(serving, lambda server: proxy.last_input(urls.route(server)), tasks)

    def check_spares(self) -> None:
        """Begin to ask all spares whether they still answer, and end those that do not."""
        for server in self._visitors.ready_spares:
            if server not in self._asked:
                self._asked.add(server)
                self._tasks.create_task(self._check(server, self.serving[server]))

    def end_idle(self) -> None:
        """Begin to look which servers have not been used for too long, and end those."""
        now = time.time()
        self._busy = {server: at for server, at in self._busy.items() if server in self.serving}
        spares = self._visitors.ready_spares
        for server, serving in self.serving.items():
            if (
                server not in spares
                and server not in self._asked
                and self.used(server, now) < now - self._idle
            ):
                self._asked.add(server)
                self._tasks.create_task(self._end_unless_busy(server, serving))

    def used(self, server: ServerId, now: float) -> float:
        """Return when a server was used last, in seconds since the epoch; a busy kernel may be use.

        Args:
            server: that answers.
            now: in the same seconds.
        """
        return max(self._proxy.last_input(self.urls.route(server)) or now, self._busy.get(server, 0.0))

    def go_on(self, server: ServerId) -> None:
        """Take note that a visitor has answered that its server is to go on: that is use, too."""
        self.brakes.go_on(server)
        self._busy[server] = time.time()

    def time_left(self, ready: ServerReady) -> TimeLeft:
        """Return what is left of the time of a visitor's server."""
        now = time.time()
        idle = left(self._idle, self.used(ready.server, now), now, idle=True)
        return sooner(left(self._visitors.limits.max_age, ready.since, time.monotonic()), idle)

    def memory_told(self, server: ServerId) -> MemoryTold | None:
        """Return what a server's visitor is told of its memory; None where that is not bounded."""
        serving = self.serving.get(server)
        share = None if serving is None else serving.record.share
        if serving is None or share is None or not share.memory:
            return None
        return MemoryTold(share.memory, control_groups.use(serving.record.groups).kills or 0)

    async def _end_unless_busy(self, server: ServerId, serving: Serving) -> None:
        try:
            target = parse_target(serving.target)
            asked = serving.record.jupyter and not serving.asleep
            busy = asked and await may_be_busy(target, self.urls.base(server), serving.home.token)
            if busy and self.brakes.reprieves(server):
                self._busy[server] = time.time()
            elif self.used(server, now := time.time()) < now - self._idle:
                unanswered = ", and the question whether it is to go on was not answered" if busy else ""
                self._end(EndAsked(server, f"it was not used for {duration(self._idle)}{unanswered}"))
        finally:
            self._asked.discard(server)

    async def _check(self, server: ServerId, serving: Serving) -> None:
        try:
            if not await healthy(serving) and server in self._visitors.ready_spares:
                self._end(EndAsked(server, "it does not answer any more, as a spare"))
        finally:
            self._asked.discard(server)


def duration(seconds: float) -> str:
    """Return a time in words: ``90 s``, ``45 min``, ``2 h``."""
    if seconds < 120:
        return f"{seconds:g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
