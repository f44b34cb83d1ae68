"""A client over a transport that is not ZeroMQ: a pipe to another process, which reaches a real kernel."""

from __future__ import annotations

import asyncio
import secrets
import struct
import sys

import pytest

from moorage.kernel.client import Client
from moorage.kernel.launch import launch
from moorage.kernel.quirks import published
from moorage.rendezvous.files import read_connection_file
from moorage.wire.codec import Signer
from moorage.wire.session import Session

pytestmark = pytest.mark.anyio

RELAY = """
import json, struct, sys, threading, zmq
info = json.load(open(sys.argv[1]))
context, poller, channels = zmq.Context(), zmq.Poller(), {}
for channel, kind in dict(shell=zmq.DEALER, control=zmq.DEALER, stdin=zmq.DEALER, iopub=zmq.SUB).items():
    socket = context.socket(kind)
    socket.linger = 0
    if kind == zmq.SUB:
        socket.subscribe(b"")
    else:
        socket.routing_id = b"relay"
    between = "-" if info["transport"] == "ipc" else ":"
    socket.connect(f"{info['transport']}://{info['ip']}{between}{info[channel + '_port']}")
    poller.register(socket, zmq.POLLIN)
    channels[channel] = socket
errands = context.socket(zmq.PULL)
errands.bind("inproc://errands")
poller.register(errands, zmq.POLLIN)

def read():
    push = context.socket(zmq.PUSH)
    push.connect("inproc://errands")
    while head := sys.stdin.buffer.read(4):
        push.send_multipart([sys.stdin.buffer.read(struct.unpack("!I", sys.stdin.buffer.read(4))[0])
                             for _ in range(struct.unpack("!I", head)[0])])
    push.send_multipart([b""])

threading.Thread(target=read, daemon=True).start()
names = {socket: name.encode() for name, socket in channels.items()}
while True:
    for socket, _ in poller.poll():
        frames = socket.recv_multipart()
        if socket is errands:
            if frames == [b""]:
                raise SystemExit
            channels[frames[0].decode()].send_multipart(frames[1:])
        else:
            out = [names[socket], *frames]
            data = b"".join(struct.pack("!I", len(frame)) + frame for frame in out)
            sys.stdout.buffer.write(struct.pack("!I", len(out)) + data)
            sys.stdout.buffer.flush()
"""


class PipeTransport:
    """Messages as frames with their lengths, over the pipes of a process that has the kernel's sockets."""

    def __init__(self, connection_file):
        self._command = (sys.executable, "-c", RELAY, str(connection_file))
        self._receivers = []

    def on_frames(self, receive):
        self._receivers.append(receive)

    def on_line(self, receive):
        pass

    async def __aenter__(self):
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=pipe)
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._reading = self._group.create_task(self._read())
        return self

    async def __aexit__(self, *exception):
        self._process.stdin.close()
        await self._group.__aexit__(None, None, None)
        await self._process.wait()

    async def _read(self):
        async def number():
            return struct.unpack("!I", await self._process.stdout.readexactly(4))[0]

        while True:
            try:
                count = await number()
            except asyncio.IncompleteReadError:
                return
            frames = [await self._process.stdout.readexactly(await number()) for _ in range(count)]
            for receive in self._receivers:
                receive(frames[0].decode(), frames[1:])

    def send(self, channel, frames):
        out = [channel.encode(), *map(bytes, frames)]
        data = b"".join(struct.pack("!I", len(frame)) + frame for frame in out)
        self._process.stdin.write(struct.pack("!I", len(out)) + data)

    async def drop_unsent(self):
        await self._process.stdin.drain()

    def wake(self):
        pass

    async def receive_rest(self, seconds):
        pass


@pytest.fixture
async def piped(anyio_backend):
    async with launch("python3") as kernel:
        info = read_connection_file(kernel.connection_file)
        session = Session(Signer(info.key), "relay", lambda: secrets.token_hex(8))
        async with Client(PipeTransport(kernel.connection_file), session) as client, asyncio.timeout(60):
            client.published = published(kernel.spec, kernel.info)
            assert (await client.ready())["language_info"]["name"] == "python"
            yield client


async def test_code_runs_and_its_output_comes_through_a_pipe(piped):
    result = await piped.execute("print('through'); 6 * 7")
    assert result.text == "through\n42\n"
    assert (await piped.execute("1 / 0")).error.ename == "ZeroDivisionError"


async def test_questions_and_control_go_through_it_too(piped):
    from moorage.wire import messages

    result = await piped.execute("print(input('name? '))", stdin=lambda prompt, _: prompt.upper())
    assert result.text == "NAME? \n"
    reply = await piped.request("control", messages.kernel_info_request()).reply
    assert reply.msg_type == "kernel_info_reply"


async def test_a_burst_goes_through_it_whole(piped):
    result = await piped.execute("for n in range(3000): print(n, flush=True)")
    assert result.text == "".join(f"{n}\n" for n in range(3000))
