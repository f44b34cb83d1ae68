"""An engine for what a real one cannot be made to say: it keeps books, and starts nothing."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

PID = 99_999_999
"""A process id that no process has."""


class FakeEngine:
    """Containers by name, as they were made; they end when a test says so."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.info: dict[str, Any] = {"ServerVersion": "1", "SecurityOptions": [], "MemoryLimit": True}
        self.images: dict[str, list[str]] = {"lab": ["PATH=/opt/bin", "JUPYTER_PATH=/opt/share"]}
        self.networks = {"some"}
        self.made: dict[str, dict[str, Any]] = {}
        self.states: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.said = b""
        self.slow: asyncio.Event | None = None
        self.refuses: dict[str, tuple[int, str]] = {}
        self.stopping = False
        self.pid = PID
        self._runner: web.AppRunner | None = None
        self._changed = asyncio.Event()

    def set_state(self, name: str, **state: Any) -> None:
        self.states[name] = state
        self._changed.set()
        self._changed = asyncio.Event()

    async def start(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=0, handler_cancellation=True
        )
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.socket)).start()

    async def stop(self) -> None:
        self.stopping = True
        self._changed.set()  # what waits for an end would keep it
        self._changed = asyncio.Event()
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner, self.stopping = None, False
        self.socket.unlink(missing_ok=True)

    async def _answer(self, request: web.Request) -> web.Response:
        asked = f"{request.method} {request.path}"
        self.asked.append(asked)
        for beginning, (status, message) in self.refuses.items():
            if asked.startswith(beginning):
                return web.json_response({"message": message}, status=status)
        _, kind, *names = request.path.split("/")
        answers: dict[str, Callable[..., Awaitable[web.Response]]] = {
            "info": self._info,
            "images": self._image,
            "networks": self._network,
            "containers": self._containers,
        }
        return await answers[kind](request, *names)

    async def _info(self, request: web.Request) -> web.Response:
        return web.json_response(self.info)

    async def _image(self, request: web.Request, name: str, *rest: str) -> web.Response:
        if name not in self.images:
            return _missing(name)
        return web.json_response({"Id": name, "Config": {"Env": self.images[name]}})

    async def _network(self, request: web.Request, name: str) -> web.Response:
        return web.json_response({"Name": name}) if name in self.networks else _missing(name)

    async def _containers(self, request: web.Request, name: str, verb: str = "") -> web.Response:
        if name == "create":
            if self.slow is not None:
                await self.slow.wait()
            name = request.query["name"]
            self.made[name] = await request.json()
            self.states[name] = {"Running": False}
            return web.json_response({"Id": name}, status=201)
        if name == "json":
            (wanted,) = json.loads(request.query["filters"])["label"]
            label, _, value = wanted.partition("=")
            found = [name for name, made in self.made.items() if made["Labels"].get(label) == value]
            return web.json_response([{"Id": name, "State": "running"} for name in found])
        return await self._one(request, name, verb) if name in self.made else _missing(name)

    async def _one(self, request: web.Request, name: str, verb: str) -> web.Response:
        if request.method == "DELETE":
            del self.made[name], self.states[name]
        elif verb == "start":
            self.set_state(name, Running=True, Pid=self.pid)
        elif verb == "logs":
            return web.Response(body=self.said)
        elif verb == "wait":
            while self.states[name].get("Running"):
                await self._changed.wait()
                if self.stopping:
                    assert request.transport is not None
                    request.transport.abort()
                    break
            return web.json_response({"StatusCode": self.states[name].get("ExitCode", 0)})
        else:
            settings = {"Labels": self.made[name]["Labels"], "Env": self.made[name].get("Env")}
            networks = {"Networks": {"some": {"IPAddress": "172.31.77.2"}}}
            said = {"Id": name, "State": self.states[name], "Config": settings, "NetworkSettings": networks}
            return web.json_response(said)
        return web.Response(status=204)


def _missing(name: str) -> web.Response:
    return web.json_response({"message": f"No such thing: {name}"}, status=404)


@asynccontextmanager
async def fake_engine() -> AsyncIterator[FakeEngine]:
    """Yield one that runs."""
    with tempfile.TemporaryDirectory(prefix="mt-", dir="/tmp") as folder:
        made = FakeEngine(Path(folder) / "s")
        await made.start()
        try:
            yield made
        finally:
            await made.stop()
