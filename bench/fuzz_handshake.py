"""Random, mutated and endless input to everything that reads what strangers may write at a kernel's start.

``python -m bench.fuzz_handshake [--seconds 60]`` spends its time on three things:

* the readers of registrations, registration files and connection files, called directly;
* a live registrar, while one process sends it random and mutated registrations, another one random and
  mutated bytes over TCP, and a third registers kernels of both dialects, each of which must succeed;
* the same under floods of bad registrations by two processes: as fast as 1, 8 and 64 sockets of ZeroMQ
  each will send them, and each on a new connection, as fast as the system makes connections.

Told are the refusals by reason, the delay of good registrations (from the kernel's request to its
acknowledgement in the kernel's own process), how late the loop was, and the memory. Exit code 0 when nothing
crashed or hung, and no good registration took longer than 100 ms under a flood. New connections wait in one
line, and their flood takes as much of the machine as the launcher does: how long that line gets depends on
how many cores there are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import zmq

from moorage import kernelside
from moorage.errors import MoorageError
from moorage.rendezvous.files import read_connection_file
from moorage.rendezvous.memory import Memory
from moorage.rendezvous.registration import Registrar, shared_registrar
from moorage.wire import zmtp
from moorage.wire.connection import PORTS
from moorage.wire.handshake import Agreed, Handshake, PortsBound, Received, Registry, Send, parse
from moorage.wire.registration import Terms

NUMBERS = dict(zip(PORTS, range(5001, 5006), strict=True))
LIMIT = 0.1
TOKENS = [b"<IDS|MSG>", b"", b"{}", b"null", b'{"kernel_id":"k"}', b"[" * 4000, b'{"a":' * 2000, b"\xff" * 60]


def request(terms: Terms) -> list[bytes]:
    """Return what a kernel sends."""
    kernel = Handshake("kernel", terms, terms.addresses(NUMBERS))
    (send,) = kernel.handle(PortsBound("q"), time.time())
    assert isinstance(send, Send)
    return list(send.frames)


def mutated(data: bytes, dice: random.Random) -> bytes:
    """Return ``data`` with a few bytes flipped, cut, doubled or replaced by something nasty."""
    for _ in range(dice.randint(1, 4)):
        at = dice.randint(0, len(data))
        match dice.randint(0, 4):
            case 0:
                data = data[:at] + bytes([dice.randint(0, 255)]) + data[at + 1 :]
            case 1:
                data = data[:at]
            case 2:
                data = data[:at] + data[at // 2 :]
            case 3:
                data = data[:at] + dice.choice(TOKENS) + data[at:]
            case _:
                data = dice.randbytes(dice.randint(0, 100))
    return data


def bad_frames(good: list[list[bytes]], dice: random.Random) -> list[bytes]:
    """Return frames that are no registration, most of them nearly one."""
    frames = list(dice.choice(good))
    for _ in range(dice.randint(1, 3)):
        at = dice.randint(0, len(frames) - 1)
        match dice.randint(0, 3):
            case 0:
                del frames[at]
            case 1:
                frames.insert(at, dice.choice(TOKENS))
            case 2:
                frames[at] = dice.choice(TOKENS)
            case _:
                frames[at] = mutated(frames[at], dice)
        frames = frames or [b""]
    return frames


def strangers() -> list[list[bytes]]:
    """Return well-formed registrations of kernels nobody awaits, and with keys nobody has."""
    return [
        [*([b""] if dialect == "posit" else []), *request(Terms(dialect, "127.0.0.1", 1, key, name))]
        for dialect in ("docs", "posit")
        for key in (b"guess", b"secret")
        for name in ("k", "stranger")
    ]


def fuzz_readers(seconds: float, dice: random.Random) -> int:
    """Call every reader until the time is up; returns how often."""
    registry = Registry(lambda: "m")
    for dialect in ("docs", "posit"):
        registry.expect(Terms(dialect, "127.0.0.1", 1, b"secret", f"k{dialect}"))
    good = strangers()
    files = [
        json.dumps({**NUMBERS, "key": "k", "ip": "127.0.0.1"}).encode(),
        *(json.dumps(Terms(d, "127.0.0.1", 1, b"k", "i").to_dict()).encode() for d in ("docs", "posit")),
    ]
    calls, end = 0, time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.json"
        while time.monotonic() < end:
            for _ in range(200):
                registry.receive([b"id", *bad_frames(good, dice)], 0.0)
            path.write_bytes(mutated(dice.choice(files), dice))
            read_connection_file(path)
            Memory(path).recall(["x"])
            with suppress(MoorageError):
                kernelside.terms(path)
            calls += 203
    return calls


# -- what other processes do -----------------------------------------------------------------------


def mutations(port: int, seconds: float) -> None:
    """Send mutated registrations through ZeroMQ, which comes back as soon as it is hung up on."""
    dice = random.Random(secrets.randbits(64))
    good = strangers()
    send(port, seconds, 4, 1, lambda: bad_frames(good, dice))


def send(port: int, seconds: float, connections: int, back: int, frames: Callable[[], list[bytes]]) -> None:
    """Send as fast as so many sockets take it; ``back``: how soon they come back when hung up on (ms)."""
    context = zmq.Context()
    sockets = [context.socket(zmq.DEALER) for _ in range(connections)]
    for dealer in sockets:
        dealer.linger = 0
        dealer.set_hwm(10)
        dealer.setsockopt(zmq.RECONNECT_IVL, back)
        dealer.connect(f"tcp://127.0.0.1:{port}")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for dealer in sockets:
            with suppress(zmq.Again):
                dealer.send_multipart(frames(), zmq.NOBLOCK)
    context.destroy(linger=0)


def flood(port: int, seconds: float, connections: int) -> None:
    """Send well-formed registrations of strangers; with 0 connections each on a new one."""
    good = strangers()
    if connections:
        send(port, seconds, connections, 100, lambda: random.choice(good))
        return
    start = zmtp.greeting() + zmtp.ready(b"DEALER")
    whole = [start + zmtp.message(frames) for frames in good]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as line:
            line.send(random.choice(whole))


def raw_bytes(port: int, seconds: float) -> None:
    """Speak broken ZMTP, or none, over TCP."""
    dice = random.Random(secrets.randbits(64))
    start = zmtp.greeting() + zmtp.ready(b"DEALER")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        good = dice.choice(strangers())
        endless = b"\x01\xff" + bytes(255)
        says = [
            zmtp.greeting(),
            start,
            start + zmtp.message(good),
            start + endless * 500,
            b"GET / HTTP/1.1\r\n\r\n",
        ]
        text = dice.choice(says)
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as line:
            line.sendall(mutated(text, dice))
            if dice.random() < 0.2:
                line.settimeout(0.01)
                line.recv(1000)


def kernels() -> None:
    """Register whoever stands on the next line of stdin; print the seconds until the acknowledgement."""
    context = zmq.Context()
    for line in sys.stdin:
        dialect, name, key, port = line.split()
        terms = Terms("posit" if dialect == "posit" else "docs", "127.0.0.1", int(port), key.encode(), name)
        kernel = Handshake("kernel", terms, terms.addresses(NUMBERS))
        with context.socket(zmq.REQ if dialect == "posit" else zmq.DEALER) as asking:
            asking.linger = 0
            asking.connect(terms.url)
            (send,) = kernel.handle(PortsBound("q"), time.time())
            began = time.monotonic()
            asking.send_multipart(send.frames)
            if not asking.poll(10_000):
                print("hangs", flush=True)
                continue
            took = time.monotonic() - began
            (agreed,) = kernel.handle(Received(parse(asking.recv_multipart())), time.time())
            print(took if isinstance(agreed, Agreed) else agreed, flush=True)


# -- the launcher ----------------------------------------------------------------------------------


@asynccontextmanager
async def other(*arguments: object) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run this module with other arguments beside the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.fuzz_handshake",
        *map(str, arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def good_ones(registrar: Registrar, seconds: float) -> tuple[list[float], list[float]]:
    """Register kernels one after the other; returns each one's delay, and how late the loop's timers were."""
    delays, late = [], []
    numbers: Iterator[int] = iter(range(10**9))
    end = time.monotonic() + seconds
    async with other("--kernels") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        while time.monotonic() < end:
            number = next(numbers)
            dialect = ("docs", "posit")[number % 2]
            name, key = secrets.token_hex(8), secrets.token_hex(32)
            heard = asyncio.get_running_loop().create_future()
            terms = Terms(
                "posit" if dialect == "posit" else "docs", "127.0.0.1", registrar.port, key.encode(), name
            )
            registrar.expect(terms, heard.set_result)
            process.stdin.write(f"{dialect} {name} {key} {registrar.port}\n".encode())
            delay = float(await process.stdout.readline())
            assert (await heard).shell_port == 5001
            registrar.forget(name)
            if number < 2:  # until it has started, the others cannot be measured
                end = time.monotonic() + seconds
                continue
            delays.append(delay)
            before = time.monotonic()
            await asyncio.sleep(0.02)
            late.append(time.monotonic() - before - 0.02)
    return delays, late


def told(name: str, delays: list[float], late: list[float]) -> float:
    """Print a line of figures; returns the longest delay."""
    ordered = sorted(delays)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    print(
        f"{name:34} n={len(delays):5}  p50 {statistics.median(ordered) * 1000:5.1f} ms"
        f"  p99 {p99 * 1000:5.1f} ms  max {ordered[-1] * 1000:5.1f} ms"
        f"  loop late by at most {max(late) * 1000:5.1f} ms"
    )
    return ordered[-1]


async def live(seconds: float) -> bool:
    """Fuzz and flood a registrar."""
    own = psutil.Process()
    with shared_registrar() as registrar:
        # Kernels that never come: their keys are tried with every bad registration.
        for number in range(8):
            name = f"never{number}"
            registrar.expect(Terms("posit", "127.0.0.1", registrar.port, name.encode(), name), lambda _: None)
        told("nobody else", *await good_ones(registrar, seconds * 0.1))
        before = own.memory_info().rss
        share = seconds * 0.3
        async with other("--raw", registrar.port, share + 60), other("--mutate", registrar.port, share + 60):
            told("under mutated input", *await good_ones(registrar, share))
        longest = 0.0
        for connections in (1, 8, 64, 0):
            options = ("--flood", registrar.port, share + 60, "--connections", connections)
            async with other(*options), other(*options):
                figures = await good_ones(registrar, share / 2)
            name = f"flood by 2 x {connections} sockets" if connections else "flood of new connections"
            delay = told(name, *figures)
            longest = max(longest, delay)
        grown = own.memory_info().rss - before
        print("refused:", ", ".join(f"{count} {reason}" for reason, count in registrar.refused.items()))
        print(f"memory grew by {grown / 1e6:.1f} MB; descriptors open: {own.num_fds()}")
    return longest <= LIMIT


def main() -> int:
    """Run all, or what ``main`` itself asks another process to do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--connections", type=int, default=1)
    for name in ("--flood", "--mutate", "--raw"):
        parser.add_argument(name, type=float, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--kernels", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.kernels:
        kernels()
    elif options.flood:
        flood(int(options.flood[0]), options.flood[1], options.connections)
    elif options.mutate:
        mutations(int(options.mutate[0]), options.mutate[1])
    elif options.raw:
        raw_bytes(int(options.raw[0]), options.raw[1])
    else:
        seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(4))
        print(f"seed {seed}")
        calls = fuzz_readers(options.seconds * 0.3, random.Random(seed))
        print(f"readers called {calls} times, and none raised what it should not")
        return 0 if asyncio.run(live(options.seconds * 0.7)) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
