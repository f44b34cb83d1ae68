"""Lowers the share of servers that compute for long without their visitors, and raises it again.

When that is to be, decides :mod:`moorage.plan.brake`. Whether a share is lowered stands in the server's
control groups alone, so that the service after a killed one knows it, too.
"""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.plan.brake import (
    Acted,
    AskVisitor,
    Brake,
    Command,
    Event,
    FullShare,
    LowerShare,
    Measured,
    RaiseShare,
    ShareLowered,
    look_every,
)
from moorage.plan.control_groups import ours
from moorage.plan.visits import ServerId
from moorage.process import control_groups
from moorage.tasks import in_thread
from moorage.temp.brake_told import BrakeTold
from moorage.temp.server import Serving
from moorage.temp.time_left import countdown

log = logging.getLogger("moorage.temp")

_LOWERED = "Server %s has computed for %s without its visitor: its share of the processors is lowered"
_RAISED = "Server %s has its whole share of the processors again"
_NAMES = {FullShare: "full", ShareLowered: "lowered"}


@dataclass
class _Braked:
    """A server with a brake.

    Args:
        brake: of it.
        after: as the brake has it.
        folders: of its control groups.
        given: when its visitor's last input came, in seconds since the epoch.
        due: when its processor time is to be looked at, on the monotonic clock.
    """

    brake: Brake
    after: float
    folders: Sequence[str]
    given: float
    due: float = 0.0


class Brakes:
    """The brakes of one service's servers.

    Args:
        serving: servers that answer.
        last_input: tells when a visitor's last input came to a server, in seconds since the epoch; None
            where it has no route.
        tasks: where looks have a task.
    """

    def __init__(
        self,
        serving: Mapping[ServerId, Serving],
        last_input: Callable[[ServerId], float | None],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._serving = serving
        self._last_input = last_input
        self._tasks = tasks
        self._braked: dict[ServerId, _Braked] = {}
        self._looking = False

    def admitted(self, server: ServerId, serving: Serving) -> None:
        """Take note that a visitor was let in to a server, whose share an earlier service may have lowered.

        Args:
            server: whose route has just been added.
            serving: the same.
        """
        record, folders = serving.record, ours(serving.record.groups, server)
        if not record.brake or not folders:
            return
        lowered = control_groups.has_lowered_share(folders)
        state = ShareLowered(time.monotonic()) if lowered else FullShare()
        processors = (record.share.cpus if record.share is not None else 0.0) or 1.0
        brake = Brake(record.brake, processors, state)
        self._braked[server] = _Braked(brake, record.brake, folders, self._last_input(server) or time.time())

    def look(self) -> None:
        """See which visitors have come back, and begin to look at the processor time that is due."""
        self._braked = {server: each for server, each in self._braked.items() if server in self._serving}
        for server, each in [*self._braked.items()]:
            given = self._last_input(server)
            if given is not None and given > each.given:
                each.given = given
                self._tell(server, each, Acted(), time.monotonic())
        now = time.monotonic()
        due = {server: each.folders for server, each in self._braked.items() if each.due <= now}
        if due and not self._looking:
            self._looking = True
            self._tasks.create_task(self._measure(due))

    def go_on(self, server: ServerId) -> None:
        """Take note that a visitor wants its server to go on with the whole share."""
        if (each := self._braked.get(server)) is not None:
            self._tell(server, each, Acted(), time.monotonic())

    def reprieves(self, server: ServerId) -> bool:
        """Tell whether a busy kernel of a server is use: not when a question was not answered for long."""
        each = self._braked.get(server)
        return each is None or each.brake.reprieves(time.monotonic())

    def told(self, server: ServerId) -> BrakeTold | None:
        """Return how the brake of a server stands; None where there is none."""
        if (each := self._braked.get(server)) is None:
            return None
        state = _NAMES.get(type(each.brake.state), "asked")
        return BrakeTold(each.after, state, each.brake.alone_for(time.monotonic()))

    @property
    def lowered(self) -> int:
        """How many servers have a lowered share."""
        return sum(not isinstance(each.brake.state, FullShare) for each in self._braked.values())

    async def _measure(self, due: Mapping[ServerId, Sequence[str]]) -> None:
        def look() -> dict[ServerId, tuple[float, Measured | None]]:
            return {
                server: (time.monotonic(), control_groups.processor_time(folders))
                for server, folders in due.items()
            }

        try:
            found = await in_thread(look, name="look at processor time")
        finally:
            self._looking = False
        for server, (now, measured) in found.items():
            each = self._braked.get(server)
            if each is None:
                continue
            if measured is None:  # its groups go with it, or do not count
                del self._braked[server]
                continue
            each.due = now + look_every(each.after)
            self._tell(server, each, measured, now)

    def _tell(self, server: ServerId, each: _Braked, event: Event, now: float) -> None:
        for command in each.brake.handle(event, now):
            self._carry_out(server, each, command, countdown(each.brake.alone_for(now)))

    def _carry_out(self, server: ServerId, each: _Braked, command: Command, alone: str) -> None:
        match command:
            case AskVisitor():
                log.info("Server %s: its visitor is asked whether it is to go on computing", server)
            case LowerShare() | RaiseShare():
                lowered = isinstance(command, LowerShare)
                try:
                    control_groups.lower_share(each.folders, lowered=lowered)
                except OSError as error:
                    log.warning("The share of server %s cannot be changed: %s", server, error)
                    del self._braked[server]
                    return
                log.info(_LOWERED if lowered else _RAISED, server, *([alone] if lowered else []))
