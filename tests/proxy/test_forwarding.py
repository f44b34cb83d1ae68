"""A forward proxy over real sockets: what is reached, what is refused, what is not passed on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest

from moorage.plan.egress import EgressList, egress_list
from moorage.proxy import forwarding
from moorage.proxy.forwarding import Forwarder, addresses_of, is_own

pytestmark = pytest.mark.anyio
PATIENCE = 60.0
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Rig:
    """A forwarder with its door, and a host; names lead where ``names`` says."""

    door: socket.socket
    port: int
    forwarder: Forwarder
    names: dict[str, list[str]]
    seen: list[bytes]
    allowed: EgressList
    told: list[str] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.door.getsockname())

    async def ask(self, request: bytes) -> bytes:
        reader, writer = await self.connect()
        writer.write(request)
        try:
            async with asyncio.timeout(PATIENCE):
                return await reader.read()
        finally:
            writer.close()

    async def status(self, request: bytes) -> int:
        return int((await self.ask(request)).split()[1])


async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as a host does that closes after each request."""
    head = await reader.readuntil(b"\r\n\r\n")
    rig_seen.append(head)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
    writer.write_eof()
    rig_seen.append(await reader.read())


async def echoes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        rig_seen.append(data)
        writer.write(data)
        await writer.drain()
    writer.write(b"bye")
    writer.write_eof()


rig_seen: list[bytes] = []


@asynccontextmanager
async def rig(serve: Serve = answers, *words: str) -> AsyncIterator[Rig]:
    rig_seen.clear()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    door = socket.create_server(("127.0.0.1", 0))
    door.setblocking(False)
    allowed = egress_list(
        [word.format(port=port) for word in words] or [f"a.test:{port}", f"127.0.0.1:{port}"]
    )
    names = {"a.test": ["127.0.0.1"]}
    made = Rig(door, port, Forwarder(), names, rig_seen, allowed)

    def resolve(name: str, port: int) -> list[str]:
        made.looked_up.append(name)
        if name not in names:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return names[name]

    made.forwarder = Forwarder(lambda: made.allowed, made.told.append, resolve)

    async def one(connection: socket.socket) -> None:
        with connection:
            await made.forwarder.forward(connection)

    async def accept(tasks: asyncio.TaskGroup) -> None:
        while True:
            connection, _ = await asyncio.get_running_loop().sock_accept(door)
            connection.setblocking(False)
            tasks.create_task(one(connection))

    try:
        async with asyncio.TaskGroup() as tasks:
            accepting = tasks.create_task(accept(tasks))
            async with server:
                yield made
            accepting.cancel()
    finally:
        door.close()


async def test_a_tunnel_leads_to_the_address_that_was_checked() -> None:
    async with rig(echoes) as made:
        reader, writer = await made.connect()
        writer.write(b"CONNECT a.test:%d HTTP/1.1\r\nHost: a.test\r\n\r\nearly" % made.port)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        assert await reader.readexactly(5) == b"early"
        made.names["a.test"] = ["192.0.2.1"]
        writer.write(bytes(1 << 20))
        assert await reader.readexactly(1 << 20) == bytes(1 << 20)
        writer.write_eof()
        assert await reader.read() == b"bye"
        writer.close()
        assert made.looked_up == ["a.test"]
        use = made.forwarder.use
        assert (use.opened, use.refused, use.sent, use.received) == (1, 0, 5 + (1 << 20), 8 + (1 << 20))


async def test_a_plain_request_and_its_answer() -> None:
    async with rig() as made:
        said = await made.ask(b"GET http://a.test:%d/x HTTP/1.1\r\nHost: evil.com\r\n\r\n" % made.port)
        assert said.endswith(b"\r\n\r\nhi")
        assert made.seen[0].startswith(b"GET /x HTTP/1.1\r\nHost: a.test:%d\r\n" % made.port)
        assert b"evil.com" not in made.seen[0]


async def test_what_comes_behind_a_plain_request_is_not_passed_on() -> None:
    async with rig() as made:
        second = b"GET http://a.test:%d/second HTTP/1.1\r\nHost: evil.com\r\n\r\n" % made.port
        first = b"POST http://a.test:%d/ HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc" % made.port
        said = await made.ask(first + second)
        assert said.count(b"HTTP/1.1") == 1
        async with asyncio.timeout(PATIENCE):
            while len(made.seen) < 2:  # the host reads to the end
                await asyncio.sleep(0.01)
        assert made.seen[1] == b"abc"


async def test_a_body_that_is_none_ends_it() -> None:
    async with rig(echoes) as made:
        head = b"POST http://a.test:%d/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" % made.port
        said = await made.ask(head + b"no chunk\r\n")
        assert b"no chunk" not in said
        assert b"no chunk" not in b"".join(made.seen)


@pytest.mark.parametrize(
    "target",
    ["a.test:1", "a.test.evil.com:{port}", "evil-a.test:{port}", "b.test:{port}", "127.0.0.2:{port}",
     "[::ffff:127.0.0.1]:{port}"],
)  # fmt: skip
async def test_a_host_that_is_not_named_is_refused_and_not_looked_up(target: str) -> None:
    async with rig() as made:
        words = target.format(port=made.port)
        said = await made.ask(f"CONNECT {words} HTTP/1.1\r\n\r\n".encode())
        line = said.split(b"\r\n")[0].decode()
        assert line.startswith("HTTP/1.1 403 ")
        assert line.endswith(f" cannot be reached from here, only a.test:{made.port}, 127.0.0.1:{made.port}")
        assert words in line or words.startswith("[")
        assert made.told == [line.removeprefix("HTTP/1.1 403 ")]
        assert made.looked_up == made.seen == []
        assert made.forwarder.use.refused == 1


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["::1"], ["169.254.169.254"], ["10.1.2.3", "192.168.0.1"], ["::ffff:127.0.0.1"],
     ["fe80::1"], ["64:ff9b::7f00:1"], []],
)  # fmt: skip
async def test_a_name_that_leads_within_is_refused(addresses: list[str]) -> None:
    async with rig(answers, "a.test:{port}") as made:
        made.names["a.test"] = addresses
        said = await made.ask(b"CONNECT a.test:%d HTTP/1.1\r\n\r\n" % made.port)
        assert said.startswith(b"HTTP/1.1 403 a.test has no public address\r\n")
        assert made.seen == []


async def test_a_name_that_is_none_is_told_as_one_that_leads_within() -> None:
    async with rig(answers, "a.test:{port}") as made:
        made.names.clear()
        assert b"403 a.test has no public address" in await made.ask(
            b"CONNECT a.test:%d HTTP/1.1\r\n\r\n" % made.port
        )


async def test_a_public_address_of_this_machine_is_refused_unless_it_is_named() -> None:
    async with rig(answers, "a.test:{port}") as made:
        made.names["a.test"] = ["8.8.8.8"]
        made.forwarder.own = lambda address: address == ip_address("8.8.8.8")
        assert await made.status(b"CONNECT a.test:%d HTTP/1.1\r\n\r\n" % made.port) == 403


def test_addresses_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_own(ip_address("127.0.0.1"))
    assert not is_own(ip_address("192.0.2.1"))
    monkeypatch.setattr(forwarding, "_binds", lambda *_: True)
    assert is_own(ip_address("127.0.0.1"))
    assert not is_own(ip_address("192.0.2.1"))


async def test_an_own_address_behind_one_of_ipv6_is_refused() -> None:
    async with rig(answers, "a.test:{port}") as made:
        made.names["a.test"] = ["64:ff9b::808:808"]
        made.forwarder.own = lambda address: address == ip_address("8.8.8.8")
        assert await made.status(b"CONNECT a.test:%d HTTP/1.1\r\n\r\n" % made.port) == 403


async def test_the_addresses_that_are_left_are_tried() -> None:
    async with rig() as made:
        made.names["a.test"] = ["10.0.0.9", "127.0.0.1"]
        assert await made.status(b"GET http://a.test:%d/ HTTP/1.1\r\n\r\n" % made.port) == 200


async def test_a_host_that_does_not_answer_is_told() -> None:
    async with rig() as made:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        made.allowed = egress_list([f"127.0.0.1:{port}"])
        said = await made.ask(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % port)
        assert said.startswith(b"HTTP/1.1 502 127.0.0.1:%d is not reached: " % port)


async def test_the_list_that_holds_is_the_one_of_now() -> None:
    async with rig() as made:
        request = b"GET http://a.test:%d/ HTTP/1.1\r\n\r\n" % made.port
        assert await made.status(request) == 200
        made.allowed = EgressList()
        assert await made.status(request) == 403


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
        (b"CONNECT 0x7f.1:80 HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT a.test:80 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 400),
        (b"CONNECT a.test:80 HTTP/1.1\r\nX: " + b"x" * 70000, 431),
    ],
)
async def test_what_is_no_request_is_refused(request_: bytes, status: int) -> None:
    async with rig() as made:
        assert await made.status(request_) == status
        assert made.seen == []


async def test_a_slow_head_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "HEAD_SECONDS", 0.05)
    async with rig() as made:
        assert await made.status(b"CONNECT a.test:80 HT") == 408


async def test_silence_ends_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "IDLE_SECONDS", 0.05)
    async with rig(echoes) as made:
        said = await made.ask(b"CONNECT a.test:%d HTTP/1.1\r\n\r\n" % made.port)
        assert said.startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_goes_ends_the_connection_to_its_host() -> None:
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        rig_seen.append(b"asked")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await reader.read()
        gone.set()

    async with rig(silent) as made:
        reader, writer = await made.connect()
        writer.write(b"GET http://a.test:%d/ HTTP/1.1\r\n\r\n" % made.port)
        await reader.readline()
        writer.close()
        async with asyncio.timeout(PATIENCE):
            await gone.wait()


async def test_lookups_of_one_visitor_take_turns() -> None:
    from threading import Event

    held, go = [], Event()

    async with rig(answers, "*") as made:

        def slow(name: str, port: int) -> list[str]:
            held.append(name)
            go.wait(PATIENCE)
            return []

        made.forwarder.resolve = slow
        asked = [made.ask(b"CONNECT %d.test:443 HTTP/1.1\r\n\r\n" % number) for number in range(6)]
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(each) for each in asked]
            async with asyncio.timeout(PATIENCE):
                while len(held) < 2:
                    await asyncio.sleep(0.01)
            assert len(held) == 2
            go.set()
        assert all(b" 403 " in each.result() for each in running)
        assert len(held) == 6


def test_the_system_looks_names_up() -> None:
    assert "127.0.0.1" in addresses_of("localhost", 80)
    with pytest.raises(OSError, match=r"\S"):
        addresses_of("no host", 80)


async def test_sockets_that_are_always_ready_leave_turns_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "_PIECE", 1024)
    pairs = [socket.socketpair() for _ in range(2)]
    (given, source), (target, _) = pairs
    turns = counted = 0

    def count(size: int) -> None:
        nonlocal counted
        counted += size

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    try:
        for each in (source, target):
            each.setblocking(False)
        given.sendall(bytes(32 * 1024))
        given.shutdown(socket.SHUT_WR)
        async with asyncio.TaskGroup() as tasks:
            beside = tasks.create_task(others())
            await forwarding._copy(source, target, count)
            beside.cancel()
    finally:
        for each in pairs[0] + pairs[1]:
            each.close()
    assert counted == 32 * 1024
    assert turns >= 32
