"""A kernel spoken by hand, for what no real kernel can be made to say."""

from __future__ import annotations

from itertools import count

import pytest
import zmq
import zmq.asyncio

from moorage.kernel.client import Client
from moorage.kernel.zmq_transport import ZmqTransport
from moorage.rendezvous.ipc import IpcRendezvous
from moorage.wire.codec import Signer
from moorage.wire.session import Session

KEY = b"0123456789"
DATE = "2026-01-01T00:00:00+00:00"


class ByHand:
    """Binds a kernel's sockets and says what the test wants said."""

    def __init__(self, info) -> None:
        self.info = info
        ids = count()
        self.session = Session(Signer(KEY), "kernel", lambda: f"k{next(ids)}")
        self.context = zmq.asyncio.Context()
        self.sockets = {}
        for channel, kind in (
            ("shell", zmq.ROUTER),
            ("control", zmq.ROUTER),
            ("stdin", zmq.ROUTER),
            ("iopub", zmq.XPUB),
        ):
            socket = self.sockets[channel] = self.context.socket(kind)
            socket.linger = 0
            socket.bind(info.url(channel))

    async def hear(self, channel="shell"):
        """Return the next request, whose identities answer it."""
        frames = await self.sockets[channel].recv_multipart()
        return self.session.receive(channel, frames)

    def pack(self, msg_type, content, parent=None):
        message = self.session.request("", msg_type, content, date=DATE, parent=parent)
        return self.session.pack(message)

    async def reply(self, request, msg_type, channel="shell", **content):
        frames = [*request.identities, *self.pack(msg_type, {"status": "ok", **content}, request)]
        await self.sockets[channel].send_multipart(frames)
        return frames

    async def publish(self, msg_type, parent=None, **content):
        await self.sockets["iopub"].send_multipart(self.pack(msg_type, content, parent))

    async def idle(self, request):
        await self.publish("status", request, execution_state="idle")

    def hang_up(self, channel):
        """Close one of its sockets and bind another at the same address."""
        old, new = self.sockets[channel], self.context.socket(self.sockets[channel].type)
        self.sockets[channel] = new
        new.linger = 0
        old.close()
        new.bind(self.info.url(channel))

    def close(self):
        for socket in self.sockets.values():
            socket.close()
        self.context.term()


@pytest.fixture
def addresses(tmp_path_factory):
    import shutil
    import tempfile
    from pathlib import Path

    directory = Path(tempfile.mkdtemp(prefix="k"))
    yield IpcRendezvous(directory, KEY)._info
    shutil.rmtree(directory)


@pytest.fixture
async def by_hand(addresses, anyio_backend):
    kernel = ByHand(addresses)
    yield kernel
    kernel.close()


def client_of(addresses, name="client"):
    """A client whose messages have ids that can be foretold."""
    ids = count()
    session = Session(Signer(KEY), name, lambda: f"c{next(ids)}")
    return Client(ZmqTransport(addresses, name.encode()), session)


@pytest.fixture
async def client(addresses, anyio_backend):
    async with client_of(addresses) as client:
        yield client


@pytest.fixture
async def subscribed(client, by_hand):
    """A client whose subscription has reached the kernel."""
    await by_hand.sockets["iopub"].recv_multipart()
    return client
