"""Servers that answer late, wrongly, or never."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from moorage.plan.targets import parse_target
from moorage.temp.readiness import answering

pytestmark = pytest.mark.anyio
GOOD, BAD = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 503 No\r\n\r\n"


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mt-", dir="/tmp") as folder:
        yield Path(folder) / "s"


@asynccontextmanager
async def saying(*answers: bytes, **where) -> AsyncIterator[list[bytes]]:
    asked: list[bytes] = []

    async def serve(reader, writer) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answers[min(len(asked), len(answers)) - 1])
        await writer.drain()
        writer.close()

    opened = asyncio.start_unix_server if "path" in where else asyncio.start_server
    server = await opened(serve, **where)
    try:
        yield asked
    finally:
        server.close()


async def test_a_socket_that_appears_later(path: Path) -> None:
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(answering(parse_target(f"unix:{path}"), "/a/api"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        async with saying(GOOD, path=path) as asked:
            await waiting
    assert asked[0].startswith(b"GET /a/api HTTP/1.1\r\n")


async def test_a_socket_that_takes_no_connection_yet(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(answering(parse_target(f"unix:{path}"), "/"))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            async with saying(GOOD, sock=bound):
                await waiting


@pytest.mark.parametrize("first", [BAD, b"", b"garbage\r\n\r\n", b"x" * 100_000])
async def test_a_server_that_does_not_work_yet(path: Path, first: bytes) -> None:
    async with asyncio.timeout(60), saying(first, first, GOOD, path=path) as asked:
        await answering(parse_target(f"unix:{path}"), "/")
    assert len(asked) == 3


async def test_any_answer_will_do_and_ports_will(path: Path) -> None:
    async with asyncio.timeout(60), saying(b"HTTP/1.1 404 No\r\n\r\n", host="127.0.0.1", port=0) as asked:
        del asked
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        async with saying(b"HTTP/1.1 404 No\r\n\r\n", sock=bound):
            await answering(parse_target(f"http://127.0.0.1:{port}"), "/")
