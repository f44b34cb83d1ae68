"""The connection to a server between requests."""

from __future__ import annotations

import asyncio

import pytest

from proxy.rig import echo, origin, proxied, read_head

pytestmark = pytest.mark.anyio


async def test_a_kept_connection_is_used_again_and_not_for_ever() -> None:
    async with origin(echo) as server, proxied(server.url) as rig:
        for _ in range(3):
            assert (await rig.get("/x")).status == 200
        assert server.connections == 1
        assert rig.proxy.core.backends.idle() == 1
        rig.proxy.core.backends.drop_idle(rig.proxy.core.now + 10.0)
        await rig.settled(upstream=0)
        assert (await rig.get("/x")).status == 200
        assert server.connections == 2


async def test_bytes_that_answer_nothing_end_a_kept_connection() -> None:
    go = asyncio.Event()

    async def talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await go.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
        await reader.read()

    async with origin(talkative) as server, proxied(server.url) as rig:
        assert (await rig.get("/x")).status == 200
        await rig.settled(upstream=1)
        go.set()
        await rig.settled(upstream=0)
        assert (await rig.get("/x")).body == b""
        assert server.connections == 2


async def test_a_head_in_single_bytes() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        for byte in b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()

    async with origin(slow) as server, proxied(server.url) as rig:
        visit = await rig.connect()
        visit.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await visit.head())[0] == 100
        assert (await visit.answer()).body == b"hello"
        await visit.close()


async def test_a_server_that_reads_nothing_and_then_everything() -> None:
    """Both gates of one visitor: the full server, and a connection that is only just made."""
    size = 8 << 20
    go = asyncio.Event()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go.wait()
        await read_head(reader)
        await reader.readexactly(size)
        writer.write(b"HTTP/1.1 204 x\r\n\r\n")
        await reader.read()

    async with origin(late) as server, proxied(server.url) as rig:
        visit = await rig.connect()
        visit.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        await rig.settled(upstream=1)
        go.set()
        assert (await visit.answer()).status == 204
        await visit.close()
