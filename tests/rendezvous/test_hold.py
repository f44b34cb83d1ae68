"""Held ports: no other process gets them, and their kernel does."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys

import pytest

from moorage.errors import LaunchError
from moorage.rendezvous.hold import HoldRendezvous, hold_port, port_of
from moorage.wire.connection import PORTS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="holding is Linux's")


@pytest.fixture
def held():
    sockets = [hold_port() for _ in range(50)]
    yield sockets
    for each in sockets:
        each.close()


@pytest.mark.parametrize("reuse", [0, 1])
def test_fifty_held_ports_are_never_handed_out_to_others(held, reuse):
    ports = {port_of(each) for each in held}
    assert len(ports) == 50
    for _ in range(20_000):
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
            other.bind(("127.0.0.1", 0))
            assert other.getsockname()[1] not in ports


def test_they_are_handed_out_once_let_go():
    """Or the test above would show nothing."""
    ports = set()
    for _ in range(2000):
        with hold_port() as each:
            ports.add(port_of(each))
    hits = 0
    for _ in range(20_000):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            hits += other.getsockname()[1] in ports
    assert hits


def test_outgoing_connections_do_not_get_them_either(held):
    ports = {port_of(each) for each in held}
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(500):
            with socket.create_connection(server.getsockname()) as client:
                assert client.getsockname()[1] not in ports
                server.accept()[0].close()


def test_the_kernel_can_bind_and_listen_and_again_after_a_restart(held):
    for _ in range(2):
        with socket.socket() as kernel:
            kernel.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as libzmq does
            kernel.bind(("127.0.0.1", port_of(held[0])))
            kernel.listen()
            socket.create_connection(kernel.getsockname()).close()


BY_ANOTHER_USER = """
import os, socket, sys
os.setgroups([]); os.setgid(12321); os.setuid(12321)
for port in map(int, sys.argv[1:]):
    for ip in ("127.0.0.1", "0.0.0.0"):
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT, None):
            with socket.socket() as thief:
                if option:
                    thief.setsockopt(socket.SOL_SOCKET, option, 1)
                try:
                    thief.bind((ip, port))
                    thief.listen()
                except OSError:
                    continue
                print("taken", port, ip, option)
"""


def taken(ports):
    """Try to take ports as another user would; returns what was taken."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    words = [sys.executable, "-I", "-c", BY_ANOTHER_USER, *map(str, ports)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@pytest.mark.anyio
async def test_another_user_gets_none_of_them_but_while_the_kernel_binds_them(directory):
    meeting = HoldRendezvous(directory, b"key")
    info = await meeting.addresses()
    ports = [getattr(info, name) for name in PORTS]
    assert taken(ports[:1]), "or this shows nothing"
    meeting.renew()
    kernels = [socket.create_server(("127.0.0.1", port)) for port in ports]  # with SO_REUSEADDR, as libzmq
    assert not taken(ports)  # it listens
    meeting.answered()
    for kernel in kernels:
        kernel.close()  # it has died
    assert not taken(ports)
    meeting.renew()
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()
    meeting.close()


def test_a_port_that_is_only_held_accepts_no_connection(held):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(held[0])))


def test_children_do_not_inherit_them(held):
    code = (
        "import os\nfor n in range(3, 200):\n"
        "    try: print(os.readlink(f'/proc/self/fd/{n}'))\n    except OSError: pass"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, close_fds=False, check=True
    )
    assert "socket" not in done.stdout


@pytest.mark.anyio
async def test_five_different_ports_from_the_start(directory):
    meeting = HoldRendezvous(directory, b"key")
    info = await meeting.addresses()
    assert len({getattr(info, name) for name in PORTS}) == 5
    assert "key" not in repr(info).replace("key=", "")
    meeting.close()
    with socket.socket() as other:
        other.bind(("127.0.0.1", info.shell_port))


def test_no_descriptors_left_is_a_sentence(directory):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = socket.socket()
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe.fileno() + 3, hard))
    probe.close()
    try:
        with pytest.raises(LaunchError, match="no five free ports"):
            HoldRendezvous(directory, b"key")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_file_that_cannot_be_written_lets_the_ports_go(directory):
    with pytest.raises(OSError, match="absent"):
        HoldRendezvous(directory / "absent", b"key")
