"""Routes whose server sleeps: what waits, what is answered meanwhile, what goes on afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from moorage.plan.admission import Admission
from moorage.plan.embedding import Embedding
from moorage.plan.proxying import Forwarding
from moorage.proxy.resting import RestingRoutes
from moorage.proxy.settings import ProxySettings
from proxy.rig import PATIENCE, Answer, Origin, Rig, Visit, origin, proxied, read_head
from wire.test_client_frames import frame

pytestmark = pytest.mark.anyio
PROTOCOL = b"v1.kernel.websocket.jupyter.org"
CHANNELS = "/user/1/api/kernels/k/channels"
EXECUTE = frame(b'{"msg_type":"execute_request"}')
INFO = frame(b'{"msg_type":"kernel_info_request"}')
ANSWERS = {"/api/kernels": '[{"id":"k"}]', "/api/kernels/k": '{"id":"k"}', "/api/sessions": "[]"}


def upgrade(path: str = CHANNELS, *lines: bytes) -> bytes:
    return b"".join(
        [
            f"GET {path} HTTP/1.1\r\nHost: a\r\n".encode(),
            b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: " + PROTOCOL + b"\r\n",
            *lines,
            b"\r\n",
        ]
    )


async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests with their first line; send back what comes by a websocket."""
    while True:
        line, fields = await read_head(reader)
        if "upgrade" in fields:
            if "gone" in line:
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                return
            extension = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if "x-deflate" in fields else b""
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + extension
                + (b"Sec-WebSocket-Protocol: " + PROTOCOL + b"\r\n\r\n")
            )
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            return
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        if "/slow" in line:
            await asyncio.Event().wait()
        text = line.encode() + b" " + body
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))


@dataclass
class Sleeper:
    """A route whose server is put to sleep and woken by hand."""

    rig: Rig
    routes: RestingRoutes
    at: str
    awake: Origin
    tasks: asyncio.TaskGroup
    acts: list[int] = field(default_factory=list)

    def hold(self) -> bool:
        return self.routes.hold("/user/1")

    async def fall_asleep(self) -> None:
        assert self.hold()
        self.end()
        self.routes.slept("/user/1", ANSWERS)

    def end(self) -> None:
        """End the server as SIGKILL does."""
        for writer in list(self.awake.writers):
            writer.transport.abort()

    def wake(self) -> None:
        self.routes.let_go("/user/1")

    def get(self, path: str, *lines: str) -> asyncio.Task[Answer]:
        return self.tasks.create_task(self.rig.get(path, *lines))

    async def acted(self, times: int = 1) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.acts) < times:
                await asyncio.sleep(0.005)

    async def open(self, path: str = CHANNELS, *lines: bytes) -> Visit:
        visit = await self.rig.connect()
        visit.send(upgrade(path, *lines))
        status, fields = await visit.head()
        assert (status, fields["sec-websocket-protocol"].encode()) == (101, PROTOCOL)
        return visit


async def heard(visit: Visit, last: bytes) -> bytes:
    """Return what comes before some bytes, once they have come."""
    said = b""
    while not said.endswith(last):
        said += await visit.take(1)
    return said.removesuffix(last)


@asynccontextmanager
async def sleeper(tmp_path: Path) -> AsyncIterator[Sleeper]:
    at = str(tmp_path / "s")
    async with origin(server, at) as awake, proxied() as rig, asyncio.TaskGroup() as tasks:
        rig.proxy.add_route("/user/1", awake.url)
        routes = RestingRoutes(rig.proxy.core)
        one = Sleeper(rig, routes, at, awake, tasks)
        routes.prepare("/user/1", lambda: one.acts.append(1))
        yield one


async def test_a_websocket_stays_open_over_a_sleep_and_is_woken_by_what_its_visitor_sends(
    tmp_path: Path,
) -> None:
    async with sleeper(tmp_path) as one:
        visit = await one.open()
        visit.send(EXECUTE)
        assert await visit.take(len(EXECUTE)) == EXECUTE
        for turn in (1, 2, 3):
            one.acts.clear()
            await one.fall_asleep()
            await one.rig.settled(visitor=1, upstream=0, websocket=0)
            visit.send(b"\x8a\x80mask")  # a PONG
            visit.send(INFO)  # a page says that by itself
            assert (await one.rig.get("/user/1/api/kernels")).status == 200
            assert one.acts == []
            visit.send(EXECUTE * turn)
            await one.acted()
            one.wake()
            assert await heard(visit, EXECUTE * turn) in {INFO, b"\x8a\x80mask" + INFO}
            await one.rig.settled(visitor=1, upstream=1, websocket=1)
        await visit.close()
        await one.rig.settled(visitor=0, upstream=0, websocket=0)


async def test_an_act_is_input_and_signs_of_life_are_none(tmp_path: Path) -> None:
    async with sleeper(tmp_path) as one:
        visit = await one.open()
        await one.fall_asleep()
        before = one.rig.proxy.last_input("/user/1")
        visit.send(b"\x8a\x80mask")
        visit.send(b"\x89\x80mask")  # a PING
        assert await visit.take(2) == b"\x8a\x00"
        assert one.rig.proxy.last_input("/user/1") == before
        visit.send(EXECUTE)
        await one.acted()
        assert one.rig.proxy.last_input("/user/1") > before
        await visit.close()


async def test_what_a_page_asks_for_by_itself_is_answered_and_wakes_nothing(tmp_path: Path) -> None:
    async with sleeper(tmp_path) as one:
        await one.fall_asleep()
        for path, body in ANSWERS.items():
            answer = await one.rig.get(f"/user/1{path}?1796038602688")
            assert (answer.status, answer.body.decode()) == (200, body)
            assert answer.fields["content-type"] == "application/json"
        for path in (
            "/api/contents?content=1&hash=0&1",
            "/api/contents/a%20b?content=1",
            "/api/kernels/other",
        ):
            assert (await one.rig.get(f"/user/1{path}")).status == 503
        visit = await one.rig.connect()
        visit.send(
            b"PUT /user/1/lab/api/workspaces/default HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
        )
        assert (await visit.answer()).status == 503
        await visit.close()
        assert (one.acts, one.awake.connections) == ([], 0)


async def test_pages_of_other_sites_read_what_is_answered_from_memory(tmp_path: Path) -> None:
    site = "https://docs.example.org"
    async with sleeper(tmp_path) as one:
        admission = Admission(b"c=1", pages=Embedding((site.encode(),), b"key"))
        one.rig.proxy.add_route("/user/1", one.awake.url, None, admission)
        one.routes.prepare("/user/1", lambda: one.acts.append(1))
        await one.fall_asleep()
        asks = (f"Origin: {site}", "Authorization: token key", "Sec-Fetch-Mode: cors")
        for path, status in (("/api/kernels", 200), ("/api/sessions?1", 200), ("/api/kernels/other", 503)):
            answer = await one.rig.get(f"/user/1{path}", *asks)
            assert (answer.status, answer.fields["access-control-allow-origin"]) == (status, site)
            assert answer.fields["vary"] == "Origin"
        own = await one.rig.get("/user/1/api/kernels", "Cookie: c=1")
        assert (own.status, "access-control-allow-origin" in own.fields) == (200, False)
        page = one.get("/user/1/x", *asks)
        await one.acted()
        one.routes.refuse("/user/1", "<p>no memory</p>")
        answer = await page
        assert (answer.status, answer.fields["access-control-allow-origin"]) == (503, site)


async def test_many_acts_wait_and_go_on_with_their_bodies(tmp_path: Path) -> None:
    async with sleeper(tmp_path) as one:
        await one.fall_asleep()
        pages = [one.get(f"/user/1/lab?{number}") for number in range(20)]
        body = b"x" * 200_000
        saved = await one.rig.connect()
        saved.send(
            b"PUT /user/1/api/contents/a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        saved.send(body)
        await one.acted(21)
        left = await one.rig.connect()
        left.send(b"GET /user/1/left HTTP/1.1\r\nHost: a\r\n\r\n")
        await one.rig.settled(visitor=22)
        await left.close()
        await one.rig.settled(visitor=21)
        one.wake()
        for number, each in enumerate(pages):
            answer = await each
            assert (answer.status, answer.body) == (200, f"GET /user/1/lab?{number} HTTP/1.1 ".encode())
        assert (await saved.answer()).body.endswith(body)
        await saved.close()


async def test_what_comes_while_it_falls_asleep_is_judged_then(tmp_path: Path) -> None:
    async with sleeper(tmp_path) as one:
        visit = await one.open()
        assert one.hold()
        polled = one.get("/user/1/api/sessions")
        page = one.get("/user/1/lab")
        await one.rig.settled(visitor=3)
        await asyncio.sleep(0)
        one.awake.writers.copy().pop().write(b"\x81\x02hi")  # the server's last words
        assert await visit.take(4) == b"\x81\x02hi"
        one.end()
        one.routes.slept("/user/1", ANSWERS)
        assert (await polled).body == b"[]"
        await one.acted()
        one.wake()
        assert (await page).status == 200
        await visit.close()


async def test_a_page_that_connects_again_is_let_in_and_wakes_nothing(tmp_path: Path) -> None:
    async with sleeper(tmp_path) as one:
        await one.fall_asleep()
        visit = await one.open()
        visit.send(INFO)
        events = await one.rig.connect()
        events.send(upgrade("/user/1/api/events/subscribe"))
        assert (await events.head())[0] == 101
        for path, status in (("/user/1/api/kernels/no/channels", 404), ("/user/1/lsp/ws/pylsp", 503)):
            other = await one.rig.connect()
            other.send(upgrade(path))
            assert (await other.head())[0] == status
            await other.close()
        assert one.acts == []
        visit.send(EXECUTE)
        await one.acted()
        one.wake()
        assert await visit.take(len(INFO + EXECUTE)) == INFO + EXECUTE
        # The server has chosen a protocol for the events that was not chosen in its place.
        assert await events.rest() == b"\x88\x02\x03\xe9"
        for each in (visit, events):
            await each.close()


async def test_what_is_in_use_is_not_held(tmp_path: Path) -> None:
    async with sleeper(tmp_path) as one:
        slow = await one.rig.connect()
        slow.send(b"GET /user/1/slow HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            while not one.awake.connections:
                await asyncio.sleep(0.005)
        assert not one.hold()
        await slow.close()
        await one.rig.settled(visitor=0)
        for path, lines in (
            ("/user/1/terminals/websocket/1", ()),
            ("/user/1/proxy/8080/ws", ()),
            (CHANNELS, (b"X-Deflate: 1\r\n",)),
        ):
            visit = await one.open(path, *lines)
            assert not one.hold(), path
            await visit.close()
            await one.rig.settled(visitor=0)
        visit = await one.open()
        visit.send(EXECUTE[:5])
        await visit.take(5)
        assert not one.hold()  # within a frame
        visit.send(EXECUTE[5:])
        await visit.take(len(EXECUTE) - 5)
        assert one.hold()
        assert not one.hold()
        assert not one.routes.hold("/user/2")
        await visit.close()


async def test_language_servers_are_closed_and_keep_nothing_awake(tmp_path: Path) -> None:
    async with sleeper(tmp_path) as one:
        visit = await one.open("/user/1/lsp/ws/pylsp")
        await one.fall_asleep()
        assert await visit.closed()
        await visit.close()


async def test_a_kernel_that_is_gone_closes_its_websocket(tmp_path: Path) -> None:
    async with sleeper(tmp_path) as one:
        await one.fall_asleep()
        one.routes.slept("/user/1", {**ANSWERS, "/api/kernels/gone": "{}"})
        visit = await one.open("/user/1/api/kernels/gone/channels")
        visit.send(EXECUTE)
        one.wake()
        assert await visit.rest() == b"\x88\x02\x03\xe9"
        await visit.close()
        await one.rig.settled(visitor=0, upstream=0)


async def test_a_page_says_that_it_could_not_be_woken_and_the_next_act_tries_again(tmp_path: Path) -> None:
    async with sleeper(tmp_path) as one:
        visit = await one.open()
        await one.fall_asleep()
        page = one.get("/user/1/lab")
        await one.acted()
        one.routes.refuse("/user/1", "<p>no memory</p>")
        answer = await page
        assert (answer.status, answer.body) == (503, b"<p>no memory</p>")
        assert answer.fields["content-type"].startswith("text/html")
        assert await visit.rest() == b"\x88\x02\x03\xe9"
        one.acts.clear()
        page = one.get("/user/1/lab")
        await one.acted()
        one.wake()
        assert (await page).status == 200
        await visit.close()


async def test_a_removed_route_leads_those_that_wait_to_what_is_there_then(tmp_path: Path) -> None:
    async with sleeper(tmp_path) as one:
        visit = await one.open()
        await one.fall_asleep()
        page = one.get("/user/1/lab?a=b")
        asked = one.get("/user/1/x", "Sec-Fetch-Mode: cors")
        await one.acted(2)
        assert one.rig.proxy.remove_route("/user/1")
        answer = await page
        assert (answer.status, answer.fields["location"]) == (303, "/user/1/lab?a=b")
        assert (await asked).status == 404
        assert await visit.rest() == b"\x88\x02\x03\xe9"
        await one.rig.settled(visitor=0, upstream=0, websocket=0)
        one.wake()  # comes too late, and does nothing
        await visit.close()


async def test_signs_of_life_are_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moorage.proxy.resting.PING_SECONDS", 0.0)
    async with sleeper(tmp_path) as one:
        visit = await one.open()
        await one.fall_asleep()
        assert await visit.take(2) == b"\x89\x00"
        await visit.close()


async def test_a_visitor_that_closes_is_told_goodbye(tmp_path: Path) -> None:
    async with sleeper(tmp_path) as one:
        visit = await one.open()
        await one.fall_asleep()
        visit.send(b"\x88\x80mask")
        assert await visit.rest() == b"\x88\x00"
        await visit.close()
        await one.rig.settled(visitor=0)
        assert one.acts == []


async def test_with_host_routing_paths_begin_behind_the_host(tmp_path: Path) -> None:
    settings = ProxySettings(forwarding=Forwarding(host_routing=True))
    async with origin(server, str(tmp_path / "s")) as awake, proxied(settings=settings) as rig:
        rig.proxy.add_route("/a", awake.url)  # the host of all requests of the rig
        routes, acts = RestingRoutes(rig.proxy.core), list[int]()
        routes.prepare("/a", lambda: acts.append(1))
        assert routes.hold("/a")
        routes.slept("/a", ANSWERS)
        assert (await rig.get("/api/sessions")).body == b"[]"
        assert acts == []
