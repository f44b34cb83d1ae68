"""A crowd: visitors that come one after the other, are measured, and leave nothing behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random
from time import monotonic
from urllib.parse import urlsplit

from moorage.load.arrivals import arrivals, pauses
from moorage.load.browser import open_browser
from moorage.load.entrance import Entrance
from moorage.load.measures import Measures, Sample, Standing
from moorage.load.settings import LoadSettings
from moorage.load.stopwatch import Stopwatch
from moorage.load.visitor import SimulatedVisitor
from moorage.tasks import before_end, every

TICK = 0.05
"""Seconds between two looks at how late this loop is."""


class CrowdEnd:
    """Tells all visitors that it is time to go."""

    def __init__(self) -> None:
        self.over = False
        self._calls: dict[int, Callable[[], None]] = {}

    def end(self) -> None:
        """Have all go now."""
        self.over = True
        for call in [*self._calls.values()]:
            call()

    def on_end(self, call: Callable[[], None]) -> Callable[[], None]:
        """Have a function called at the end; returns what calls that off."""
        key = id(call)
        self._calls[key] = call
        if self.over:
            call()
        return lambda: self._calls.pop(key, None) and None


class Crowd:
    """Visitors of one page.

    Args:
        settings: how many, and what they do.
        ending: tells them to go before their time.

    Attributes:
        measures: what they have measured so far.
    """

    def __init__(self, settings: LoadSettings, ending: CrowdEnd) -> None:
        self.measures = Measures()
        self._settings = settings
        self._ending = ending
        self._visitors: list[SimulatedVisitor] = []
        # The same crowd at each run, so that two runs can be compared. It guards no secret.
        self._random = Random(settings.visitors)  # noqa: S311 - as above
        self._begun = 0.0
        self._ticked = 0.0
        self._late = 0.0

    def now(self) -> float:
        """Return the seconds since the crowd began to come."""
        return monotonic() - self._begun

    @property
    def standing(self) -> Standing:
        """Where visitors are now."""
        places = Counter(visitor.place for visitor in self._visitors)
        return Standing(self.now(), places["arriving"], places["queued"], places["inside"])

    async def come(self) -> None:
        """Have all visitors come, work and go; each has ended its server then.

        Cancelling ends it at once, and leaves the servers.
        """
        self._begun = monotonic()
        end = asyncio.get_running_loop().time() + self._settings.seconds
        draws = [self._random.random() for _ in range(self._settings.visitors)]
        self._ticked = self.now()
        with every(TICK, self._tick), every(1.0, self._look):
            async with asyncio.TaskGroup() as group:
                for number, at in enumerate(arrivals(draws, self._settings.within), 1):
                    group.create_task(self._visitor(number, at, end), name=f"visitor {number}")
        self._look()

    async def _visitor(self, number: int, at: float, end: float) -> None:
        url = self._settings.url
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        watch = Stopwatch(number, self.measures, self.now, self._settings.patience)
        with suppress(TimeoutError):
            await before_end(asyncio.sleep(at), self._ending.on_end, end)
        if self._ending.over or self.now() >= self._settings.seconds:
            return
        async with open_browser(url) as browser:
            entrance = Entrance(path, parts.netloc, anywhere=self._settings.own)
            visitor = SimulatedVisitor(
                number, browser, entrance, self._settings, self.measures, watch, self._looks()
            )
            self._visitors.append(visitor)
            with suppress(TimeoutError):
                await before_end(visitor.visit(), self._ending.on_end, end)
            self.measures.seconds = max(self.measures.seconds, min(self.now(), self._settings.seconds))
            await visitor.leave()

    def _looks(self) -> Iterator[float]:
        own = Random(self._random.random())  # noqa: S311 - guards no secret
        return pauses(iter(own.random, None), self._settings.pause)

    def _tick(self) -> None:
        now = self.now()
        self._late = max(self._late, now - self._ticked - TICK)
        self._ticked = now

    def _look(self) -> None:
        self.measures.lateness.append(Sample(self.now(), self._late))
        self.measures.standings.append(self.standing)
        self._late = 0.0
