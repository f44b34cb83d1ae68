"""Visitors of a ``moorage temp`` that a drill has started, and that service itself."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bench.measure import HERE, environment
from moorage.load.browser import Browser, open_browser
from moorage.load.document import RanCell
from moorage.load.entrance import AskPage, Entrance, LetIn
from moorage.load.forms import read_html
from moorage.load.jupyterlab import Site
from moorage.load.kernel_channel import KernelChannel, open_channel
from moorage.plan.control_groups import group_of, parents
from moorage.plan.visits import ServerId
from moorage.tasks import beside

PATIENCE = 60.0
CELL = RanCell("print(6 * 7)", "42")


class Service:
    """A ``moorage temp`` of its own.

    Args:
        state: its state directory.
        words: further options.
        port: where it listens; 0 for any.

    Attributes:
        url: where visitors find it.
    """

    def __init__(self, state: Path, words: Sequence[str], port: int = 0) -> None:
        self.url = ""
        self._state, self._words, self._port = state, words, port
        self._log = state.with_name("log")
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        assert self._process is not None
        return self._process.returncode

    def said(self) -> str:
        """Return all that it has said, those before it included."""
        return self._log.read_text()

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [sys.executable, "-m", "moorage", "temp", "--port", str(self._port)]
        command += ["--state", str(self._state), *self._words]
        with self._log.open("ab") as file:
            before = file.tell()
            self._process = await asyncio.create_subprocess_exec(
                *command, cwd=HERE, env=environment(), stdout=file, stderr=file
            )
        while not (opened := re.search(r"Open (http://[^/ ]*:(\d+)\S*)", self.said()[before:])):
            assert self.code is None, self.said()
            await asyncio.sleep(0.1)
        self.url, self._port = opened[1], int(opened[2])

    async def kill(self) -> None:
        """SIGKILL it."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def end(self) -> None:
        """End it as Ctrl-C does, with all its servers."""
        assert self._process is not None
        if self.code is None:
            self._process.send_signal(signal.SIGINT)
        await self._process.wait()


class Guest:
    """A visitor with a server."""

    def __init__(self, browser: Browser, landing: str) -> None:
        self.browser, self.site = browser, Site(landing)
        self.server = ServerId(self.site.base.rpartition("/")[2])

    @property
    def groups(self) -> list[Path]:
        """Folders of the control groups of its server."""
        mounts = Path("/proc/self/mountinfo").read_text()
        there = parents(Path("/proc/self/cgroup").read_text(), mounts)
        return [Path(parent.folder, group_of(self.server)) for parent in there]

    async def start_kernel(self) -> str:
        """Start a kernel, and return its id."""
        made = await self.browser.ask("POST", self.site.under("api/kernels"), {"name": "python3"})
        return str(made["id"])

    @asynccontextmanager
    async def channel(self, kernel: str) -> AsyncIterator[KernelChannel]:
        """Open a websocket to a kernel that there is."""
        async with open_channel(self.browser, self.site.under(f"api/kernels/{kernel}/channels")) as one:
            await one.greet()
            yield one

    @asynccontextmanager
    async def kernel(self) -> AsyncIterator[KernelChannel]:
        """Start a kernel and open a websocket to it."""
        async with self.channel(await self.start_kernel()) as one:
            yield one

    @asynccontextmanager
    async def terminal(self, line: str) -> AsyncIterator[None]:
        """Type a line into a terminal, and let what it writes be read for as long as the block lasts."""
        name = (await self.browser.ask("POST", self.site.under("api/terminals")))["name"]
        path = self.site.under(f"terminals/websocket/{name}")
        async with self.browser.websocket(path) as websocket:

            async def read() -> None:
                async for _ in websocket:
                    pass

            while "begun" not in (await websocket.receive_str(timeout=PATIENCE)):
                await websocket.send_str(json.dumps(["stdin", "echo be''gun\r"]))
            await websocket.send_str(json.dumps(["stdin", f"{line}\r"]))
            async with beside(read(), name="read a terminal"):
                yield

    async def leave(self) -> None:
        form = read_html((await self.browser.visit("/server")).text).form("/end")
        await self.browser.visit("/end", {} if form is None else form.fields)


async def let_in(browser: Browser) -> Guest:
    """Press the button, and wait for a server."""
    async with asyncio.timeout(2 * PATIENCE):
        entrance = Entrance("/")
        ask: AskPage | None = entrance.start(time.monotonic())
        while ask is not None:
            await asyncio.sleep(ask.after)
            found = entrance.handle(await browser.visit(ask.path, ask.form), time.monotonic())[-1]
            ask = found if isinstance(found, AskPage) else None
    assert isinstance(found, LetIn), found
    return Guest(browser, found.path)


@asynccontextmanager
async def guest(url: str) -> AsyncIterator[Guest]:
    """Press the button in a browser of its own."""
    async with open_browser(url) as browser:
        yield await let_in(browser)
