"""Unix sockets in a private directory."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import zmq

from moorage.rendezvous import ipc
from moorage.rendezvous.files import read_connection_file
from moorage.rendezvous.ipc import LONGEST_PREFIX, IpcRendezvous, NoSockets
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


async def test_a_kernel_may_see_the_directory_by_another_path(directory):
    mount = directory / "m"
    mount.mkdir()
    there = IpcRendezvous(directory, b"key", mount=mount)
    info = await there.addresses()
    assert info.ip == str(mount / "k")
    assert read_connection_file(directory / "kernel.json") == info
    for port in range(1, 6):
        (directory / f"k-{port}").touch()
    there.close()
    assert list(directory.iterdir()) == [mount], "the sockets are removed where they are"
    with pytest.raises(NoSockets, match="too deep"):
        IpcRendezvous(directory, b"key", mount=Path("/" + "x" * 100))


async def test_a_path_too_long_is_a_sentence(directory):
    deep = directory / ("x" * 100)
    deep.mkdir()
    with pytest.raises(NoSockets, match="too deep"):
        IpcRendezvous(deep, b"key")


@pytest.fixture
def unproven(monkeypatch):
    """Have nothing known of this machine's file systems."""
    monkeypatch.setattr(ipc, "_proven", set())


async def test_a_file_system_is_asked_once(unproven, directory, monkeypatch):
    bound = []
    real = socket.socket
    monkeypatch.setattr(socket, "socket", lambda *of: bound.append(of) or real(*of))
    for number in range(3):
        (directory / str(number)).mkdir()
        IpcRendezvous(directory / str(number), b"key")
    assert len(bound) == 1


async def test_a_place_without_sockets_is_a_sentence(unproven, directory):
    (directory / "k-1").mkdir()
    with pytest.raises(NoSockets, match=r"no Unix socket can be bound in .*Address already in use"):
        IpcRendezvous(directory, b"key")
    (directory / "k-1").rmdir()
    IpcRendezvous(directory, b"key")
    assert [path.name for path in directory.iterdir()] == ["kernel.json"], "the proof leaves nothing"
