"""The two ends of :mod:`bench.proxy_speed`, each a process: a server of websockets, and their visitors.

``python -m bench.proxy_peer serve PORT`` switches every connection to websocket and answers frames of 64
bytes. ``python -m bench.proxy_peer talk PORT COUNT SECONDS`` opens so many websockets, sends a frame on each
and the next when an answer is there; prints JSON with round trips a second and the 99th percentile in
milliseconds. With 0 seconds it opens them, prints ``{}``, and keeps them until a line arrives.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import resource
import sys
import time

import uvloop

SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
UPGRADE = (
    b"GET /user/ann/api/kernels/x/channels HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
FRAME, REPLY = b"\x82\xc0mask" + bytes(64), b"\x82\x40" + bytes(64)


class Mirror(asyncio.Protocol):
    """Answers each frame of a visitor with one of the same length."""

    def connection_made(self, transport):
        self.transport, self.head, self.got = transport, b"", 0

    def data_received(self, data):
        if self.head is not None:
            self.head += data
            if b"\r\n\r\n" in self.head:
                key = re.search(rb"(?i)\r\nsec-websocket-key: *([^\r]*)", self.head)[1]
                self.head = None
                self.transport.write(SWITCH % base64.b64encode(hashlib.sha1(key + GUID).digest()))
        else:
            frames, self.got = divmod(self.got + len(data), len(FRAME))
            self.transport.write(REPLY * frames)


class Visitor(asyncio.Protocol):
    """One websocket: a frame out, a frame back, and so on."""

    def __init__(self, bench):
        self.bench, self.got, self.open = bench, b"", False

    def connection_made(self, transport):
        self.transport = transport
        transport.write(UPGRADE)

    def data_received(self, data):
        self.got += data
        if not self.open:
            if b"\r\n\r\n" not in self.got:
                return
            if not self.got.startswith(b"HTTP/1.1 101"):
                raise SystemExit(self.got.decode())
            self.open, self.got = True, b""
            self.bench.opened()
        elif len(self.got) >= len(REPLY):
            self.got = b""
            self.bench.times.append(time.perf_counter() - self.sent)
            self.send()

    def send(self):
        if not self.bench.over:
            self.sent = time.perf_counter()
            self.transport.write(FRAME)


class Bench:
    def __init__(self, count):
        self.count, self.times, self.over, self.ready = count, [], False, asyncio.Event()

    def opened(self):
        self.count -= 1
        if not self.count:
            self.ready.set()


async def serve(port):
    server = await asyncio.get_running_loop().create_server(Mirror, "127.0.0.1", port, backlog=4096)
    print("ready", flush=True)
    await server.serve_forever()


async def talk(port, count, seconds):
    loop, bench = asyncio.get_running_loop(), Bench(count)
    visitors = [
        (await loop.create_connection(lambda: Visitor(bench), "127.0.0.1", port))[1] for _ in range(count)
    ]
    async with asyncio.timeout(120):
        await bench.ready.wait()
    if not seconds:
        print("{}", flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        return
    for visitor in visitors:
        visitor.send()
    await asyncio.sleep(seconds)
    bench.over = True
    times = sorted(bench.times)
    result = {"rate": len(times) / seconds, "p99": times[len(times) * 99 // 100] * 1000}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if sys.argv[1] == "serve":
        uvloop.run(serve(int(sys.argv[2])))
    else:
        uvloop.run(talk(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
