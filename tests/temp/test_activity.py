"""Whether servers are in use."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from moorage.plan.targets import parse_target
from moorage.temp.activity import AtRest, at_rest, may_be_busy
from temp.test_readiness import path, saying

pytestmark = pytest.mark.anyio
__all__ = ["path"]


def answer(kernels: object, status: str = "200 OK") -> bytes:
    body = json.dumps(kernels).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("said", "busy"),
    [
        (answer([]), False),
        (answer([{"execution_state": "idle"}, {"execution_state": "starting"}]), False),
        (answer([{"execution_state": "idle"}, {"execution_state": "busy"}]), True),
        (answer([], "403 Forbidden"), True),
        (answer([{}]), True),
        (answer(7), True),
        (b"HTTP/1.1 200 OK\r\n\r\n{", True),
        (b"", True),
    ],
)
async def test_a_busy_kernel_counts_and_what_is_not_known_does(path, said: bytes, busy: bool) -> None:
    async with saying(said, path=path) as asked:
        assert await may_be_busy(parse_target(f"unix:{path}"), "/user/a/", "t") is busy
    assert asked[0].startswith(b"GET /user/a/api/kernels HTTP/1.1\r\n")
    assert b"Authorization: token t\r\n" in asked[0]


async def test_what_cannot_be_reached_may_be_busy(path) -> None:
    assert await may_be_busy(parse_target(f"unix:{path}"), "/", "t")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        async with saying(answer([]), sock=bound):
            target = parse_target(f"http://127.0.0.1:{bound.getsockname()[1]}")
            assert not await may_be_busy(target, "/", "t")


async def told(path, kernels: object, terminals: object = (), *, sessions: str = "200 OK") -> AtRest | None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readuntil(b"\r\n\r\n")).decode()
        said = {"kernels": answer(kernels), "terminals": answer(list(terminals))}
        said |= {"sessions": answer([], sessions), "workspaces": answer({}, "404 Not Found")}
        writer.write(said.get(line.split()[1].rpartition("/")[2], answer({})))
        writer.close()

    server = await asyncio.start_unix_server(handler, path)
    async with server:
        return await at_rest(parse_target(f"unix:{path}"), "/user/a/", "t")


async def test_a_server_at_rest_is_told_with_what_its_pages_ask_for(path) -> None:
    kernel = {"id": "k", "execution_state": "idle"}
    found = await told(path, [kernel])
    assert found == AtRest(
        ("k",),
        {
            "/api/kernels": json.dumps([kernel]),
            "/api/kernels/k": json.dumps(kernel),
            "/api/sessions": "[]",
            "/api/terminals": "[]",
            "/api/kernelspecs": "{}",
            "/api/me": "{}",
        },
    )


async def test_a_busy_kernel_or_a_terminal_or_no_answer_is_no_rest(path) -> None:
    assert await told(path, [{"id": "k", "execution_state": "busy"}]) is None
    path.unlink(missing_ok=True)  # newer Pythons remove it themselves
    assert await told(path, [], [{"name": "1"}]) is None
    path.unlink(missing_ok=True)  # newer Pythons remove it themselves
    assert await told(path, 7) is None
    path.unlink(missing_ok=True)  # newer Pythons remove it themselves
    assert await at_rest(parse_target(f"unix:{path}"), "/", "t") is None
