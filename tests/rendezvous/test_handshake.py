"""A kernel that binds what it likes and reports it, started over and over."""

from __future__ import annotations

import asyncio
import json
import stat
from contextlib import closing

import pytest

from moorage import kernelside
from moorage.errors import DeadlineExceeded, LaunchError, ProtocolError
from moorage.rendezvous.files import read_connection_file, write_connection_file
from moorage.rendezvous.handshake import HandshakeRendezvous
from moorage.rendezvous.registration import shared_registrar
from moorage.wire.connection import PORTS
from moorage.wire.registration import Terms

pytestmark = pytest.mark.anyio

NUMBERS = dict(zip(PORTS, range(5001, 5006), strict=True))
MOVED = dict(zip(PORTS, range(6001, 6006), strict=True))


def content(meeting):
    return json.loads(meeting.connection_file.read_bytes())


async def register(path, numbers=NUMBERS):
    return await asyncio.to_thread(kernelside.register, path, numbers)


@pytest.fixture(params=["docs", "posit"])
async def meeting(request, directory):
    meeting = HandshakeRendezvous(directory, b"secret", "some", dialect=request.param)
    yield meeting
    meeting.close()


async def test_the_file_is_private_and_asks_for_registration(meeting):
    assert stat.S_IMODE(meeting.connection_file.stat().st_mode) == 0o600
    assert not set(content(meeting)) & set(PORTS)
    assert content(meeting)["kernel_name"] == "some"
    Terms.from_dict(content(meeting))


async def test_a_kernel_may_listen_at_another_address_than_it_registers_at(directory):
    there = HandshakeRendezvous(directory, b"secret", ip="127.0.0.2", registration_ip="127.0.0.1")
    with closing(there):
        terms = Terms.from_dict(content(there))
        assert (terms.ip, terms.registration_ip) == ("127.0.0.2", "127.0.0.1")
        await register(there.connection_file)
        assert (await there.addresses()).ip == "127.0.0.2"
    with pytest.raises(LaunchError, match="has one address"):
        HandshakeRendezvous(
            directory, b"secret", dialect="posit", ip="127.0.0.2", registration_ip="127.0.0.1"
        )
    assert list(directory.iterdir()) == []


async def test_the_kernel_registers_and_others_can_attach(meeting):
    async with asyncio.TaskGroup() as group, asyncio.timeout(20):
        waiting = group.create_task(meeting.addresses())
        group.create_task(register(meeting.connection_file))
    info = waiting.result()
    assert {name: getattr(info, name) for name in PORTS} == NUMBERS
    assert read_connection_file(meeting.connection_file) == info
    assert stat.S_IMODE(meeting.connection_file.stat().st_mode) == 0o600
    assert meeting.way == "handshake"
    assert await meeting.addresses() is info


async def test_it_registered_before_it_was_awaited(meeting):
    await register(meeting.connection_file)
    async with asyncio.timeout(20):
        assert (await meeting.addresses()).hb_port == 5005


async def test_it_registers_anew_after_a_restart_and_what_it_said_before_counts_no_more(meeting):
    meeting.renew()  # the first start: nothing to be done
    first = content(meeting)
    await register(meeting.connection_file)
    async with asyncio.timeout(20):
        await meeting.addresses()
        meeting.renew()
        assert not set(content(meeting)) & set(PORTS)
        old = meeting.connection_file.with_name("old.json")
        write_connection_file(old, first)
        if "kernel_id" in first:
            with pytest.raises(DeadlineExceeded):
                await asyncio.to_thread(kernelside.register, old, NUMBERS, timeout=0.3)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await meeting.addresses()
        await register(meeting.connection_file, MOVED)
        assert (await meeting.addresses()).shell_port == 6001


async def test_one_that_writes_its_ports_into_the_file_instead(directory):
    """As ipykernel does with every file that has none."""
    meeting = HandshakeRendezvous(directory, b"secret")
    async with asyncio.TaskGroup() as group, asyncio.timeout(20):
        waiting = group.create_task(meeting.addresses())
        await asyncio.sleep(0.02)
        write_connection_file(meeting.connection_file, content(meeting) | NUMBERS)
    assert waiting.result().shell_port == 5001
    assert meeting.way == "self-bind"
    meeting.renew()
    meeting.renew()
    assert (await meeting.addresses()).shell_port == 5001, "the next process binds what stands in the file"
    meeting.close()


async def test_cancelling_the_wait_is_safe_and_closing_twice_too(meeting, directory):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await meeting.addresses()
    await register(meeting.connection_file)
    async with asyncio.timeout(20):
        await meeting.addresses()
    meeting.close()
    meeting.close()
    assert list(directory.iterdir()) == []


async def test_it_needs_a_key_and_leaves_nothing_where_it_cannot_begin(directory):
    with pytest.raises(ProtocolError):
        HandshakeRendezvous(directory, b"")
    with pytest.raises(OSError):
        HandshakeRendezvous(directory / "missing", b"secret")
    assert list(directory.iterdir()) == []
    with shared_registrar() as registrar:
        assert not registrar._awaited


async def test_one_whose_file_cannot_be_written_is_there_all_the_same(directory, caplog):
    meeting = HandshakeRendezvous(directory, b"secret", "some")
    copy = directory / "copy.json"
    write_connection_file(copy, content(meeting))
    meeting.connection_file.unlink()
    meeting.connection_file.mkdir()
    (meeting.connection_file / "in the way").touch()
    try:
        async with asyncio.TaskGroup() as group, asyncio.timeout(20):
            meeting.connection_file.with_name("x").touch()
            group.create_task(register(copy))
            while meeting._info is None:
                await asyncio.sleep(0.01)
        assert "cannot attach" in caplog.text
        assert (await meeting.addresses()).shell_port == 5001
    finally:
        (meeting.connection_file / "in the way").unlink()
        meeting.connection_file.rmdir()
        meeting.close()
