"""Sockets: nothing lost, nothing blocked, nothing left open."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections import deque
from contextlib import suppress
from pathlib import Path

import pytest
import zmq
import zmq.asyncio

from moorage.errors import MoorageError, ProtocolError
from moorage.kernel.zmq_closing import SocketEnd
from moorage.kernel.zmq_transport import ZmqTransport
from moorage.rendezvous.hold import HoldRendezvous
from moorage.rendezvous.ipc import IpcRendezvous

pytestmark = pytest.mark.anyio


@pytest.fixture
def info():
    with tempfile.TemporaryDirectory(prefix="k") as name:
        yield IpcRendezvous(Path(name), b"key")._info


@pytest.fixture
def publisher(info):
    with zmq.asyncio.Context() as context, context.socket(zmq.XPUB) as socket:
        socket.linger = 0
        socket.set_hwm(0)
        socket.bind(info.url("iopub"))
        yield socket


@pytest.fixture
def router(info):
    with zmq.asyncio.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.linger = 0
        socket.set_hwm(0)
        socket.bind(info.url("shell"))
        yield socket


async def until(true):
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.005)


def transport_of(info, identity, receive):
    transport = ZmqTransport(info, identity)
    transport.on_frames(receive)
    return transport


def used():
    return len(list(Path("/proc/self/fd").iterdir()))


async def settled(info):
    """Return how many descriptors are open once old ones are closed."""
    async with transport_of(info, b"me", lambda *_: None):  # ZeroMQ's own threads keep theirs
        pass
    counts = deque([-1], maxlen=10)

    def same():
        counts.append(used())  # libzmq's own thread closes what is no longer needed, a little later
        return len(counts) == counts.maxlen and len(set(counts)) == 1

    await until(same)
    return used()


async def test_a_burst_larger_than_a_batch_arrives_whole_and_in_order(info, publisher):
    got = []
    async with transport_of(info, b"me", lambda _, frames: got.append(int(frames[0]))):
        await publisher.recv()  # the subscription
        for number in range(2000):
            await publisher.send(b"%d" % number)
        await until(lambda: len(got) == 2000)
    assert got == list(range(2000))


async def test_a_receiver_that_raises_costs_no_later_message(info, publisher):
    got, told = [], []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))

    def receive(_, frames):
        got.append(frames[0])
        if frames[0] == b"bad":
            raise RuntimeError("receiver")

    async with transport_of(info, b"me", receive):
        await publisher.recv()
        for word in (b"a", b"bad", b"c", b"bad", b"e"):
            await publisher.send(word)
        await until(lambda: len(got) == 5)
    assert len(told) == 2


async def test_a_receiver_may_close_the_transport(info, publisher):
    got, closing = [], []

    def receive(*_):
        got.append(1)
        closing.append(transport.__aexit__(None, None, None))
        with pytest.raises(StopIteration):
            closing[0].send(None)

    transport = transport_of(info, b"me", receive)
    await transport.__aenter__()
    await publisher.recv()
    await publisher.send(b"x")
    await publisher.send(b"y")
    await until(lambda: got)
    assert got == [1]


async def test_replies_between_sends_are_not_stuck_behind_the_edge(info, router):
    """Every send and every receive may swallow the wake-up of what arrived meanwhile."""
    got = []

    async with transport_of(info, b"me", lambda _, frames: got.append(frames[0])) as transport:

        async def echo():
            for _ in range(500):
                await router.send_multipart(await router.recv_multipart())

        async with asyncio.TaskGroup() as group, asyncio.timeout(20):
            group.create_task(echo())
            for number in range(500):
                transport.send("shell", [b"%d" % number])
                if number % 7 == 0:
                    await asyncio.sleep(0)
        await until(lambda: len(got) == 500)
    assert [int(each) for each in got] == list(range(500))


async def test_sending_to_nobody_never_blocks(info):
    async with transport_of(info, b"me", lambda *_: None) as transport:
        async with asyncio.timeout(5):
            for _ in range(10_000):
                transport.send("shell", [b"x" * 100])


async def test_sending_to_what_is_no_kernel_never_blocks(tmp_path):
    """A socket of another kind hangs up on us, and a blocking send would wait for ever for another."""
    meeting = HoldRendezvous(tmp_path, b"key")
    info = await meeting.addresses()
    with zmq.asyncio.Context() as context, context.socket(zmq.PUB) as foreign:
        foreign.linger = 0
        foreign.bind(info.url("shell"))
        async with transport_of(info, b"me", lambda *_: None) as transport, asyncio.timeout(10):
            # Who of the two hangs up first decides whether libzmq connects again or gives up.
            with suppress(ProtocolError):
                for _ in range(100):
                    transport.send("shell", [b"x"])
                    await asyncio.sleep(0.002)
    meeting.close()


async def test_a_listener_that_is_not_even_zeromq_never_blocks(tmp_path):
    meeting = HoldRendezvous(tmp_path, b"key")
    info = await meeting.addresses()
    with socket.socket() as foreign:
        foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        foreign.bind(("127.0.0.1", info.shell_port))
        foreign.listen()
        async with transport_of(info, b"me", lambda *_: None) as transport, asyncio.timeout(5):
            for _ in range(100):
                transport.send("shell", [b"x"])
    meeting.close()


async def test_what_was_said_before_hanging_up_is_heard(info):
    got = []
    with zmq.asyncio.Context() as context:
        publisher = context.socket(zmq.XPUB)
        publisher.bind(info.url("iopub"))
        async with transport_of(info, b"me", lambda _, frames: got.append(frames[0])) as transport:
            await publisher.recv()
            for number in range(1000):
                await publisher.send(b"%d" % number)
            publisher.close(linger=1000)
            await transport.receive_rest(5)
            await until(lambda: len(got) == 1000)


async def test_hearing_out_ends_although_the_line_stays_open(info, publisher):
    async with transport_of(info, b"me", lambda *_: None) as transport, asyncio.timeout(5):
        await publisher.recv()
        await transport.receive_rest(0.05)


async def test_more_sockets_than_libzmq_allows_by_itself(info):
    async with transport_of(info, b"me", lambda *_: None):
        assert zmq.Context.instance().get(zmq.MAX_SOCKETS) > 1023


async def test_no_descriptor_is_left(info, router, publisher):
    async with transport_of(info, b"me", lambda *_: None):
        pass
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(5):
        async with transport_of(info, b"me%d" % number, lambda *_: None) as transport:
            transport.send("shell", [b"x"])
            await router.recv_multipart()
    # libzmq's own thread closes them.
    await until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before)


async def test_without_descriptors_it_is_an_error_and_leaves_none_open(info):
    resource = pytest.importorskip("resource")

    before = await settled(info)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + 50, limits[1]))
    filling = []
    try:
        with suppress(OSError):
            while True:
                filling.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(3):
            os.close(filling.pop())
            with pytest.raises(MoorageError, match="no more connections"):
                async with transport_of(info, b"me", lambda *_: None):
                    pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in filling:
            os.close(descriptor)
    await until(lambda: used() <= before)


FEW = """
import asyncio, os, resource
from moorage.errors import MoorageError
from moorage.kernel.zmq_transport import ZmqTransport
from moorage.wire.connection import ConnectionInfo

async def main(free):
    os.close(lowest := os.dup(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + free, limits[1]))
    try:
        async with ZmqTransport(ConnectionInfo("tcp", "127.0.0.1", 1, 1, 1, 1, 1, b"k"), b"me"):
            print(free, "opened")
    except MoorageError as error:
        print(free, error.what)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

limits = resource.getrlimit(resource.RLIMIT_NOFILE)
for free in range(14):
    asyncio.run(main(free))
"""


async def test_libzmq_does_not_end_a_process_that_has_too_few():
    pytest.importorskip("resource")
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", FEW, stdout=subprocess.PIPE)
    told = (await process.communicate())[0].decode().splitlines()
    assert process.returncode == 0
    assert told == [f"{free} no more connections to kernels can be opened" for free in range(14)]


async def test_the_line_tells_when_the_peer_goes_and_when_one_is_there_again(info):
    told = []
    with zmq.asyncio.Context() as context:
        async with transport_of(info, b"me", lambda *_: None) as transport:
            transport.on_line(told.append)
            for _ in range(2):
                socket = context.socket(zmq.XPUB)
                socket.linger = 0
                socket.bind(info.url("iopub"))
                await until(lambda: told[-1:] == [True])
                async with asyncio.timeout(10):
                    await transport.receive_rest(0.05)  # nobody has hung up: it waits its time
                socket.close()
                await until(lambda: told[-1:] == [False])
                async with asyncio.timeout(10):
                    await transport.receive_rest(60)
    assert told == [True, False, True, False]


async def test_what_is_dropped_unsent_reaches_no_later_listener(info):
    """A kernel that is started again would else run what the one before it was asked."""
    async with transport_of(info, b"me", lambda *_: None) as transport:
        transport.send("shell", [b"old"])
        await transport.drop_unsent()
        transport.send("shell", [b"new"])
        with zmq.asyncio.Context() as context, context.socket(zmq.ROUTER) as kernel:
            kernel.linger = 0
            kernel.bind(info.url("shell"))
            async with asyncio.timeout(10):
                assert (await kernel.recv_multipart())[1:] == [b"new"]
    await transport.drop_unsent()  # closed already: nothing happens


async def test_dropping_waits_for_the_thread_of_libzmq_that_may_still_connect(info, monkeypatch):
    ended, come = [], SocketEnd.come

    async def noted(end):
        await come(end)
        ended.append(end._come.done())

    monkeypatch.setattr(SocketEnd, "come", noted)
    async with transport_of(info, b"me", lambda *_: None) as transport:
        transport.send("control", [b"old"])
        async with asyncio.timeout(10):
            await transport.drop_unsent()
    assert ended == [True] * 3


async def test_dropping_that_is_cancelled_at_any_moment_stops_no_thread_of_libzmq(info):
    """One that has an event for a monitor without a reader waits, and ends no socket of the process."""
    async with transport_of(info, b"me", lambda *_: None) as transport:
        for number in range(200):
            dropping = asyncio.create_task(transport.drop_unsent())
            for _ in range(number % 5):
                await asyncio.sleep(0)
            dropping.cancel()
            await asyncio.wait([dropping])
        async with asyncio.timeout(60):
            await transport.drop_unsent()
    await until(lambda: not SocketEnd._unread)


async def test_dropping_can_be_cancelled_and_done_again(info, monkeypatch):
    async def never(end):
        await asyncio.Event().wait()

    before = await settled(info)
    async with transport_of(info, b"me", lambda *_: None) as transport:
        with monkeypatch.context() as patched:
            patched.setattr(SocketEnd, "come", never)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(transport.drop_unsent(), 0.01)
        async with asyncio.timeout(10):
            await transport.drop_unsent()
    await until(lambda: used() <= before)


async def test_a_kernel_that_overlooked_a_message_is_woken(info):
    """It looked at its socket between two reads, as xeus-python does: its descriptor tells nothing more."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as kernel:
        kernel.linger = 0
        kernel.bind(info.url("shell"))
        async with transport_of(info, b"me", lambda *_: None) as transport:
            for word in (b"a", b"b"):
                transport.send("shell", [word])
            await until(lambda: kernel.get(zmq.EVENTS) & zmq.POLLIN)
            assert kernel.recv_multipart()[1:] == [b"a"]
            await until(lambda: kernel.get(zmq.EVENTS) & zmq.POLLIN and not readable(kernel))
            for _ in range(3):  # what it keeps of the last time is let go of
                transport.wake()
                await until(lambda: readable(kernel))
                await until(lambda: kernel.get(zmq.EVENTS) & zmq.POLLIN and not readable(kernel))
            assert kernel.recv_multipart()[1:] == [b"b"]
        await until(lambda: not kernel.get(zmq.EVENTS) & zmq.POLLIN)
    transport.wake()  # closed already: nothing happens


def readable(kernel):
    return bool(select.select([kernel.FD], [], [], 0)[0])
