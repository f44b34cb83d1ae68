"""An acceptor in this process: what it does with its orders."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from moorage.errors import ProtocolError
from moorage.proxy.acceptor import run_acceptor
from moorage.proxy.listening import bind
from moorage.proxy.settings import ProxySettings
from moorage.wire.acceptor_messages import (
    AcceptorReport,
    Ask,
    Done,
    DropRoute,
    Listener,
    News,
    Order,
    SetRoute,
    TakeVisitors,
    encode,
    read_news,
)
from proxy.rig import PATIENCE, UPGRADE, Answer, Visit, echo, mirror, origin

pytestmark = pytest.mark.anyio


@dataclass
class Orders:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    running: asyncio.Task[None]

    async def give(self, order: Order) -> AcceptorReport | None:
        self.writer.write(encode(order))
        async with asyncio.timeout(PATIENCE):
            news: list[News] = [read_news(await self.reader.readline())]
            if isinstance(news[0], AcceptorReport):
                news.append(read_news(await self.reader.readline()))
        assert news[-1] == Done(order.number)
        return news[0] if isinstance(news[0], AcceptorReport) else None


@asynccontextmanager
async def acceptor() -> AsyncIterator[Orders]:
    own, others = socket.socketpair()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(run_acceptor(others, ProxySettings()))
        reader, writer = await asyncio.open_unix_connection(sock=own)
        try:
            yield Orders(reader, writer, running)
        finally:
            writer.close()


async def visit(port: int) -> Visit:
    return Visit(*await asyncio.open_connection("127.0.0.1", port))


async def get(port: int, path: str) -> Answer:
    made = await visit(port)
    made.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    answer = await made.answer()
    await made.close()
    return answer


async def test_orders_are_carried_out() -> None:
    async with origin(echo) as server, origin(mirror) as sockets, acceptor() as orders:
        bound, redirecting = bind("127.0.0.1", 0)[0], bind("127.0.0.1", 0)[0]
        port, other = bound.getsockname()[1], redirecting.getsockname()[1]
        assert await orders.give(SetRoute(1, (b"a",), {"target": server.url})) is None
        listeners = (Listener(bound.detach()), Listener(redirecting.detach(), redirect_to=443))
        await orders.give(TakeVisitors(2, listeners))
        assert (await get(port, "/a/x")).json["url"] == "/a/x"
        assert (await get(other, "/a/x")).status == 301
        report = await orders.give(Ask(3))
        assert report is not None
        assert ("proxied", 200, 1) in report.counts
        assert [prefix for prefix, _, _ in report.activity] == [(b"a",)]
        again = await orders.give(Ask(4))
        assert again is not None
        assert again.activity == ()
        await orders.give(SetRoute(5, (b"a",), {"target": sockets.url}))
        line = await visit(port)
        line.send(UPGRADE.replace(b"/ws", b"/a"))
        assert (await line.head())[0] == 101
        await orders.give(DropRoute(6, (b"a",)))
        assert await line.closed()
        await line.close()
        assert (await get(port, "/a")).status == 404


async def test_it_ends_with_the_proxy() -> None:
    async with origin(mirror) as server, acceptor() as orders:
        bound = bind("127.0.0.1", 0)[0]
        port = bound.getsockname()[1]
        await orders.give(SetRoute(1, (), {"target": server.url}))
        await orders.give(TakeVisitors(2, (Listener(bound.detach()),)))
        line = await visit(port)
        line.send(UPGRADE)
        await line.head()
        orders.writer.close()
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait([orders.running])
        assert orders.running.exception() is None
        assert await line.closed()
        await line.close()
        with pytest.raises(ConnectionRefusedError):
            await visit(port)


async def test_it_ends_with_a_proxy_that_has_not_read_everything() -> None:
    own, others = socket.socketpair()
    with own:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(run_acceptor(others, ProxySettings()))
            own.sendall(encode(Ask(1)))
            while not select.select([own], [], [], 0)[0]:
                await asyncio.sleep(0.01)
            own.close()
    assert running.exception() is None


async def test_what_is_no_order_ends_it() -> None:
    async def given() -> None:
        async with acceptor() as orders, asyncio.timeout(PATIENCE):
            orders.writer.write(b"nonsense\n")
            await asyncio.wait([orders.running])

    with pytest.raises(ExceptionGroup) as caught:
        await given()
    assert caught.group_contains(ProtocolError)
