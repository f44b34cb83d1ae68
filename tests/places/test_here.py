"""What a kernel gets of this machine; how one in a namespace of its own is reached from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import UsageError
from moorage.places.here import FIRST_PORT, Here, choice_within, ways_for
from moorage.process.local import LocalLauncher
from moorage.process.netns.launcher import IsolatedLauncher
from moorage.process.options import ProcessOptions
from moorage.rendezvous.files import read_connection_file
from moorage.rendezvous.ipc import IpcRendezvous

PYTHON = KernelSpec("a", ("python", "-m", "ipykernel_launcher", "-f", "{connection_file}"), "A", "python")
OTHER = KernelSpec("ir", ("R", "-e", "IRkernel::main()", "{connection_file}"), "R", "R")


def test_without_isolation_what_is_wanted_is_asked_for():
    for way in ("auto", "handshake", "self-bind", "hold", "ipc"):
        assert choice_within("none", way) == way


@pytest.mark.parametrize("way", ["auto", "ipc"])
def test_isolation_means_unix_sockets(way):
    assert choice_within("net", way) == "ipc"
    assert Here(isolate="net").ways(OTHER, way) == ("ipc",)


@pytest.mark.parametrize("way", ["handshake", "self-bind", "hold"])
def test_what_cannot_cross_is_refused(way):
    with pytest.raises(UsageError, match=f"the {way} rendezvous cannot be used with isolation"):
        choice_within("net", way)


def test_a_kernel_of_another_user_gets_what_is_read_from_none_of_its_files():
    assert ways_for(None, ("handshake", "hold"), "auto") == ("handshake", "hold")
    assert ways_for((1, 1), ("handshake", "hold"), "auto") == ("hold",)
    assert ways_for((1, 1), ("self-bind",), "auto") == ("hold",)
    with pytest.raises(UsageError, match="cannot be used for a kernel of another user"):
        ways_for((1, 1), ("self-bind",), "self-bind")


def test_a_kernel_of_another_user_is_started_in_one_way_alone():
    """A second try would write into a directory that this user has been let into."""
    place = Here(options=ProcessOptions(user=1, group=1))
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


async def route(place, spec, wanted, rendezvous):
    async with place.open() as workspace:
        return await workspace.route(spec, wanted, rendezvous)


@pytest.mark.anyio
async def test_without_isolation_nothing_is_changed(tmp_path):
    rendezvous = IpcRendezvous(tmp_path, b"key")
    launcher, file = await route(Here(), OTHER, "auto", rendezvous)
    assert isinstance(launcher, LocalLauncher)
    assert file == rendezvous.connection_file


@pytest.mark.anyio
async def test_a_provider_may_wrap_the_launcher(tmp_path):
    wrapped = []
    place = Here(wrap=lambda inner: wrapped.append(inner) or "wrapped")
    launcher, _ = await route(place, OTHER, "auto", IpcRendezvous(tmp_path, b"key"))
    assert launcher == "wrapped"
    assert isinstance(wrapped[0], LocalLauncher)


@pytest.mark.anyio
@pytest.mark.parametrize(("spec", "wanted"), [(PYTHON, "auto"), (PYTHON, "ipc"), (OTHER, "ipc")])
async def test_a_kernel_that_takes_unix_sockets_gets_them(tmp_path, spec, wanted):
    rendezvous = IpcRendezvous(tmp_path, b"key")
    launcher, file = await route(Here(isolate="net"), spec, wanted, rendezvous)
    assert isinstance(launcher, IsolatedLauncher)
    assert launcher._relay is None
    assert file == rendezvous.connection_file


@pytest.mark.anyio
async def test_every_other_kernel_listens_on_tcp_inside_and_is_relayed(tmp_path):
    rendezvous = IpcRendezvous(tmp_path, b"key", "ir")
    outside = await rendezvous.addresses()
    launcher, file = await route(Here(isolate="net"), OTHER, "auto", rendezvous)
    inside = read_connection_file(file)
    assert file != rendezvous.connection_file
    assert file.stat().st_mode & 0o777 == 0o600
    assert (inside.transport, inside.ip, inside.key) == ("tcp", "127.0.0.1", b"key")
    assert (inside.shell_port, inside.hb_port) == (FIRST_PORT, FIRST_PORT + 4)
    assert isinstance(launcher, IsolatedLauncher)
    assert launcher._relay is not None
    for channel in ("shell", "iopub", "stdin", "control", "hb"):
        socket = outside.url(channel).removeprefix("ipc://")
        port = int(inside.url(channel).rpartition(":")[2])
        assert launcher._relay.ports[type(tmp_path)(socket)] == port
