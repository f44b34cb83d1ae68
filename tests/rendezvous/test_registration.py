"""One ROUTER for every kernel of the loop, whatever else is sent to it."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import zmq
import zmq.asyncio

from moorage.errors import LaunchError, ProtocolError
from moorage.rendezvous.registration import MOST_PEERS, Registrar, shared_registrar
from moorage.wire import zmtp
from moorage.wire.connection import PORTS
from moorage.wire.handshake import Agreed, Handshake, PortsBound, Received, parse
from moorage.wire.registration import Terms

pytestmark = pytest.mark.anyio

NUMBERS = dict(zip(PORTS, range(5001, 5006), strict=True))
NOW = 1_790_000_000.0


@pytest.fixture
def context():
    with zmq.asyncio.Context() as context:
        yield context


@pytest.fixture
async def registrar():
    with shared_registrar() as registrar:
        yield registrar


def terms_of(registrar, name, dialect="docs"):
    return Terms(dialect, "127.0.0.1", registrar.port, f"key of {name}".encode(), name)


async def register(context, terms):
    """Speak for a kernel; returns what its machine concludes."""
    kernel = Handshake("kernel", terms, terms.addresses(NUMBERS))
    with context.socket(zmq.DEALER if terms.dialect == "docs" else zmq.REQ) as kernels:
        kernels.linger = 0
        kernels.connect(terms.url)
        (send,) = kernel.handle(PortsBound("q"), NOW)
        await kernels.send_multipart(send.frames)
        return kernel.handle(Received(parse(await kernels.recv_multipart())), NOW)


async def test_kernels_of_both_dialects_at_once(registrar, context):
    heard = {}
    async with asyncio.TaskGroup() as group, asyncio.timeout(20):
        for number in range(40):
            terms = terms_of(registrar, f"k{number}", ("docs", "posit")[number % 2])
            registrar.expect(terms, lambda info, number=number: heard.setdefault(number, info))
            group.create_task(register(context, terms))
    assert len(heard) == 40
    assert {info.key.decode() for info in heard.values()} == {f"key of k{n}" for n in range(40)}


async def test_it_is_one_for_the_loop_and_closed_by_the_last():
    with shared_registrar() as first:
        with shared_registrar() as second:
            assert second is first
        assert first.port
    with shared_registrar() as later:
        assert later is not first
    first.close()  # once more: nothing happens


async def test_what_is_no_registration_is_counted_and_disturbs_no_other(registrar, context):
    terms = terms_of(registrar, "good")
    heard = asyncio.get_running_loop().create_future()
    registrar.expect(terms, heard.set_result)
    with context.socket(zmq.DEALER) as stranger:
        stranger.linger = 0
        stranger.setsockopt(zmq.RECONNECT_IVL, 1)
        stranger.connect(terms.url)
        async with asyncio.timeout(20):
            while registrar.refused["malformed"] < 10:  # each costs it the line, and what was on it
                await stranger.send_multipart([os.urandom(100)] * 3)
                await asyncio.sleep(0.001)
            (agreed,) = await register(context, terms)
            assert isinstance(agreed, Agreed)
            assert (await heard).shell_port == 5001


async def test_a_peer_that_sends_too_much_at_once_is_hung_up_on(registrar, context):
    terms = terms_of(registrar, "good")
    registrar.expect(terms, lambda _: None)
    with context.socket(zmq.DEALER) as stranger:
        stranger.linger = 0
        stranger.setsockopt(zmq.RECONNECT_IVL, -1)
        monitor = stranger.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        stranger.connect(terms.url)
        await stranger.send_multipart([b"x" * 1_000_000])
        async with asyncio.timeout(20):
            await monitor.recv_multipart()
            await register(context, terms)
        stranger.disable_monitor()
        monitor.close()
    assert registrar.refused["malformed"] == 1


async def hung_up(reader):
    async with asyncio.timeout(20):
        with suppress(ConnectionError):
            while await reader.read(1000):
                pass


@pytest.mark.parametrize(
    "says",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        zmtp.greeting() + zmtp.ready(b"DEALER") + b"\x01\xff" + bytes(255) * 200,
        zmtp.greeting() + zmtp.ready(b"DEALER") + (b"\x01\x01x" * 20_000),
        zmtp.greeting() + zmtp.ready(b"DEALER") + zmtp.message([b"no", b"registration"]),
    ],
    ids=["no ZMTP", "endless", "endless frames", "no registration"],
)
async def test_a_peer_that_sends_no_registration_is_hung_up_on(registrar, context, says):
    reader, writer = await asyncio.open_connection("127.0.0.1", registrar.port)
    try:
        writer.write(says)
        await hung_up(reader)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    assert registrar.refused["malformed"] == 1
    assert not registrar._peers


async def test_a_peer_that_sends_more_once_acknowledged_is_hung_up_on(registrar):
    terms = terms_of(registrar, "good")
    registrar.expect(terms, lambda _: None)
    (send,) = Handshake("kernel", terms, terms.addresses(NUMBERS)).handle(PortsBound("q"), NOW)
    reader, writer = await asyncio.open_connection("127.0.0.1", registrar.port)
    try:
        async with asyncio.timeout(20):
            said = await reader.readexactly(len(zmtp.greeting() + zmtp.ready()))
            assert said.startswith(zmtp.greeting())
            writer.write(zmtp.greeting() + zmtp.ready(b"DEALER") + zmtp.message(send.frames))
            assert await reader.read(1)
        writer.write(b"more")
        await hung_up(reader)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_so_many_peers_and_no_more_and_the_first_is_read_once_more(registrar, context):
    terms = terms_of(registrar, "patient")
    heard = asyncio.get_running_loop().create_future()
    registrar.expect(terms, heard.set_result)
    (send,) = Handshake("kernel", terms, terms.addresses(NUMBERS)).handle(PortsBound("q"), NOW)
    with ExitStack() as stack:
        first = stack.enter_context(socket.create_connection(("127.0.0.1", registrar.port)))
        while not registrar._peers:
            await asyncio.sleep(0)
        first.sendall(zmtp.greeting() + zmtp.ready(b"DEALER") + zmtp.message(send.frames))
        for _ in range(MOST_PEERS):
            stack.enter_context(socket.create_connection(("127.0.0.1", registrar.port)))
        async with asyncio.timeout(20):
            await heard
            other = terms_of(registrar, "late")
            registrar.expect(other, lambda _: None)
            (agreed,) = await register(context, other)
        assert isinstance(agreed, Agreed)
        assert len(registrar._peers) <= MOST_PEERS


async def test_it_accepts_again_once_there_are_descriptors(registrar):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.create_connection(("127.0.0.1", registrar.port)) as line:
        used = len(list(Path("/proc/self/fd").iterdir()))
        highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
        filling = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, limits[1]))
            with suppress(OSError):
                while len(filling) < highest + 2 - used + 10:
                    filling.append(os.open(os.devnull, os.O_RDONLY))
            for _ in range(20):
                await asyncio.sleep(0)
            assert not registrar._peers
        finally:
            for descriptor in filling:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        line.setblocking(False)
        async with asyncio.timeout(20):
            said = await asyncio.get_running_loop().sock_recv(line, 10)
        assert said == zmtp.greeting()[:10]


async def test_a_receiver_that_raises_stops_no_other(registrar, context, caplog):
    loop = asyncio.get_running_loop()
    raised = []
    loop.set_exception_handler(lambda _, told: raised.append(told["exception"]))

    def broken(_):
        raise OSError("no space")

    first, second = terms_of(registrar, "first"), terms_of(registrar, "second")
    registrar.expect(first, broken)
    registrar.expect(second, lambda _: None)
    async with asyncio.timeout(20):
        await register(context, first)
        (agreed,) = await register(context, second)
    assert isinstance(agreed, Agreed)
    assert [str(error) for error in raised] == ["no space"]


async def test_a_forgotten_kernel_is_unknown(registrar, context):
    terms = terms_of(registrar, "gone")
    registrar.expect(terms, lambda _: None)
    with pytest.raises(ProtocolError):
        registrar.expect(terms, lambda _: None)
    assert registrar.forget("gone")
    assert not registrar.forget("gone")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await register(context, terms)
    assert registrar.refused["unknown kernel"] == 1


async def test_a_peer_that_hangs_up_before_the_answer_is_no_trouble(registrar):
    terms = terms_of(registrar, "hasty")
    heard = asyncio.get_running_loop().create_future()
    registrar.expect(terms, heard.set_result)
    kernel = Handshake("kernel", terms, terms.addresses(NUMBERS))
    (send,) = kernel.handle(PortsBound("q"), NOW)

    def say_and_go():
        with zmq.Context() as context, context.socket(zmq.DEALER) as hasty:
            hasty.connect(terms.url)
            hasty.send_multipart(send.frames)

    async with asyncio.timeout(20):
        await asyncio.to_thread(say_and_go)
        await heard


async def test_nothing_stays_open(context):
    def used():
        return len(list(Path("/proc/self/fd").iterdir()))

    async def once():
        with shared_registrar() as registrar:
            terms = terms_of(registrar, "some")
            registrar.expect(terms, lambda _: None)
            await register(context, terms)

    await once()  # ZeroMQ's own threads keep theirs
    before = used()
    for _ in range(20):
        await once()
    async with asyncio.timeout(20):
        while used() > before + 3:  # libzmq's own thread closes them
            await asyncio.sleep(0.01)


async def test_without_descriptors_it_is_a_sentence():
    resource = pytest.importorskip("resource")
    with shared_registrar():
        pass
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    filling = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 20, limits[1]))
        with suppress(OSError):
            while True:
                filling.append(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(LaunchError, match="no port at which"):
            Registrar()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in filling:
            os.close(descriptor)
    gc.collect()
    with shared_registrar() as registrar, socket.create_connection(("127.0.0.1", registrar.port)):
        pass


async def test_the_answer_goes_out_even_if_the_loop_is_busy_right_after(registrar, context):
    """Acknowledged at once: xeus aborts five seconds after it has asked."""
    terms = terms_of(registrar, "k")
    registrar.expect(terms, lambda _: None)
    kernel = Handshake("kernel", terms, terms.addresses(NUMBERS))
    (send,) = kernel.handle(PortsBound("q"), NOW)
    assert json.loads(send.frames[-1])["kernel_id"] == "k"
    assert [type(command) for command in await register(context, terms)] == [Agreed]
