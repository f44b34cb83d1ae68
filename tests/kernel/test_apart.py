"""How a kernel in a namespace of its own and its clients outside meet."""

from __future__ import annotations

import pytest

from moorage.errors import UsageError
from moorage.kernel.apart import FIRST_PORT, meeting_by, settled
from moorage.process.netns.launcher import IsolatedLauncher
from moorage.rendezvous.files import read_connection_file
from moorage.rendezvous.ipc import IpcRendezvous


class NoLauncher:
    """Stands for whoever starts processes."""

    def launch(self, spec):
        raise AssertionError(spec)


def test_without_isolation_what_is_wanted_is_asked_for():
    for way in ("auto", "handshake", "self-bind", "hold", "ipc"):
        assert meeting_by(way, "none") == way


@pytest.mark.parametrize("way", ["auto", "ipc"])
def test_isolation_means_unix_sockets(way):
    assert meeting_by(way, "net") == "ipc"


@pytest.mark.parametrize("way", ["handshake", "self-bind", "hold"])
def test_what_cannot_cross_is_refused(way):
    with pytest.raises(UsageError, match=f"the {way} rendezvous cannot be used with isolation"):
        meeting_by(way, "net")


PYTHON = ("python", "-m", "ipykernel_launcher", "-f", "{connection_file}")
OTHER = ("R", "-e", "IRkernel::main()", "{connection_file}")


@pytest.mark.anyio
async def test_without_isolation_nothing_is_changed(tmp_path):
    meeting, launcher = IpcRendezvous(tmp_path, b"key"), NoLauncher()
    assert await settled("none", launcher, OTHER, "auto", meeting) == (launcher, meeting.connection_file)


@pytest.mark.anyio
@pytest.mark.parametrize(("argv", "wanted"), [(PYTHON, "auto"), (PYTHON, "ipc"), (OTHER, "ipc")])
async def test_a_kernel_that_takes_unix_sockets_gets_them(tmp_path, argv, wanted):
    meeting = IpcRendezvous(tmp_path, b"key")
    launcher, file = await settled("net", NoLauncher(), argv, wanted, meeting)
    assert isinstance(launcher, IsolatedLauncher)
    assert launcher._relay is None
    assert file == meeting.connection_file


@pytest.mark.anyio
async def test_every_other_kernel_listens_on_tcp_inside_and_is_relayed(tmp_path):
    meeting = IpcRendezvous(tmp_path, b"key", "ir")
    outside = await meeting.addresses()
    launcher, file = await settled("net", NoLauncher(), OTHER, "auto", meeting)
    inside = read_connection_file(file)
    assert file != meeting.connection_file
    assert file.stat().st_mode & 0o777 == 0o600
    assert (inside.transport, inside.ip, inside.key) == ("tcp", "127.0.0.1", b"key")
    assert (inside.shell_port, inside.hb_port) == (FIRST_PORT, FIRST_PORT + 4)
    assert isinstance(launcher, IsolatedLauncher)
    assert launcher._relay is not None
    for channel in ("shell", "iopub", "stdin", "control", "hb"):
        socket = outside.url(channel).removeprefix("ipc://")
        port = int(inside.url(channel).rpartition(":")[2])
        assert launcher._relay.ports[type(tmp_path)(socket)] == port
