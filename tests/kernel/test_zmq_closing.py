"""Sockets that are closed so that nothing of them is left; dropping by it is in test_zmq_transport.py."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
import zmq
import zmq.asyncio

from moorage.kernel.zmq_closing import close_now
from moorage.rendezvous.ipc import IpcRendezvous

pytestmark = pytest.mark.anyio


@pytest.fixture
def info():
    with tempfile.TemporaryDirectory(prefix="k") as name:
        yield IpcRendezvous(Path(name), b"key")._info


@pytest.mark.parametrize("library", [zmq, zmq.asyncio])
async def test_a_socket_that_is_closed_now_sends_nothing_more(info, library):
    with library.Context() as context:
        socket = context.socket(zmq.DEALER)
        socket.linger = 60_000
        socket.connect(info.url("control"))
        sent = socket.send(b"old")
        if library is zmq.asyncio:
            await sent
        async with asyncio.timeout(10):
            await close_now(socket)
        assert socket.closed
        with zmq.Context() as other, other.socket(zmq.ROUTER) as kernel:
            kernel.linger = 0
            kernel.bind(info.url("control"))
            assert not kernel.poll(500)
