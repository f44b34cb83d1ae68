"""One notebook of a visitor: opened, with a kernel, run and saved until the visitor leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from urllib.parse import quote

from moorage.load.arrivals import SAVED_EVERY
from moorage.load.browser import Browser
from moorage.load.document import Workbook
from moorage.load.jupyterlab import Site
from moorage.load.kernel_channel import KernelChannel, open_channel
from moorage.load.steps import Step, StepFailed
from moorage.load.stopwatch import Stopwatch

RECONNECT, LONGEST = 1.0, 30.0
"""Seconds after which a websocket is opened again that was closed, at first and at most."""


class NotebookWork:
    """Works on one notebook.

    Args:
        browser: of the visitor.
        site: the addresses of the visitor's server.
        document: what is worked on.
        watch: of the visitor; all that fails is written down there.
        pauses: seconds between two cells.
    """

    def __init__(
        self, browser: Browser, site: Site, document: Workbook, watch: Stopwatch, pauses: Iterator[float]
    ) -> None:
        self._browser = browser
        self._site = site
        self._document = document
        self._watch = watch
        self._pauses = pauses
        self._file = site.under(f"api/contents/{quote(document.path)}")
        self._kernel = ""

    async def run(self) -> None:
        """Work until it is cancelled; returns where the notebook cannot be opened."""
        with suppress(StepFailed):
            async with self._watch.step(Step.NOTEBOOK):
                await self._open()
            await self._work()

    async def _work(self) -> None:
        delay = RECONNECT
        while True:
            with suppress(StepFailed):
                async with AsyncExitStack() as stack:
                    async with self._watch.step(Step.KERNEL):
                        channel = await stack.enter_async_context(self._connected())
                    await self._run_cells(channel)
            await asyncio.sleep(delay)
            delay = min(2 * delay, LONGEST)

    async def _open(self) -> None:
        """Make the file, and read it as JupyterLab does when it opens a notebook."""
        await self._browser.ask("PUT", self._file, self._document.model())
        await self._browser.ask("GET", f"{self._file}?content=0&hash=0")
        await self._browser.ask("GET", f"{self._file}?type=notebook&content=1&hash=1")
        await self._browser.load([f"{self._file}/checkpoints"])

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[KernelChannel]:
        """Start a kernel, unless there is one, and open a websocket to it that answers."""
        if not self._kernel:
            sessions = self._site.under("api/sessions")
            await self._browser.load([sessions])
            wanted = {"path": self._document.path, "name": self._document.path, "type": "notebook"}
            made = await self._browser.ask("POST", sessions, {**wanted, "kernel": {"name": "python3"}})
            self._kernel = _kernel_id(made)
        path = self._site.under(f"api/kernels/{self._kernel}/channels")
        async with open_channel(self._browser, path) as channel:
            await channel.greet()
            yield channel

    async def _run_cells(self, channel: KernelChannel) -> None:
        """Run cell after cell, until the websocket is closed."""
        for pause in self._pauses:
            cell = self._document.next_cell()
            step = Step.EXECUTE if self._document.cells else Step.FIRST
            try:
                async with self._watch.step(step):
                    await channel.run(cell)
            except StepFailed:
                if channel.closed is not None:
                    raise
            else:
                self._document.cells.append(cell)
                if len(self._document.cells) % SAVED_EVERY == 1:
                    await self._save()
            await asyncio.sleep(pause)

    async def _save(self) -> None:
        """Save the notebook, once it is known that no other tab has; an error stops nothing."""
        with suppress(StepFailed):
            async with self._watch.step(Step.SAVE):
                await self._browser.ask("GET", f"{self._file}?content=0&hash=0")
                await self._browser.ask("PUT", self._file, self._document.model())


def _kernel_id(session: object) -> str:
    """Return the kernel of a session that was made."""
    match session:
        case {"kernel": {"id": str(name)}}:
            return name
        case _:
            raise StepFailed("The session that was made has no kernel")
