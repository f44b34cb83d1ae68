"""A page with a button and a Jupyter server behind it, both made up, that fail as a test says."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from struct import unpack_from
from typing import Any

from aiohttp import WSMsgType, web

from moorage.load.channels import PROTOCOL, request

FORM = '<form action="/start"><input name="token" value="{token}"><button>Open</button></form>'
CROWD = '<h1>A crowd</h1><meta http-equiv="refresh" content="0">'
END = '<form action="/end"><input name="token" value="{token}"></form>'


class ToyService:
    """Attributes say what comes; ``asked`` counts what did."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.crowded = 0  # how often a visitor that ends its server is told to look again
        self.ended = False  # all servers have, by themselves
        self.queue = 0  # how often a visitor is told to wait
        self.start = 303
        self.landing = 200
        self.save = 201
        self.kernels = 201
        self.cell = "ok"
        self.prints: Callable[[str], str] = self._run
        self.closes_at = ""  # a message at which the websocket is closed
        self.mute = False
        self.tokens: list[str] = []
        self.saved: dict[str, Any] = {}
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ToyService]:
        application = web.Application()
        add = application.router.add_route
        add("GET", "/", self._front)
        add("POST", "/start", self._start)
        add("GET", "/queue", self._queue)
        add("GET", "/start", self._starting)
        add("GET", "/ready", self._ready)
        add("GET", "/server", self._server)
        add("POST", "/end", self._end)
        add("GET", "/end", self._ends)
        add("POST", "/user/7/api/sessions", self._session)
        add("GET", "/user/7/api/kernels/{kernel}/channels", self._channels)
        add("PUT", "/user/7/api/contents/{name}", self._save)
        add("GET", "/user/7/lab", self._page)
        add("GET", "/{rest:.*}", self._any)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        try:
            yield self
        finally:
            await runner.cleanup()

    def _count(self, request: web.Request) -> None:
        self.asked[f"{request.method} {request.path}"] += 1

    async def _front(self, request: web.Request) -> web.Response:
        self._count(request)
        token = request.cookies.get("visitor") or f"t{len(self.tokens)}"
        self.tokens.append(token)
        answer = web.Response(text=f"<h1>Hello</h1>{FORM.format(token=token)}", content_type="text/html")
        answer.set_cookie("visitor", token)
        return answer

    async def _start(self, request: web.Request) -> web.Response:
        self._count(request)
        form = await request.post()
        assert form["token"] == request.cookies["visitor"]
        assert request.headers["Origin"] == self.url.rstrip("/")
        location = "/queue?to=" if self.queue else "/start?to="
        return web.Response(status=self.start, headers={"Location": location}, text="<h1>Too many</h1>")

    async def _queue(self, request: web.Request) -> web.Response:
        self._count(request)
        self.queue -= 1
        if self.queue < 0:
            return web.Response(status=303, headers={"Location": "/start?to="})
        head = '<meta http-equiv="refresh" content="0;url=/queue?to=">'
        return web.Response(
            status=503,
            text=head + END.format(token="t"),
            headers={"Retry-After": "0"},
            content_type="text/html",
        )

    async def _starting(self, request: web.Request) -> web.Response:
        self._count(request)
        head = '<meta http-equiv="refresh" content="0;url=/ready?to=">'
        return web.Response(text=head, content_type="text/html")

    async def _ready(self, request: web.Request) -> web.Response:
        self._count(request)
        return web.Response(status=303, headers={"Location": "/user/7/lab"})

    async def _page(self, request: web.Request) -> web.Response:
        self._count(request)
        if self.landing != 200:
            return web.Response(status=self.landing, text="<h1>It is broken</h1>")
        config = json.dumps({"federated_extensions": [{"name": "e", "load": "static/r.js"}]})
        text = f'<script id="jupyter-config-data">{config}</script><script src="/user/7/main.js"></script>'
        return web.Response(text=text, content_type="text/html")

    async def _server(self, request: web.Request) -> web.Response:
        self._count(request)
        if self.ended:
            return web.Response(status=303, headers={"Location": "/"})
        return self._crowd() or web.Response(text=END.format(token="t"), content_type="text/html")

    def _crowd(self) -> web.Response | None:
        self.crowded -= 1
        return web.Response(status=503, text=CROWD, content_type="text/html") if self.crowded >= 0 else None

    async def _ends(self, request: web.Request) -> web.Response:
        self._count(request)
        return web.Response(status=303, headers={"Location": "/server"})

    async def _end(self, request: web.Request) -> web.Response:
        self._count(request)
        if (crowd := self._crowd()) is not None:
            return crowd
        assert (await request.post())["token"]
        return web.Response(status=303, headers={"Location": "/"})

    async def _session(self, request: web.Request) -> web.Response:
        self._count(request)
        asked = await request.json()
        assert asked["kernel"] == {"name": "python3"}
        return web.json_response({"kernel": {"id": "k"}}, status=self.kernels)

    async def _save(self, request: web.Request) -> web.Response:
        self._count(request)
        self.saved[request.match_info["name"]] = await request.json()
        return web.json_response({}, status=self.save)

    async def _any(self, request: web.Request) -> web.StreamResponse:
        self._count(request)
        if request.path.endswith("/events/subscribe"):
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            async for _ in socket:
                pass
            return socket
        return web.json_response({} if "missing" not in request.path else None, status=200)

    async def _channels(self, asked: web.Request) -> web.WebSocketResponse:
        self._count(asked)
        socket = web.WebSocketResponse(protocols=[PROTOCOL])
        await socket.prepare(asked)
        async for message in socket:
            if message.type is not WSMsgType.BINARY:
                continue
            header, content = read_request(message.data)
            kind, name = header["msg_type"], header["msg_id"]
            if kind == self.closes_at:
                self.closes_at = ""
                await socket.close(code=1011)
                break
            if self.mute:
                continue
            printed = self.prints(content.get("code", ""))
            for channel, answer, said in (
                ("iopub", "status", {"execution_state": "busy"}),
                ("iopub", "stream", {"name": "stdout", "text": printed}),
                (
                    "shell",
                    kind.replace("request", "reply"),
                    {"status": self.cell, "ename": "E", "evalue": "v"},
                ),
                ("iopub", "status", {"execution_state": "idle"}),
            ):
                await socket.send_bytes(belonging(name, channel, answer, said))
        return socket

    @staticmethod
    def _run(code: str) -> str:
        said: list[str] = []
        exec(code, {"print": lambda *words: said.append(" ".join(map(str, words)))})
        return "\n".join(said)


def read_request(frame: bytes) -> tuple[Any, Any]:
    (count,) = unpack_from("<Q", frame)
    offsets = unpack_from(f"<{count}Q", frame, 8)
    parts = [frame[start:end] for start, end in pairwise(offsets)]
    assert parts[0] == b"shell"
    return json.loads(parts[1]), json.loads(parts[4])


def belonging(parent: str, channel: str, kind: str, content: Any) -> bytes:
    """Return the frame of an answer."""
    frame = request(channel, kind, content, name="n", session="s", date="d")
    (count,) = unpack_from("<Q", frame)
    offsets = [*unpack_from(f"<{count}Q", frame, 8)]
    parts = [frame[start:end] for start, end in pairwise(offsets)]
    parts[2] = json.dumps({"msg_id": parent}).encode()
    starts = [8 * (count + 1)]
    for part in parts:
        starts.append(starts[-1] + len(part))
    return b"".join(each.to_bytes(8, "little") for each in (count, *starts)) + b"".join(parts)


async def until(true: Callable[[], object]) -> None:
    """Wait for what no event tells."""
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)
