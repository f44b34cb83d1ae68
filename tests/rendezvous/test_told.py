"""What ipc, hold and a network of the kernel's own have in common; each has tests of what is its own."""

from __future__ import annotations

import shutil
import stat

import pytest

from moorage.errors import LaunchError
from moorage.rendezvous.files import read_connection_file
from moorage.rendezvous.told import ToldRendezvous
from moorage.wire.connection import SOCKETS

pytestmark = pytest.mark.anyio


@pytest.fixture
def told(directory):
    return ToldRendezvous(
        directory, b"secret", "ir", transport="tcp", ip="127.0.0.9", ports=(11, 12, 13, 14, 15)
    )


async def test_five_ports_are_those_of_the_sockets_in_their_order(told):
    info = await told.addresses()
    assert [info.endpoint(name).port for name in SOCKETS] == [11, 12, 13, 14, 15]
    assert (info.transport, info.ip, info.key, info.kernel_name) == ("tcp", "127.0.0.9", b"secret", "ir")
    assert read_connection_file(told.connection_file) == info
    assert stat.S_IMODE(told.connection_file.stat().st_mode) == 0o600


def test_four_ports_are_no_kernels(directory):
    with pytest.raises(ValueError, match="shorter"):
        ToldRendezvous(directory, b"", "", transport="ipc", ip="k", ports=(1, 2, 3, 4))
    assert list(directory.iterdir()) == []


async def test_the_file_is_written_again_where_it_went_with_its_directory(told, directory):
    shutil.rmtree(directory)
    told.renew()
    told.answered()
    assert read_connection_file(told.connection_file) == await told.addresses()
    shutil.rmtree(directory)
    directory.touch()
    with pytest.raises(LaunchError, match="the directory was removed meanwhile"):
        told.renew()
    directory.unlink()
    directory.mkdir()


def test_what_is_there_already_is_not_touched(told):
    told.connection_file.write_text("as it is")
    told.renew()
    assert told.connection_file.read_text() == "as it is"


def test_closing_removes_the_file_and_may_be_done_twice(told, directory):
    told.close()
    told.close()
    assert list(directory.iterdir()) == []
