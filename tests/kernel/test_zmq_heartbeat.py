"""Transports that send nothing before a kernel's heartbeat is heard."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
import zmq
import zmq.asyncio

from moorage.errors import ProtocolError
from moorage.kernel import zmq_heartbeat
from moorage.kernel.zmq_transport import ZmqTransport
from moorage.rendezvous.ipc import IpcRendezvous

pytestmark = pytest.mark.anyio

GREETING = b"\xff" + b"\0" * 8 + b"\x7f\3\0" + b"ANOTHER".ljust(20, b"\0") + b"\0" * 32
"""Of ZMTP 3.0, with a mechanism that no kernel has."""


class Kernel:
    """The sockets of one that echoes when it is told to."""

    def __init__(self, info):
        self.context = zmq.asyncio.Context()
        self.shell, self.heartbeat = self.context.socket(zmq.ROUTER), self.context.socket(zmq.REP)
        self.shell.bind(info.url("shell"))
        self.heartbeat.bind(info.url("hb"))

    async def echo(self):
        async with asyncio.timeout(60):
            await self.heartbeat.send(await self.heartbeat.recv())

    async def heard(self):
        async with asyncio.timeout(60):
            return (await self.shell.recv_multipart())[1:]

    def close(self):
        self.context.destroy(linger=0)


@pytest.fixture
def info():
    with tempfile.TemporaryDirectory(prefix="k") as name:
        yield IpcRendezvous(Path(name), b"key")._info


@pytest.fixture
def kernel(info):
    kernel = Kernel(info)
    yield kernel
    kernel.close()


@pytest.fixture
async def transport(info, anyio_backend):
    async with ZmqTransport(info, b"me", after_heartbeat=True) as transport:
        yield transport


async def test_what_is_sent_comes_after_the_echo_and_in_order(kernel, transport, monkeypatch):
    monkeypatch.setattr(zmq_heartbeat, "PATIENCE", 1000.0)
    for word in (b"a", b"b"):
        transport.send("shell", [word])
    request = await kernel.heartbeat.recv()
    assert not await kernel.shell.poll(200)
    await kernel.heartbeat.send(request)
    assert [await kernel.heard() for _ in range(2)] == [[b"a"], [b"b"]]
    transport.send("shell", [b"c"])
    assert await kernel.heard() == [b"c"]


async def test_a_heartbeat_that_stays_away_is_waited_for_from_its_connection_on(
    kernel, transport, monkeypatch
):
    monkeypatch.setattr(zmq_heartbeat, "PATIENCE", 0.05)
    transport.send("shell", [b"a"])
    assert await kernel.heard() == [b"a"]


async def test_a_process_that_is_to_take_the_place_is_listened_to_anew(info, transport, monkeypatch):
    monkeypatch.setattr(zmq_heartbeat, "PATIENCE", 1000.0)
    transport.send("shell", [b"old"])
    await transport.drop_unsent()
    transport.send("shell", [b"new"])
    kernel = Kernel(info)
    try:
        await kernel.echo()
        assert await kernel.heard() == [b"new"]
    finally:
        kernel.close()


async def test_one_that_is_closed_before_the_echo_leaves_nothing(info):
    async def opened():
        async with ZmqTransport(info, b"me", after_heartbeat=True) as transport:
            transport.send("shell", [b"a"])

    def used():
        return len(list(Path("/proc/self/fd").iterdir()))

    await opened()  # ZeroMQ's own threads keep theirs
    before = used()
    for _ in range(20):
        await opened()
    async with asyncio.timeout(60):
        while used() > before:
            await asyncio.sleep(0.01)


async def test_what_can_be_sent_to_no_kernel_is_told_and_what_comes_next_is_refused(
    info, monkeypatch, caplog
):
    monkeypatch.setattr(zmq_heartbeat, "PATIENCE", 1000.0)
    hung_up = asyncio.Event()

    async def no_kernel(reader, writer):
        writer.write(GREETING)
        await reader.read(-1)  # to the end
        writer.close()
        hung_up.set()

    async with await asyncio.start_unix_server(no_kernel, info.url("shell").removeprefix("ipc://")):
        context = zmq.asyncio.Context()
        heartbeat = context.socket(zmq.REP)
        heartbeat.bind(info.url("hb"))
        try:
            async with asyncio.timeout(60), ZmqTransport(info, b"me", after_heartbeat=True) as transport:
                transport.send("shell", [b"a"])
                await hung_up.wait()
                await heartbeat.send(await heartbeat.recv())
                while not caplog.messages:
                    await asyncio.sleep(0.01)
                assert "is no kernel" in caplog.messages[0]
                with pytest.raises(ProtocolError):
                    transport.send("shell", [b"b"])
        finally:
            context.destroy(linger=0)
