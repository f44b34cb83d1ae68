"""A service in this process with toy servers, and browsers that keep their cookies."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp

from moorage.plan.brake import Brake, ShareAsked
from moorage.plan.visits import ServerId
from moorage.proxy.listening import bind
from moorage.temp import braking
from moorage.temp.commands import ServerCommand, own_command
from moorage.temp.offering import Offering
from moorage.temp.running import run_service
from moorage.temp.service import Service
from moorage.temp.settings import TempSettings
from moorage.temp.walled import put_up

TOY = Path(__file__).with_name("toy.py")
PATIENCE = 60.0


def toy(address: str = "{socket} {base_path}", *words: str) -> ServerCommand:
    return own_command(" ".join([sys.executable, str(TOY), address, *words]))


@dataclass
class Answer:
    status: int
    headers: Any
    text: str

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")

    @property
    def said(self) -> Any:
        return json.loads(self.text)


class Here(aiohttp.abc.AbstractResolver):
    """Has all names lead to this machine, as browsers do with those below ``localhost``."""

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> Any:
        return [
            {"hostname": host, "host": "127.0.0.1", "port": port, "family": family, "proto": 0, "flags": 0}
        ]

    async def close(self) -> None:
        pass


class Browser:
    """Follows no redirect by itself."""

    def __init__(self, session: aiohttp.ClientSession, origin: str) -> None:
        self.session, self.origin = session, origin
        self.at = origin  # where it was led last

    async def ask(self, method: str, path: str, data: Any = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(
            method, urljoin(self.origin, path), data=data, headers=named, allow_redirects=False
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.text())

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask("GET", path, **headers)

    async def press(self, path: str = "/", action: str = "/start", offer: str = "", **headers: str) -> Answer:
        """Open a page and send its form."""
        page = await self.get(path)
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text))
        fields |= {"offer": offer} if offer else {}
        return await self.ask("POST", action, fields, **headers)

    async def follow(self, answer: Answer) -> Answer:
        """Go on until there is a page that does not lead on."""
        for _ in range(50):
            if answer.status == 303:
                self.at = urljoin(self.at, answer.location)
                answer = await self.get(self.at)
            elif found := re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', answer.text):
                self.at = urljoin(self.at, unescape(found[1]))
                answer = await self.get(self.at)
            else:
                return answer
        raise AssertionError("it never ends")


@dataclass
class Rig:
    service: Service
    port: int
    state: Path
    offering: Offering

    @property
    def file(self) -> Path:
        """The configuration."""
        return self.state.parent / "moorage.toml"

    @asynccontextmanager
    async def browser(self, host: str = "127.0.0.1") -> AsyncIterator[Browser]:
        jar = aiohttp.CookieJar(unsafe=True)
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        connector = aiohttp.TCPConnector(resolver=Here())
        async with aiohttp.ClientSession(connector=connector, cookie_jar=jar, timeout=timeout) as session:
            yield Browser(session, f"http://{host}:{self.port}")

    async def emptied(self) -> None:
        """Wait until no server is left; to those outside nothing tells."""
        async with asyncio.timeout(PATIENCE):
            while self.service._running:
                await asyncio.sleep(0.01)

    async def with_spares(self, number: int) -> list[str]:
        """Wait until so many spares answer, and return their names; to those outside nothing tells."""
        async with asyncio.timeout(PATIENCE):
            while len(self.service.visitors.ready_spares) != number:
                await asyncio.sleep(0.01)
        return [*self.service.visitors.ready_spares]

    async def pid_of(self, server: str) -> int:
        """Ask a toy behind the back of the service."""
        connector = aiohttp.UnixConnector(str(self.state / "servers" / server / "s"))
        async with aiohttp.ClientSession(connector=connector) as session, session.get("http://x/") as answer:
            return (await answer.json(content_type=None))["pid"]

    def ask_of(self, server: str, seconds: float = 65.0) -> Path:
        """Have the brake of a server have asked its visitor; return its group, which is a folder of files."""
        folder = self.state.parent / f"moorage-{server}"
        folder.mkdir(exist_ok=True)
        (folder / "cpu.weight").write_text("10\n")
        brake = Brake(1200.0, state=ShareAsked(time.monotonic() - seconds))
        never = float("inf")
        self.service.watch.brakes._braked[ServerId(server)] = braking._Braked(
            brake, 1200.0, [str(folder)], never, never
        )
        return folder

    def left(self) -> list[str]:
        return [path.name for path in (self.state / "servers").iterdir()]


@asynccontextmanager
async def service(
    command: ServerCommand | None = None, offers: str = "", *, walls: bool = False, **settings: Any
) -> AsyncIterator[Rig]:
    folder = Path(tempfile.mkdtemp(prefix="mt-", dir="/tmp"))
    try:
        state = folder / "s"
        (folder / "moorage.toml").write_text(offers)
        listeners = bind("127.0.0.1", 0)
        told = TempSettings(state=state, command=command or toy(), **settings)
        offering = Offering(told, folder if offers else None)
        walling = await put_up(told, elsewhere=False) if walls else None
        try:
            async with run_service(offering, listeners, walling) as running:
                yield Rig(running, listeners[0].getsockname()[1], state, offering)
        finally:
            for each in listeners:  # which a service that cannot be run leaves to its caller
                each.close()
        assert list((state / "servers").iterdir()) == []
    finally:
        shutil.rmtree(folder)
