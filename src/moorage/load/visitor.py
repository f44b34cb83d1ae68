"""One visitor: on its way into its server, at work in it, and gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress

from moorage.load.browser import Browser
from moorage.load.departure import Departure, Ended, NoServer, NotEnded
from moorage.load.document import Workbook
from moorage.load.entrance import AskPage, Broken, Entrance, Heard, LetIn, Stumbled, Timed, TurnedAway
from moorage.load.jupyterlab import OFTEN, Site
from moorage.load.measures import Measures
from moorage.load.notebook import RECONNECT, NotebookWork
from moorage.load.settings import LoadSettings
from moorage.load.steps import Step, StepFailed, Trouble
from moorage.load.stopwatch import Stopwatch
from moorage.tasks import together

GIVES_UP = 3
"""Looks in a row of which none is answered, after which a visitor leaves."""


class SimulatedVisitor:
    """Does what one visitor does.

    Args:
        number: from 1 on.
        browser: its own.
        entrance: its way from the page with the button.
        settings: of the crowd.
        measures: where it is written that it came, and how it fared.
        watch: its own.
        pauses: seconds before each cell.
    """

    def __init__(
        self,
        number: int,
        browser: Browser,
        entrance: Entrance,
        settings: LoadSettings,
        measures: Measures,
        watch: Stopwatch,
        pauses: Iterator[float],
    ) -> None:
        self._number = number
        self._browser = browser
        self._entrance = entrance
        self._settings = settings
        self._measures = measures
        self._watch = watch
        self._pauses = pauses
        self.place = "arriving"
        self._nothing_to_end = False

    async def visit(self) -> None:
        """Press the button, and work until the visitor leaves; cancelling ends that at once."""
        self._measures.came.add(self._number)
        landed = await self._enter()
        if landed is None:
            self.place = "gone"
            return
        self._measures.let_in.add(self._number)
        self.place = "inside"
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.stay or None):
                await self._use(landed)

    async def leave(self) -> None:
        """End the visitor's server, if it has one or is about to, and leave the queue, as pages do.

        A visitor that has given up does so, too: an error on its way in does not mean that nothing started.
        """
        left, self.place = self.place, "gone"
        pressed, done = self._entrance.pressed, self._nothing_to_end
        self._nothing_to_end = True
        if done or not pressed:
            return
        departure = Departure(self._entrance.at_pages)
        with suppress(StepFailed):
            async with self._watch.step(Step.END):
                ask = departure.start(None if left == "inside" else pressed)
                while True:
                    if ask.after:
                        await asyncio.sleep(ask.after)
                    match departure.handle(await self._browser.visit(ask.path, ask.form)):
                        case AskPage() as ask:
                            pass
                        case NotEnded(trouble):
                            raise StepFailed(f"The server cannot be ended: {trouble.text}", trouble.status)
                        case NoServer(trouble) if left == "inside":
                            raise StepFailed(f"There is no server to end: {trouble.text}", trouble.status)
                        case NoServer() | Ended():
                            return

    # On the way in.

    async def _enter(self) -> LetIn | None:
        """Return the page of the server; None where the visitor gets none."""
        entrance = self._entrance
        ask: AskPage | None = entrance.start(self._watch.now())
        found = None
        try:
            while ask is not None and found is None:
                self.place = "queued" if entrance.queued else "arriving"
                if entrance.queued:
                    self._measures.queued.add(self._number)
                ask, found = self._judged(entrance, await self._heard(ask))
        except StepFailed as error:
            self._watch.failed(entrance.step, error.trouble)
        except asyncio.CancelledError:
            self._watch.unfinished(entrance.step, entrance.begun)
            raise
        return found

    async def _heard(self, ask: AskPage) -> Heard:
        if ask.after:
            await asyncio.sleep(ask.after)
        try:
            async with asyncio.timeout(self._settings.patience):
                return await self._browser.visit(ask.path, ask.form)
        except TimeoutError:
            raise StepFailed(f"No answer in {self._settings.patience:g} s") from None

    def _judged(self, entrance: Entrance, heard: Heard) -> tuple[AskPage | None, LetIn | None]:
        """Write down what an answer ends, and return what is next."""
        for outcome in entrance.handle(heard, self._watch.now()):
            match outcome:
                case Timed():
                    self._watch.done(outcome.step, outcome.seconds)
                case Stumbled() | Broken():
                    self._watch.failed(outcome.step, outcome.trouble)
                case TurnedAway():
                    self._nothing_to_end = True
                    self._measures.refused[self._number] = outcome.trouble
                case AskPage():
                    return outcome, None
                case LetIn():
                    return None, outcome
        return None, None

    # In its server.

    async def _use(self, landed: LetIn) -> None:
        site = Site(landed.path)
        asked = site.at_start() if self._settings.notebooks else []
        if files := site.files(landed.page) + asked:
            with suppress(StepFailed):
                async with self._watch.step(Step.PAGE):
                    await self._browser.load(files)
        works = [self._look(site, landed.path)]
        if site.has_events:
            works.append(self._hear_events(site))
        for number in range(self._settings.notebooks):
            document = Workbook(f"visited-{number + 1}.ipynb")
            works.append(NotebookWork(self._browser, site, document, self._watch, self._pauses).run())
        try:
            await together(*works)
        except StepFailed:  # written down where it happened
            self.place = "gone"

    async def _look(self, site: Site, landing: str) -> None:
        """Poll what a visible tab polls; a server without notebooks has its page, and no more."""
        tick, silent = 0, 0
        while True:
            await asyncio.sleep(OFTEN)
            tick += 1
            paths = site.polled(tick) if self._settings.notebooks else [landing]
            answered = 0
            for path in paths:
                with suppress(StepFailed):
                    async with self._watch.step(Step.POLL):
                        await self._browser.load([path])
                    answered += 1
            silent = 0 if answered else silent + 1
            if silent == GIVES_UP:
                raise StepFailed("The server does not answer any more")

    async def _hear_events(self, site: Site) -> None:
        while True:
            try:
                async with self._browser.websocket(site.under("api/events/subscribe")) as websocket:
                    async for _ in websocket:
                        pass
                self._watch.failed(Step.POLL, Trouble("The websocket of events was closed"))
            except StepFailed as error:
                self._watch.failed(Step.POLL, error.trouble)
            await asyncio.sleep(RECONNECT)
