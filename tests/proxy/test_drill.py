"""Ten thousand malformed, smuggled and cut requests: none reaches a server, and nothing is left of them."""

from __future__ import annotations

import asyncio
import random

import pytest

from proxy.rig import PATIENCE, Rig, echo, origin, proxied
from wire.test_http import SMUGGLING

pytestmark = [pytest.mark.anyio, pytest.mark.drill]
GET = b"GET /%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


async def sent(rig: Rig, data: bytes, cut: int) -> bytes:
    """Send bytes in two pieces; return all that comes back until the proxy closes."""
    visit = await rig.connect()
    try:
        visit.send(data[:cut])
        await visit.writer.drain()
        await asyncio.sleep(0)
        visit.send(data[cut:])
        visit.writer.write_eof()
        return await visit.rest()
    except ConnectionError:
        return b""
    finally:
        await visit.close()


async def in_turn(rig: Rig, requests: list[tuple[bytes, int]], check: list[bytes]) -> None:
    for data, cut in requests:
        check.append(await sent(rig, data, cut))


async def all_sent(rig: Rig, requests: list[tuple[bytes, int]]) -> list[bytes]:
    """Send all of them on twenty connections at a time; return the answers."""
    answers: list[bytes] = []
    async with asyncio.timeout(600), asyncio.TaskGroup() as tasks:
        for start in range(20):
            tasks.create_task(in_turn(rig, requests[start::20], answers))
    return answers


@pytest.mark.timeout(900)
async def test_smuggled_requests_reach_no_server() -> None:
    dice = random.Random(10)
    heads = [head for head, _ in SMUGGLING.values()]
    async with origin(echo) as server, proxied(server.url) as rig:
        requests = []
        for _ in range(5000):
            data = dice.choice(heads) + b"5\r\nhello\r\n0\r\n\r\n" * dice.randint(0, 1) + GET % b"smuggled"
            requests.append((data, dice.randrange(len(data))))
        answers = await all_sent(rig, requests)
        assert server.connections == 0
        for answer in answers:
            assert answer.count(b"HTTP/1.1 ") <= 1
            assert not answer or answer[9:12] in {b"400", b"501", b"505"}
        assert (await rig.get("/x")).status == 200
        await rig.settled(visitor=0)


@pytest.mark.timeout(900)
async def test_mutilated_requests_leave_nothing() -> None:
    dice = random.Random(11)
    valid = (
        b"POST /a/b?c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    async with origin(echo) as server, proxied(server.url) as rig:
        requests = []
        for _ in range(5000):
            data = bytearray(valid + GET % b"next")
            for _ in range(dice.randint(1, 4)):
                at = dice.randrange(len(data))
                data[at : at + dice.randint(0, 3)] = dice.randbytes(dice.randint(0, 3))
            requests.append((bytes(data), dice.randrange(len(data))))
        await all_sent(rig, requests)
        assert (await rig.get("/x")).status == 200
        async with asyncio.timeout(PATIENCE):
            await rig.settled(visitor=0)
        rig.proxy.core.backends.drop_idle(float("inf"))
        await rig.settled(upstream=0)
