"""Where a launch takes place, and what is tried; the starts themselves are in test_kernel and tests/real."""

from __future__ import annotations

import asyncio
import shutil
import stat
from dataclasses import replace

import pytest

from moorage.discovery.cache import NamedPlace
from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import DeadlineExceeded, LaunchError, UsageError
from moorage.kernel import starting
from moorage.kernel.launch import launch
from moorage.kernel.starting import Reached, asked_place, place_of
from moorage.places.here import Here
from moorage.process.options import ProcessOptions
from moorage.rendezvous.files import read_connection_file
from moorage.rendezvous.own_network import OwnNetworkRendezvous
from moorage.wire.connection import Endpoint

NOTHING = {"warden": None, "fork": "auto", "isolate": "none", "process": None}
SPEC = KernelSpec("ir", ("R", "{connection_file}"), "R", "r", provider="box")
BOX = NamedPlace("the box")


def runs_on(own, asked):
    return place_of(replace(SPEC, place=own), asked)


def test_without_a_place_it_is_this_machine():
    assert asked_place(None, **NOTHING) == Here()
    assert asked_place(None, **NOTHING | {"fork": True, "isolate": "net"}) == Here(fork=True, isolate="net")


def test_a_place_stands_by_itself():
    place = Here(fork=False)
    assert asked_place(place, **NOTHING) is place
    with pytest.raises(UsageError):
        asked_place(place, **NOTHING | {"isolate": "net"})


def test_a_kernel_type_runs_where_it_says_unless_the_launch_asks_for_what_is_not_there():
    assert runs_on(BOX, Here()) is BOX
    assert runs_on(BOX, Here(fork=True)) is BOX
    assert runs_on(BOX, NamedPlace("the box")) == BOX
    assert runs_on(None, BOX) is BOX
    for asked in (Here(isolate="net"), Here(process=ProcessOptions(umask=0)), NamedPlace("another box")):
        with pytest.raises(UsageError, match="box/ir runs on the box, and the launch asks for"):
            runs_on(BOX, asked)
    with pytest.raises(UsageError, match="runs on this machine, and the launch asks for the box"):
        runs_on(Here(fork=False), BOX)


def test_what_a_kernel_type_says_of_this_machine_and_what_the_launch_says_go_together():
    assert runs_on(Here(wrap=id, fork=False), Here(isolate="net", fork=True)) == Here(True, "net", wrap=id)
    assert runs_on(Here(isolate="net"), Here()) == Here(isolate="net")
    with pytest.raises(UsageError, match="different things of this machine: wrap"):
        runs_on(Here(wrap=id), Here(wrap=repr))


@pytest.mark.anyio
async def test_the_deadline_covers_the_search_for_the_kernel_type(monkeypatch):
    async def never(name):
        await asyncio.Event().wait()

    monkeypatch.setattr(starting, "resolve", never)
    with pytest.raises(DeadlineExceeded, match=r"what the kernel type far/away is within 0\.05 s"):
        async with launch("far/away", timeout=0.05):
            pass


class Beyond:
    """A workspace whose ports are found at Unix sockets; or where they are."""

    def __init__(self, directory, *, translates=True):
        self.directory = directory
        self._translates = translates

    async def reach(self, endpoint):
        return Endpoint("ipc", str(self.directory / "k"), endpoint.port) if self._translates else endpoint


@pytest.mark.anyio
async def test_what_is_where_it_says_needs_no_second_file(tmp_path):
    inner = OwnNetworkRendezvous(tmp_path, b"key")
    reached = Reached(inner, Beyond(tmp_path, translates=False))
    assert await reached.addresses() is not None
    assert reached.connection_file == inner.connection_file
    reached.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.anyio
async def test_other_programs_get_a_file_of_the_addresses_here(tmp_path):
    inner = OwnNetworkRendezvous(tmp_path, b"key")
    reached = Reached(inner, Beyond(tmp_path))
    reached.renew()
    info = await reached.addresses()
    reached.answered()
    assert (info.transport, info.ip, info.shell_port) == ("ipc", f"{tmp_path}/k", inner.ports[0])
    assert reached.way == "ipc"
    assert read_connection_file(reached.connection_file) == info
    assert stat.S_IMODE(reached.connection_file.stat().st_mode) == 0o600
    assert read_connection_file(inner.connection_file) == await inner.addresses()
    reached.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.anyio
async def test_a_file_that_cannot_be_written_is_told(tmp_path):
    reached = Reached(OwnNetworkRendezvous(tmp_path, b"key"), Beyond(tmp_path))
    shutil.rmtree(tmp_path)
    with pytest.raises(LaunchError, match=r"outside\.json cannot be written"):
        await reached.addresses()
