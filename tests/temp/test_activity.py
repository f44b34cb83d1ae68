"""Whether servers are in use."""

from __future__ import annotations

import json
import socket

import pytest

from moorage.plan.targets import parse_target
from moorage.temp.activity import may_be_busy
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
