"""Waiting until a kernel listens."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest

from moorage.jupyter.listening import accepts, greets, sockets, tried
from moorage.wire.connection import Endpoint

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no Unix sockets")


def test_sockets_are_waited_for(tmp_path: Path) -> None:
    os.chdir(tmp_path)
    paths = [tmp_path / "k-1", tmp_path / "k-2"]

    async def look() -> list[str]:
        waiting = asyncio.ensure_future(sockets(paths))
        await asyncio.sleep(0)
        seen = []
        for path in paths:
            seen.append("done" if waiting.done() else "waits")
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(path.name)
        await waiting
        return seen

    assert asyncio.run(look()) == ["waits", "waits"]


def test_a_port_takes_connections_or_does_not() -> None:
    async def look() -> list[bool]:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            endpoint = Endpoint("tcp", "127.0.0.1", bound.getsockname()[1])
            found = [await accepts(endpoint)]
            bound.listen()
            await tried(accepts, endpoint)
            return [*found, await accepts(endpoint)]

    assert asyncio.run(look()) == [False, True]


@pytest.mark.parametrize("word", [b"\xff", b"x", b""])
def test_what_answers_as_zeromq_does_greets(word: bytes) -> None:
    async def look() -> bool:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(word)
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            return await greets(Endpoint("tcp", "127.0.0.1", server.sockets[0].getsockname()[1]))

    assert asyncio.run(look()) is (word == b"\xff")
