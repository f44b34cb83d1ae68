"""Spliced connections: every byte, every way to end, and what is noted of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from moorage.proxy.limits import open_descriptors
from proxy.rig import PATIENCE, UPGRADE, mirror, origin, proxied, read_head

pytestmark = pytest.mark.anyio
DATA, PONG = b"\x81\x81maskx", b"\x8a\x80mask"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


async def test_many_bytes_in_both_directions() -> None:
    async with origin(mirror) as server, proxied(server.url) as rig:
        visit = await rig.connect()
        visit.send(UPGRADE)
        assert (await visit.head())[0] == 101
        data = bytes(range(256)) * 40_000
        visit.send(data)
        assert await visit.take(len(data)) == data
        await visit.close()


async def test_a_websocket_has_two_descriptors() -> None:
    async with origin(mirror) as server, proxied(server.url) as rig:
        await asyncio.sleep(0)
        before, visits = open_descriptors(), []
        for _ in range(20):
            visit = await rig.connect()
            visit.send(UPGRADE)
            await visit.head()
            visits.append(visit)
        assert rig.proxy.core.budget.kinds == {"visitor": 20, "upstream": 20, "websocket": 20}
        # Both ends of both connections are in this process.
        assert open_descriptors() - before == 80
        for visit in visits:
            await visit.close()
        await rig.settled(visitor=0, upstream=0, websocket=0)


async def test_frames_of_the_visitor_are_activity_and_nothing_else_is() -> None:
    async with origin(mirror) as server, proxied(server.url) as rig:
        ((_, backend),) = rig.proxy.core.backends.table.items()
        visit = await rig.connect()
        visit.send(UPGRADE)
        await visit.head()
        before = backend.route.last_activity
        for _ in range(3):
            visit.send(PONG)
            assert await visit.take(len(PONG)) == PONG
        assert backend.route.last_activity == before
        visit.send(DATA)
        assert await visit.take(len(DATA)) == DATA
        assert backend.route.last_activity == backend.route.last_input > before
        await visit.close()


async def test_a_server_that_closes_closes_the_visitor_after_its_last_bytes() -> None:
    last = b"x" * 3_000_000

    async def leaving(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(SWITCH + last)
        await writer.drain()

    async with origin(leaving) as server, proxied(server.url) as rig:
        visit = await rig.connect()
        visit.send(UPGRADE)
        await visit.head()
        assert await visit.rest() == last
        await rig.settled(visitor=0, upstream=0, websocket=0)
        await visit.close()


async def test_a_visitor_that_leaves_ends_the_servers_side() -> None:
    ended = asyncio.Event()

    async def patient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(SWITCH)
        try:
            await reader.read()
        finally:
            ended.set()

    async with origin(patient) as server, proxied(server.url) as rig:
        for reset in (True, False):
            ended.clear()
            visit = await rig.connect()
            visit.send(UPGRADE)
            await visit.head()
            if reset:
                await visit.close()
            else:
                visit.writer.write_eof()
            async with asyncio.timeout(PATIENCE):
                await ended.wait()
            await rig.settled(visitor=0, upstream=0, websocket=0)
            await visit.close()


async def test_a_deleted_route_takes_its_websockets_along() -> None:
    async with origin(mirror) as server, proxied(ws=server.url) as rig:
        visits = []
        for _ in range(5):
            visit = await rig.connect()
            visit.send(UPGRADE)
            await visit.head()
            visits.append(visit)
        assert rig.proxy.remove_route("/ws")
        for visit in visits:
            assert await visit.closed()
        await rig.settled(visitor=0, upstream=0, websocket=0)
        assert (await rig.ask(UPGRADE)).startswith(b"HTTP/1.1 404 ")
        for visit in visits:
            await visit.close()


async def test_a_changed_target_ends_the_old_ones_websockets_and_the_same_target_does_not() -> None:
    async with origin(mirror) as server, origin(mirror) as other, proxied(ws=server.url) as rig:
        visit = await rig.connect()
        visit.send(UPGRADE)
        await visit.head()
        rig.proxy.add_route("/ws", server.url, {"extra": 1})
        visit.send(DATA)
        assert await visit.take(len(DATA)) == DATA
        rig.proxy.add_route("/ws", other.url)
        assert await visit.closed()
        await rig.settled(visitor=0, upstream=0, websocket=0)
        await visit.close()


async def pour(writer: asyncio.StreamWriter, size: int, sent: list[int]) -> None:
    for _ in range(size >> 16):
        writer.write(bytes(1 << 16))
        await writer.drain()
        sent[0] += 1 << 16


async def test_a_side_that_does_not_read_stops_the_other(tmp_path: Path) -> None:
    """On Unix sockets, whose buffers are small."""
    size, go, sent, received = 16 << 20, asyncio.Event(), [0], [0]

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(SWITCH)
        await pour(writer, size, sent)
        await go.wait()
        while received[0] < size:
            received[0] += len(await reader.read(1 << 20)) or size
        writer.write(b"done")
        await writer.drain()

    back, front = str(tmp_path / "back"), str(tmp_path / "front")
    async with (
        origin(flood, back) as server,
        proxied(server.url, front=front) as rig,
        asyncio.TaskGroup() as tasks,
    ):
        visit = await rig.connect()
        visit.send(UPGRADE)
        await visit.head()
        poured = [0]
        pouring = tasks.create_task(pour(visit.writer, size, poured))
        for side in (sent, poured):
            before = -1
            async with asyncio.timeout(PATIENCE):
                while side[0] != before or not before:
                    before = side[0]
                    await asyncio.sleep(0.1)
            assert before < size // 2
        assert len(await visit.take(size)) == size
        go.set()
        assert await visit.take(4) == b"done"
        await pouring
        assert received == [size]
        await visit.close()
