from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager
from traitlets.config import Config

from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import DeadlineExceeded
from moorage.jupyter import addresses
from moorage.jupyter.addresses import Addresses, Asked, agree
from moorage.jupyter.requested import Requested
from moorage.kernel.blocking import portal
from moorage.places.here import Here
from moorage.process.options import ProcessOptions
from places.elsewhere import Elsewhere

PYTHON = KernelSpec(
    "python3", ("python", "-m", "ipykernel_launcher", "-f", "{connection_file}"), "P", "python"
)
XEUS = KernelSpec("xpython", ("xpython", "-f", "{connection_file}"), "X", "python", protocol_version="5.6")
OTHER = KernelSpec("other", ("other", "{connection_file}"), "O", "other")
ISOLATED = Here(isolate="net")


def manager(**said: Any) -> KernelManager:
    config = Config()
    config.KernelManager.update(said)
    return KernelManager(config=config, kernel_name="python3")


def agreed(
    one: KernelManager,
    way: Any,
    kernel: KernelSpec = OTHER,
    place: Any = Here(),  # noqa: B008 - frozen
) -> Addresses:
    agreement = asyncio.run(agree(portal(), one, Requested.of(one), Asked(kernel, place, way, "auto")))
    asyncio.run(agreement.prepare(one, None))
    return agreement


def test_known_addresses_are_written_into_the_manager_and_given_back() -> None:
    one = manager()
    agreement = agreed(one, "ipc")
    assert (agreement.file, agreement.settled, agreement.obstacle(Here())) == (None, True, "")
    assert (one.transport, sorted(one.ports)) == ("ipc", [1, 2, 3, 4, 5])
    directory = Path(one.ip).parent
    assert directory.stat().st_mode & 0o777 == 0o700
    asyncio.run(agreement.end(one))
    assert agreement.obstacle(Here()) == "its private directory is gone"
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


def test_a_kernel_that_sees_other_addresses_reads_a_file_of_its_own() -> None:
    one = manager()
    agreement = agreed(one, "ipc", place=ISOLATED)
    assert (one.transport, agreement.listens) == ("ipc", tuple(sorted(one.ports)))
    one.write_connection_file(jupyter_session="a.ipynb")
    file = agreement.file_of_its_own(one)
    assert file is not None
    inside, outside = json.loads(file.read_bytes()), json.loads(Path(one.connection_file).read_bytes())
    assert (inside["transport"], inside["ip"]) == ("tcp", "127.0.0.1")
    assert inside | {"transport": "ipc", "ip": one.ip} == outside
    file.write_text("theirs from now on")
    assert agreement.file_of_its_own(one) == file
    assert file.read_text() == "theirs from now on"
    one.cleanup_connection_file()
    asyncio.run(agreement.end(one))


def test_a_kernel_that_sees_the_same_addresses_reads_its_managers() -> None:
    one = manager()
    agreement = agreed(one, "ipc", PYTHON, ISOLATED)
    assert (agreement.file, agreement.file_of_its_own(one), agreement.listens) == (None, None, ())
    asyncio.run(agreement.end(one))


def test_what_leads_to_a_kernel_is_no_kernel_until_it_greets() -> None:
    one = manager()
    agreement = agreed(one, "ipc", place=ISOLATED)
    closed: list[int] = []

    async def led(stack: AsyncExitStack, port: int) -> None:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if port in closed:
                writer.write(b"\xff")
            closed.append(port)
            writer.close()

        await stack.enter_async_context(await asyncio.start_unix_server(answer, f"{one.ip}-{port}"))

    async def look() -> bool:
        async with AsyncExitStack() as stack:
            for port in one.ports:
                await led(stack, port)
            return await agreement.listening(one)

    assert asyncio.run(look())
    assert sorted(closed) == sorted([*one.ports] * 2)
    asyncio.run(agreement.end(one))


def test_the_environment_that_a_caller_gives_counts_by_its_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.setenv("GONE", "1")
    monkeypatch.setenv("JPY_SESSION_NAME", "of the kernel around")
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    one = manager()
    agreement = agreed(one, "ipc")
    parent = agreement.workspace.environment["JPY_PARENT_PID"]
    assert parent != "1"
    given = {name: value for name, value in os.environ.items() if name != "GONE"} | {"ADDED": "1"}
    for env, names in ((None, {"KEPT", "GONE"}), (given, {"KEPT", "ADDED"}), ({"ADDED": "1"}, {"ADDED"})):
        found = asyncio.run(agreement.prepare(one, env))
        assert {"KEPT", "GONE", "ADDED", "JPY_SESSION_NAME"} & found.keys() == names
        assert found["JPY_PARENT_PID"] == parent
    found = asyncio.run(agreement.prepare(one, {"JPY_SESSION_NAME": "a.ipynb", "JPY_PARENT_PID": "2"}))
    assert found == {"JPY_SESSION_NAME": "a.ipynb", "JPY_PARENT_PID": parent}
    asyncio.run(agreement.end(one))


def test_what_another_user_can_use_is_another_agreement() -> None:
    one = manager()
    agreement = agreed(one, "ipc")
    assert agreement.obstacle(Here(process=ProcessOptions(umask=0))) == ""
    theirs = Here(process=ProcessOptions(user=65534, group=65534))
    assert agreement.obstacle(theirs) == "another user cannot use the former ones"
    asyncio.run(agreement.end(one))


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is this machine on Linux alone")
@pytest.mark.parametrize("way", ["ipc", "hold"])
def test_elsewhere_a_manager_is_told_the_addresses_when_there_is_a_process(way: str) -> None:
    one = manager()
    folder = Path(tempfile.mkdtemp(prefix="m"))  # short enough for the paths of Unix sockets
    agreement = agreed(one, way, PYTHON, Elsewhere(folder))
    assert agreement.settled
    assert agreement.file == agreement.workspace.mount / "kernel.json"  # also behind a restart
    assert one.ports == [0] * 5
    told = asyncio.run(portal().reach(agreement.chosen()))
    assert told["ip"] == ("127.0.0.2" if way == "hold" else f"{agreement.workspace.directory}/k")
    asyncio.run(agreement.prepare(one, None))
    assert one.get_connection_info() == told
    assert agreement.file == agreement.workspace.mount / "kernel.json"
    agreement.hold()  # its ports are none of this machine's
    assert not agreement._held
    asyncio.run(agreement.end(one))
    folder.rmdir()


class Hangs(Elsewhere):
    """A place that never becomes ready."""

    def open(self) -> Any:
        return hanging()


@asynccontextmanager
async def hanging() -> AsyncIterator[None]:
    await asyncio.Event().wait()
    yield


def test_a_place_that_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_PATIENCE", 0.1)
    with pytest.raises(DeadlineExceeded, match=r"the folder .* was not ready for the kernel spec/python3"):
        agreed(manager(), "ipc", PYTHON, Hangs(tmp_path))
