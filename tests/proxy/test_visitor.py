"""A visitor's connection: requests one after the other, too early, too late, malformed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from moorage.proxy.listening import bind
from moorage.proxy.settings import ProxySettings
from moorage.proxy.visitor import Visitor
from proxy.rig import PATIENCE, UPGRADE, Rig, echo, mirror, origin, proxied, saying

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("data", "status", "location"),
    [
        (b"GET /a?b HTTP/1.1\r\nHost: h:80\r\n\r\n", 301, "https://h:8443/a?b"),
        (b"HEAD / HTTP/1.1\r\nHost: [::1]\r\n\r\n", 301, "https://[::1]:8443/"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab", 308, "https://h:8443/"),
        (b"GET /_chp_healthz HTTP/1.1\r\nHost: h\r\n\r\n", 301, "https://h:8443/_chp_healthz"),
        (b"GET / HTTP/1.0\r\n\r\n", 400, None),
        (b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", 400, None),
    ],
)
async def test_a_listener_that_leads_to_https(data: bytes, status: int, location: str | None) -> None:
    async with origin(echo) as server, proxied(server.url) as rig:
        bound = bind("127.0.0.1", 0)[0]
        rig.port = bound.getsockname()[1]
        await rig.proxy.listen(bound, redirect_to=8443)
        visit = await rig.connect()
        visit.send(data)
        got, fields = await visit.head()
        assert (got, fields.get("location")) == (status, location)
        await visit.close()
        assert server.connections == 0


GET = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"


def visitor(rig: Rig) -> Visitor:
    (only,) = rig.proxy.core.visitors
    assert isinstance(only, Visitor)
    return only


async def test_each_request_of_a_connection_takes_its_own_route() -> None:
    async with (
        origin(saying(OK % (3, b"one"), end=False)) as one,
        origin(saying(OK % (3, b"two"), end=False)) as two,
        proxied(one=one.url, two=two.url) as rig,
    ):
        visit = await rig.connect()
        for name in ("one", "two", "one", "nowhere", "two"):
            visit.send(GET % name.encode())
            answer = await visit.answer()
            assert (answer.status, answer.body) == (200, name.encode()) or (answer.status, name) == (
                404,
                "nowhere",
            )
            assert answer.fields["connection"] == "keep-alive"
        assert (one.connections, two.connections) == (1, 1)
        await visit.close()
        await rig.settled(visitor=0)


async def test_requests_that_come_before_their_turn_are_answered_in_order() -> None:
    async with origin(echo) as server, proxied(server.url) as rig:
        visit = await rig.connect()
        heads = [GET % b"%d" % number for number in range(50)]
        heads.insert(20, b"GET /_chp_healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        visit.send(b"".join(heads) + b"GET /last HTTP/1.1\r\nHo")
        urls = [(await visit.answer()).json.get("url", "healthy") for _ in heads]
        assert urls == [*(f"/{n}" for n in range(20)), "healthy", *(f"/{n}" for n in range(20, 50))]
        visit.send(b"st: a\r\n\r\n")
        assert (await visit.answer()).json["url"] == "/last"
        await visit.close()


async def test_a_thousand_early_requests_without_a_route() -> None:
    async with proxied() as rig:
        visit = await rig.connect()
        visit.send((GET % b"x") * 1000)
        for _ in range(1000):
            assert (await visit.answer()).status == 404
        await visit.close()


async def test_a_head_in_single_bytes() -> None:
    async with origin(echo) as server, proxied(server.url) as rig:
        visit = await rig.connect()
        for byte in b"\r\nPOST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello":
            visit.send(bytes([byte]))
            await visit.writer.drain()
            await asyncio.sleep(0)
        answer = await visit.answer()
        assert (answer.json["url"], answer.json["body"]) == ("/x", "hello")
        await visit.close()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /../x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70000, 431),
    ],
)
async def test_what_is_refused_is_the_last_request(data: bytes, status: int) -> None:
    async with origin(echo) as server, proxied(server.url) as rig:
        said = await rig.ask(data + GET % b"smuggled")
        assert said.startswith(b"HTTP/1.1 %d " % status)
        assert said.count(b"HTTP/1.1") == 1
        assert b"Connection: close" in said
        assert rig.proxy.core.counts["refused", status] == 1
        await rig.settled(visitor=0)


async def test_http_1_0() -> None:
    async with origin(echo) as server, proxied(server.url) as rig:
        said = await rig.ask(b"GET /old HTTP/1.0\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b'"version": "HTTP/1.0"' in said
        assert b"Connection: close" in said


async def test_health() -> None:
    async with proxied() as rig:
        answer = await rig.get("/_chp_healthz")
        assert (answer.status, answer.json) == (200, {"status": "OK"})
        assert (await rig.get("/_chp_healthz", method="HEAD")).status == 200
        said = await rig.ask(b"POST /_chp_healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx")
        assert said.startswith(b"HTTP/1.1 200 ")


async def test_a_host_is_the_first_segment() -> None:
    from moorage.plan.proxying import Forwarding

    settings = ProxySettings(forwarding=Forwarding(host_routing=True))
    async with origin(echo) as server, proxied(settings=settings) as rig:
        rig.proxy.add_route("/ann.localhost/lab", server.url)
        for host, path, status in (("Ann.LocalHost:8000", "/lab/x", 200), ("bob.localhost", "/lab", 404)):
            said = await rig.ask(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            assert said.startswith(b"HTTP/1.1 %d " % status)


async def expired(rig: Rig, *, idle: bool) -> None:
    """Have the deadline of the only visitor be over, as the clock would."""
    core = rig.proxy.core
    await rig.settled(visitor=1)
    only = visitor(rig)
    assert bool(only.idle) is idle
    assert only.deadline > 0
    core.now = only.deadline
    only.deadline = 1e-6  # the clock itself may be as young as the machine
    core.tick()


async def test_a_slow_head_gets_a_408() -> None:
    async with proxied() as rig:
        visit = await rig.connect()
        visit.send(b"GET / HT")
        async with asyncio.timeout(PATIENCE):
            while not rig.proxy.core.visitors or visitor(rig).idle:
                await asyncio.sleep(0.005)
        await expired(rig, idle=False)
        assert (await visit.answer()).status == 408
        assert await visit.closed()
        await visit.close()


async def test_a_visitor_that_says_nothing_is_closed() -> None:
    async with proxied() as rig:
        visit = await rig.connect()
        await expired(rig, idle=True)
        assert await visit.closed()
        await rig.settled(visitor=0)
        await visit.close()


async def test_a_slow_body_gets_a_408() -> None:
    async with origin(echo) as server, proxied(server.url) as rig:
        visit = await rig.connect()
        visit.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx")
        await rig.settled(upstream=1)
        await expired(rig, idle=False)
        assert (await visit.answer()).status == 408
        await rig.settled(upstream=0)
        await visit.close()


async def unchanged(value: Callable[[], int]) -> int:
    """Wait until a figure stays as it is, and return it."""
    before = -1
    async with asyncio.timeout(PATIENCE):
        while (now := value()) != before or not now:
            before = now
            await asyncio.sleep(0.1)
    return now


async def test_a_visitor_that_does_not_read_stops_the_server() -> None:
    """Memory stays small, and every byte arrives in the end."""
    size, sent = 64 << 20, [0]

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK % (size, b""))
            for _ in range(size >> 16):
                writer.write(bytes(1 << 16))
                await writer.drain()
                sent[0] += 1 << 16

    async with origin(flood) as server, proxied(server.url) as rig:
        visit = await rig.connect()
        visit.send(GET % b"")
        await visit.head()
        assert await unchanged(lambda: sent[0]) < size // 2
        assert visitor(rig).transport.get_write_buffer_size() < 1 << 20
        assert len(await visit.take(size)) == size
        visit.send(GET % b"again")
        assert (await visit.head())[0] == 200
        await visit.close()


async def test_a_visitor_that_never_reads_is_cut_off() -> None:
    sent = [0]

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK % (1 << 30, b""))
        while True:
            writer.write(bytes(1 << 16))
            await writer.drain()
            sent[0] += 1 << 16

    async with origin(flood) as server, proxied(server.url) as rig:
        visit = await rig.connect()
        visit.send(GET % b"")
        await visit.head()
        await unchanged(lambda: sent[0])
        await expired(rig, idle=False)
        await rig.settled(visitor=0, upstream=0)
        await visit.close()


async def test_a_server_that_does_not_read_stops_the_visitor() -> None:
    go, size = asyncio.Event(), 64 << 20

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await go.wait()
        left = size
        while left:
            left -= len(await reader.read(1 << 20))
        writer.write(OK % (2, b"ok"))
        await reader.read()

    async with origin(slow) as server, proxied(server.url) as rig:
        visit = await rig.connect()
        visit.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        await rig.settled(upstream=1)
        left = await unchanged(visit.writer.transport.get_write_buffer_size)
        assert left > size // 2, "the proxy does not take it all in"
        go.set()
        assert (await visit.answer()).body == b"ok"
        await visit.close()


async def test_a_visitor_that_leaves_ends_its_request() -> None:
    left = asyncio.Event()

    async def patient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with suppress(ConnectionError):
            assert await reader.read() == b""
        left.set()

    async with origin(patient) as server, proxied(server.url) as rig:
        visit = await rig.connect()
        visit.send(GET % b"")
        await rig.settled(upstream=1, visitor=1)
        await visit.close()
        async with asyncio.timeout(PATIENCE):
            await left.wait()
        await rig.settled(upstream=0, visitor=0)


async def test_a_visitor_past_the_limit_is_told_to_come_again() -> None:
    async with origin(mirror) as server, proxied(server.url) as rig:
        budget = rig.proxy.core.budget
        budget.room = 4
        open_ones = [await rig.connect() for _ in range(2)]
        for visit in open_ones:
            visit.send(UPGRADE)
            assert (await visit.head())[0] == 101
        late = await rig.connect()
        answer = await late.answer()
        assert (answer.status, answer.fields["retry-after"]) == (503, "5")
        for visit in open_ones:
            visit.send(b"still")
            assert await visit.take(5) == b"still"
            await visit.close()
        await rig.settled(visitor=1, upstream=0)
        again = await rig.connect()
        again.send(UPGRADE)
        assert (await again.head())[0] == 101
        await again.close()
        await late.close()


async def test_an_idle_visitor_makes_room_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moorage.proxy.core.REST", 0.0)
    async with origin(echo) as server, proxied(server.url) as rig:
        rig.proxy.core.budget.room = 4
        visits = []
        for number in range(12):
            visit = await rig.connect()
            visit.send(GET % b"%d" % number)
            assert (await visit.answer()).json["url"] == f"/{number}"
            visits.append(visit)
        assert rig.proxy.core.budget.open <= 4
        for visit in visits:
            await visit.close()
