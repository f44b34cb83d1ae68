"""What a kernel gets of this machine; how one in a namespace of its own is reached from outside."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from contextlib import asynccontextmanager, closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from moorage.discovery.activation import Activation
from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import LaunchError, UsageError
from moorage.places import here
from moorage.places.here import Here, entered
from moorage.process.local import LocalLauncher
from moorage.process.netns.probe import obstacle
from moorage.process.options import ProcessOptions
from moorage.rendezvous.files import read_connection_file
from moorage.rendezvous.watch import DirectoryWatch
from moorage.wire.connection import SOCKETS, Endpoint

PYTHON = KernelSpec("a", ("python", "-m", "ipykernel_launcher", "-f", "{connection_file}"), "A", "python")
OTHER = KernelSpec("ir", ("R", "-e", "IRkernel::main()", "{connection_file}"), "R", "R")


@pytest.mark.parametrize("way", ["auto", "ipc"])
def test_isolation_means_unix_sockets(way):
    assert Here(isolate="net").ways(OTHER, way) == ("ipc",)


def test_what_its_fields_say_bears_on_how_addresses_are_agreed_on():
    assert Here().conditions() == set()
    assert Here(isolate="net").conditions() == {"own network"}
    assert Here(process=ProcessOptions(user=1, group=1)).conditions() == {"another user"}
    with pytest.raises(UsageError, match="the hold rendezvous cannot be used with isolation"):
        Here(isolate="net").ways(OTHER, "hold")


def test_a_kernel_of_another_user_is_started_in_one_way_alone():
    """A second try would write into a directory that this user has been let into."""
    place = Here(process=ProcessOptions(user=1, group=1))
    assert place.ways(PYTHON, "auto") == ("ipc",)
    assert place.ways(OTHER, "auto") == ("hold",)
    assert Here().ways(PYTHON, "auto") == ("ipc", "hold")


@pytest.mark.anyio
async def test_a_workspace_is_private_and_goes_with_its_block():
    async with Here().open() as workspace:
        assert workspace.directory.stat().st_mode & 0o777 == 0o700
        assert workspace.environment["JPY_PARENT_PID"].isdecimal()
        spec = workspace.process(None, {"A": "b"})
        assert (spec.cwd, spec.env, spec.argv) == (str(Path.cwd()), {"A": "b"}, ())
        assert spec.kernel.startswith("kernel-")
        assert workspace.process("sub", {}).cwd == str(Path.cwd() / "sub")
    assert not workspace.directory.exists()


@pytest.mark.anyio
async def test_what_a_surrounding_kernel_says_to_its_own_is_not_inherited(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "theirs.ipynb")
    async with Here().open() as workspace:
        assert "JPY_SESSION_NAME" not in workspace.environment


@asynccontextmanager
async def agreed(place, spec, wanted):
    async with place.open() as workspace:
        agreement = await workspace.agree(place.ways(spec, wanted)[0], spec, wanted, b"key")
        with closing(agreement.rendezvous):
            yield workspace, agreement


@pytest.mark.anyio
async def test_without_isolation_nothing_is_translated():
    async with agreed(Here(), OTHER, "auto") as (workspace, agreement):
        info = await agreement.rendezvous.addresses()
        assert agreement.rendezvous.way == "hold"
        assert agreement.connection_file == agreement.rendezvous.connection_file
        assert agreement.listens == ()
        assert (info.ip, workspace.listen_ip) == ("127.0.0.1", "127.0.0.1")
        assert await workspace.reach(info.endpoint("shell")) == info.endpoint("shell")
        assert workspace.mount == workspace.directory


@pytest.mark.anyio
async def test_a_provider_may_wrap_the_launcher():
    wrapped = []

    class Wrapper:
        def __init__(self, inner):
            wrapped.append(inner)

        def launch(self, spec):
            return nullcontext(spec)

    async with Here(wrap=Wrapper).open() as workspace, workspace.launch("spec") as handle:
        assert handle == "spec"
    assert isinstance(wrapped[0], LocalLauncher)


@pytest.mark.anyio
@pytest.mark.parametrize(("spec", "wanted"), [(PYTHON, "auto"), (PYTHON, "ipc"), (OTHER, "ipc")])
async def test_a_kernel_that_takes_unix_sockets_gets_them(spec, wanted):
    async with agreed(Here(isolate="net"), spec, wanted) as (workspace, agreement):
        info = await agreement.rendezvous.addresses()
        assert (info.transport, info.ip) == ("ipc", str(workspace.directory / "k"))
        assert agreement.listens == ()
        assert await workspace.reach(info.endpoint("shell")) == info.endpoint("shell")


@pytest.mark.anyio
async def test_every_other_kernel_listens_on_tcp_inside_and_is_found_by_unix_sockets():
    async with agreed(Here(isolate="net"), OTHER, "auto") as (workspace, agreement):
        inside = read_connection_file(agreement.connection_file)
        assert agreement.connection_file.stat().st_mode & 0o777 == 0o600
        assert agreement.rendezvous.way == "ipc"
        assert (inside.transport, inside.ip, inside.key) == ("tcp", "127.0.0.1", b"key")
        assert inside.kernel_name == "ir"
        assert agreement.listens == tuple(inside.endpoint(name).port for name in SOCKETS)
        found = {await workspace.reach(inside.endpoint(name)) for name in SOCKETS}
        assert {each.path for each in found} == {
            f"{workspace.directory}/k-{port}" for port in agreement.listens
        }


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root gives something away")
async def test_what_is_in_the_directory_is_given_to_the_user_before_the_first_start_alone():
    process = ProcessOptions(user="nobody")
    async with Here(process=process).open() as workspace:
        file = workspace.directory / "asked"
        file.touch()
        spec = replace(workspace.process("/", {"PATH": os.defpath}), argv=("true",))
        async with workspace.launch(spec) as handle:
            await handle.wait()
        assert file.stat().st_uid == workspace.directory.stat().st_uid == 65534
        later = workspace.directory / "later"
        later.touch()
        async with workspace.launch(spec) as handle:
            await handle.wait()
        assert later.stat().st_uid == 0


@pytest.mark.anyio
async def test_what_may_not_be_given_away_is_told(monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(here, "hand_over", refuse)
    async with Here().open() as workspace:
        with pytest.raises(LaunchError, match=r"given to another user.*Operation not permitted"):
            workspace.launch(workspace.process(None, {}))


SERVER = (sys.executable, "-u", "-m", "http.server", "--bind")


async def asked(endpoint) -> bytes:
    """Ask a server for its page, and return how it answers."""
    if endpoint.transport == "ipc":
        reader, writer = await asyncio.open_unix_connection(endpoint.path)
    else:
        reader, writer = await asyncio.open_connection(endpoint.ip, endpoint.port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.partition(b"\r\n")[0]


async def said(handle, text) -> str:
    while text not in handle.output():
        await asyncio.sleep(0)
    return handle.output()


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform == "win32", reason="nothing is launched on Windows")
async def test_a_server_is_launched_and_its_tree_ends_with_the_block():
    async with Here().open() as workspace:
        spec = workspace.process(workspace.directory, workspace.environment)
        command = ("sh", "-c", '"$@" & wait', "sh", *SERVER, workspace.listen_ip, "0")
        async with workspace.launch(replace(spec, argv=command)) as handle:
            port = int((await said(handle, "(http")).split(" port ")[1].split()[0])
            endpoint = await workspace.reach(Endpoint("tcp", workspace.listen_ip, port))
            assert await asked(endpoint) == b"HTTP/1.0 200 OK"
    with pytest.raises(ConnectionRefusedError):
        await asked(endpoint)
    assert not workspace.directory.exists()


@pytest.mark.anyio
@pytest.mark.skipif(
    sys.platform != "linux" or obstacle() is not None, reason=f"no namespaces here: {obstacle()}"
)
async def test_a_server_with_a_network_of_its_own_is_found_by_a_unix_socket():
    async with Here(isolate="net").open() as workspace:
        spec = workspace.process(workspace.directory, workspace.environment)
        spec = replace(spec, argv=(*SERVER, workspace.listen_ip, "8000"), listens=(8000,))
        async with workspace.launch(spec) as handle:
            await said(handle, "(http")
            endpoint = await workspace.reach(Endpoint("tcp", workspace.listen_ip, 8000))
            async with DirectoryWatch(workspace.directory) as watch:
                while not Path(endpoint.path).exists():
                    await watch.changed()
            assert endpoint.transport == "ipc"
            assert await asked(endpoint) == b"HTTP/1.0 200 OK"
            pid = handle.pid
    assert not Path(f"/proc/{pid}").exists()
    assert not Path(endpoint.path).exists()


@dataclass
class Entered:
    """Says in which thread its environment is made."""

    activation: Activation | None
    name: str = "k"

    def environment(self, base):
        return {**base, "THREAD": threading.current_thread().name}


@pytest.mark.anyio
async def test_scripts_run_beside_the_loop():
    inside = await entered(Entered(Activation(Path("/w"), "conda", "w")), {"A": "b"})
    assert inside == {"A": "b", "THREAD": "enter k"}


@pytest.mark.anyio
async def test_what_runs_no_script_is_made_here():
    assert (await entered(Entered(None), {}))["THREAD"] == threading.current_thread().name
