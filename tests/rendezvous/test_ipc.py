"""Unix sockets in a private directory."""

from __future__ import annotations

import pytest
import zmq

from moorage.errors import LaunchError
from moorage.rendezvous.ipc import LONGEST_PREFIX, IpcRendezvous
from moorage.wire.connection import PORTS

pytestmark = pytest.mark.anyio


async def test_five_different_paths_in_the_directory(directory):
    info = await IpcRendezvous(directory, b"key").addresses()
    urls = {info.url(name.removesuffix("_port")) for name in PORTS}
    assert len(urls) == 5
    assert all(url.startswith(f"ipc://{directory}/") for url in urls)


async def test_the_longest_path_allowed_can_be_bound(directory):
    room = LONGEST_PREFIX - len(str(directory / "x" / "k"))
    deep = directory / ("x" * (room + 1))
    deep.mkdir()
    info = await IpcRendezvous(deep, b"key").addresses()
    assert len(info.ip) == LONGEST_PREFIX
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.bind(info.url("hb"))


async def test_a_path_too_long_is_a_sentence(directory):
    deep = directory / ("x" * 100)
    deep.mkdir()
    with pytest.raises(LaunchError, match="too deep"):
        IpcRendezvous(deep, b"key")
