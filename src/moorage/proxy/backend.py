"""A route at work: its spare connections to the server, and everything that is open on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from moorage.plan.proxying import PrefixRoute
from moorage.proxy.shared_files import SharedFiles
from moorage.wire.http import RequestHead


class Closable(Protocol):
    """What is open on a route."""

    def close(self) -> None:
        """End it, because its route is gone."""


class KeptConnection(Closable, Protocol):
    """A connection to a server that may be kept for another request."""

    since: float


@dataclass(frozen=True)
class WaitingRequest:
    """A request that may have to wait for its server.

    Args:
        request: its head.
        message: as it is sent on.
        transport: of its visitor.
        waits: tells whether its visitor is still there.
        go_on: sends it to its server, if its visitor is still there.
        say: answers it, with a status, lines of fields and a body.
        fail: answers it with an error of the proxy's own.
        leave: leaves its connection to something else, and returns what was read ahead.
    """

    request: RequestHead
    message: bytes
    transport: asyncio.Transport
    waits: Callable[[], bool]
    go_on: Callable[[], None]
    say: Callable[[int, tuple[bytes, bytes]], None]
    fail: Callable[[int], None]
    leave: Callable[[], bytes]


class Resting(Protocol):
    """What takes requests in the place of a server that is asleep."""

    @property
    def holds(self) -> bool:
        """Whether the server is, or is about to be."""

    def take(self, waiting: WaitingRequest) -> None:
        """Take a request."""

    def ping(self, now: float) -> None:
        """Send signs of life to visitors where they are due."""

    def close(self) -> None:
        """End it, because its route is gone."""


S = TypeVar("S", bound=KeptConnection)


class Backend(Generic[S]):
    """One route with its sockets.

    Args:
        route: the route.
        spares: how many connections are kept between requests.
        shared: files that its server need not be asked for; None for none.
        pages: whether this very process answers, with pages.

    Attributes:
        rest: what takes requests while its server sleeps; None where it never does.
    """

    __slots__ = ("_idle", "_spares", "busy", "gone", "pages", "rest", "route", "shared")

    def __init__(
        self, route: PrefixRoute, spares: int, shared: SharedFiles | None = None, *, pages: bool = False
    ) -> None:
        self.route = route
        self.pages = pages
        self.shared = shared
        self.busy: set[Closable] = set()
        self.gone = False
        self.rest: Resting | None = None
        self._idle: list[S] = []
        self._spares = spares

    @property
    def idle(self) -> int:
        """How many connections are kept."""
        return len(self._idle)

    def take(self, since: float) -> S | None:
        """Return the connection that was used last, if that was not before a time; None when there is none.

        Args:
            since: in seconds of the loop's clock.
        """
        if self._idle and self._idle[-1].since >= since:
            return self._idle.pop()
        return None

    def keep(self, spare: S, now: float) -> None:
        """Keep a connection for another request, or close it."""
        if self.gone or len(self._idle) >= self._spares:
            spare.close()
        else:
            spare.since = now
            self._idle.append(spare)

    def forget(self, spare: S) -> None:
        """Forget a kept connection that is closed."""
        if spare in self._idle:
            self._idle.remove(spare)

    def drop_idle(self, before: float) -> int:
        """Close the kept connections that have not been used since a time, and return how many."""
        old = [spare for spare in self._idle if spare.since < before]
        if old:
            self._idle = [spare for spare in self._idle if spare.since >= before]
            for spare in old:
                spare.close()
        return len(old)

    def close(self) -> None:
        """Close everything that is open on this route, which is gone."""
        self.gone = True
        self.drop_idle(float("inf"))
        if self.rest is not None:
            self.rest.close()
        for each in list(self.busy):
            each.close()
        self.busy.clear()
