"""Ports inside a network namespace."""

from __future__ import annotations

import stat

import pytest

from moorage.rendezvous.files import read_connection_file
from moorage.rendezvous.own_network import FIRST_PORT, OwnNetworkRendezvous

pytestmark = pytest.mark.anyio


async def test_the_ports_are_five_that_the_system_does_not_hand_out(directory):
    inside = OwnNetworkRendezvous(directory, b"secret", "ir")
    info = await inside.addresses()
    assert (info.transport, info.ip, info.key, info.kernel_name) == ("tcp", "127.0.0.1", b"secret", "ir")
    assert inside.ports == tuple(range(FIRST_PORT, FIRST_PORT + 5))
    assert read_connection_file(inside.connection_file) == info
    assert stat.S_IMODE(inside.connection_file.stat().st_mode) == 0o600
    inside.close()
    assert list(directory.iterdir()) == []
