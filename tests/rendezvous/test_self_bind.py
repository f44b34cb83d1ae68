"""Kernels that choose their ports."""

from __future__ import annotations

import asyncio
import gc
import json
import socket

import pytest

from moorage.rendezvous.hold import hold_port, port_of
from moorage.rendezvous.self_bind import SelfBindRendezvous
from moorage.wire.connection import PORTS

pytestmark = pytest.mark.anyio


async def test_four_ports_are_left_to_the_kernel_and_the_heartbeats_is_held(directory):
    """ipykernel's heartbeat lets its port go before it binds it: that one is given."""
    meeting = SelfBindRendezvous(directory, b"key")
    content = json.loads(meeting.connection_file.read_bytes())
    assert [content[name] for name in PORTS if name != "hb_port"] == [0, 0, 0, 0]
    for _ in range(5000):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            assert other.getsockname()[1] != content["hb_port"]
    with socket.socket() as heartbeat:
        heartbeat.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        heartbeat.bind(("127.0.0.1", content["hb_port"]))
        heartbeat.listen()
    meeting.close()


async def test_addresses_are_known_once_the_file_is_whole(directory):
    """As ipykernel writes it: unlink, create, write in two halves."""
    meeting = SelfBindRendezvous(directory, b"key")
    content = json.loads(meeting.connection_file.read_bytes())
    whole = json.dumps({**content, **dict(zip(PORTS, range(5001, 5006), strict=True))})
    async with asyncio.TaskGroup() as group, asyncio.timeout(10):
        waiting = group.create_task(meeting.addresses())
        for text in (None, "", whole[:40], whole):
            await asyncio.sleep(0.02)
            assert not waiting.done()
            if text is None:
                meeting.connection_file.unlink()
            else:
                meeting.connection_file.write_text(text)
    assert waiting.result().shell_port == 5001
    meeting.close()


async def test_addresses_written_before_they_are_awaited(directory):
    meeting = SelfBindRendezvous(directory, b"key")
    content = json.loads(meeting.connection_file.read_bytes())
    meeting.connection_file.write_text(json.dumps({**content, **dict.fromkeys(PORTS, 5000)}))
    async with asyncio.timeout(10):
        assert (await meeting.addresses()).hb_port == 5000
    meeting.close()


async def test_a_port_whose_listener_has_gone_can_be_held_at_once():
    with hold_port() as held:
        port = port_of(held)
    with socket.socket() as kernel:
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kernel.bind(("127.0.0.1", port))
        kernel.listen()


async def test_the_port_is_let_go_of_where_the_file_cannot_be_written(directory):
    with pytest.raises(FileNotFoundError):  # the port still open would be a ResourceWarning, an error here
        SelfBindRendezvous(directory / "missing", b"key")
    gc.collect()


def chosen(meeting):
    """Write ports into the file as a kernel does; returns them."""
    with socket.socket() as one, socket.socket() as two, socket.socket() as three, socket.socket() as four:
        sockets = (one, two, three, four)
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        ports = {name: each.getsockname()[1] for name, each in zip(CHOSEN, sockets, strict=True)}
    content = json.loads(meeting.connection_file.read_bytes())
    meeting.connection_file.write_text(json.dumps({**content, **ports}))
    return ports


CHOSEN = ("shell_port", "iopub_port", "stdin_port", "control_port")


async def test_what_a_kernel_chose_is_held_for_its_next_process(directory):
    meeting = SelfBindRendezvous(directory, b"key")
    meeting.renew()
    ports = chosen(meeting)
    before = await meeting.addresses()
    meeting.renew()  # it has ended, and is to be started again
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", ports["shell_port"]))
    with socket.socket() as kernel:
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kernel.bind(("127.0.0.1", ports["shell_port"]))
        kernel.listen()
        meeting.answered()
    assert await meeting.addresses() == before
    meeting.renew()
    meeting.close()


async def test_where_one_is_taken_meanwhile_the_next_process_chooses_anew(directory):
    meeting = SelfBindRendezvous(directory, b"key")
    meeting.renew()
    ports = chosen(meeting)
    await meeting.addresses()
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports["stdin_port"]))
        other.listen()
        meeting.renew()
        content = json.loads(meeting.connection_file.read_bytes())
        assert [content[name] for name in CHOSEN] == [0] * 4
        again = chosen(meeting)
        assert (await meeting.addresses()).shell_port == again["shell_port"]
    meeting.close()
