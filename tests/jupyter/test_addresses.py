from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager
from jupyter_client.multikernelmanager import MultiKernelManager
from traitlets.config import Config

from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import UsageError
from moorage.jupyter.addresses import Addresses, Requested, agree
from moorage.kernel.blocking import portal

PYTHON = KernelSpec(
    "python3", ("python", "-m", "ipykernel_launcher", "-f", "{connection_file}"), "P", "python"
)
XEUS = KernelSpec("xpython", ("xpython", "-f", "{connection_file}"), "X", "python", protocol_version="5.6")
OTHER = KernelSpec("other", ("other", "{connection_file}"), "O", "other")


def manager(**said: Any) -> KernelManager:
    config = Config()
    config.KernelManager.update(said)
    return KernelManager(config=config, kernel_name="python3")


@pytest.mark.parametrize(
    ("kernel", "said", "first"),
    [
        (PYTHON, {}, "ipc"),
        (OTHER, {}, "hold"),
        (XEUS, {}, "handshake"),
        (PYTHON, {"transport": "ipc"}, "ipc"),
        (PYTHON, {"transport": "tcp"}, "hold"),
        (PYTHON, {"ip": "127.0.0.1"}, "hold"),
        (PYTHON, {"shell_port": 4711}, "hold"),
        (XEUS, {"shell_port": 4711}, "hold"),
        (XEUS, {"ip": "0.0.0.0"}, "hold"),
    ],
)
def test_what_a_managers_caller_requested_counts(
    kernel: KernelSpec, said: dict[str, Any], first: str
) -> None:
    one = manager(**said)
    assert Requested.of(one).choices(one, kernel, "auto", None)[0] == first


def test_a_servers_kernels_use_ports() -> None:
    one = KernelManager(parent=MultiKernelManager())
    assert Requested.of(one).choices(one, PYTHON, "auto", None) == ("hold",)
    assert Requested.of(one).choices(one, PYTHON, "ipc", None) == ("ipc",)


def test_what_a_key_or_encryption_forbids_is_not_done() -> None:
    one = manager()
    one.session.key = b""
    assert Requested.of(one).choices(one, XEUS, "auto", None) == ("hold",)
    with pytest.raises(UsageError):
        Requested.of(one).choices(one, XEUS, "handshake", None)
    one = KernelManager(transport_encryption="required")
    assert Requested.of(one).choices(one, XEUS, "auto", None) == ("hold",)


def agreed(one: KernelManager, way: Any, kernel: KernelSpec = OTHER) -> Addresses:
    agreement = asyncio.run(agree(portal(), one, Requested.of(one), way, kernel))
    agreement.write_into(one)
    return agreement


def test_known_addresses_are_written_into_the_manager_and_given_back() -> None:
    one = manager()
    agreement = agreed(one, "ipc")
    assert (agreement.file, agreement.way, agreement.usable) == (None, "ipc", True)
    assert (one.transport, sorted(one.ports)) == ("ipc", [1, 2, 3, 4, 5])
    directory = Path(one.ip).parent
    assert directory.stat().st_mode & 0o777 == 0o700
    asyncio.run(agreement.end(one))
    assert not agreement.usable
    assert (one.transport, one.ip, one.ports) == ("tcp", "127.0.0.1", [0] * 5)


def test_a_restarter_finds_no_random_ports() -> None:
    one = manager()
    agreement = agreed(one, "hold")
    one.write_connection_file()
    ports = one.ports
    one.cleanup_random_ports()
    assert one.ports == ports
    one.cleanup_connection_file()
    asyncio.run(agreement.end(one))


def test_named_ports_are_held_like_the_others() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    one = manager(hb_port=port)
    agreement = agreed(one, "hold")
    assert one.hb_port == port
    assert len(set(one.ports)) == 5
    for held in one.ports:
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", held))
    asyncio.run(agreement.end(one))


def test_a_kernel_that_has_yet_to_choose_gets_another_file() -> None:
    one = manager()
    agreement = agreed(one, "handshake", XEUS)
    assert agreement.file is not None
    assert "registration_port" in agreement.file.read_text()
    assert one.ports == [0] * 5
    asyncio.run(agreement.end(one))


@pytest.mark.parametrize("way", ["ipc", "hold"])
def test_listening_is_seen(way: str) -> None:
    one = manager()
    agreement = agreed(one, way)
    opened: list[socket.socket] = []

    async def later() -> bool:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(agreement.listening(one))
            for port in one.ports:
                await asyncio.sleep(0.01)
                assert not waiting.done()
                opened.append(listen(one, port))
        return waiting.result()

    assert asyncio.run(later())
    for each in opened:
        each.close()
    asyncio.run(agreement.end(one))


def listen(one: KernelManager, port: int) -> socket.socket:
    if one.transport == "ipc":
        server = socket.socket(socket.AF_UNIX)
        server.bind(f"{one.ip}-{port}")
    else:
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((one.ip, port))
    server.listen()
    return server
