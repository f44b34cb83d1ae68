"""Bounded output."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess

import pytest

from moorage.process.capture import Capture

pytestmark = pytest.mark.anyio


@pytest.fixture
def capture(anyio_backend):
    return lambda keep: Capture(asyncio.get_running_loop(), keep)


async def test_each_pipe_keeps_its_own_newest_part(capture):
    one = capture(10)
    out, err = one.open(), one.open()
    os.write(err, b"error")
    one.drain()
    for n in range(30):
        os.write(out, f"{n:03}".encode())
        one.drain()
    os.close(out)
    os.close(err)
    one.close()
    assert one.text() == "error" + "".join(f"{n:03}" for n in range(30))[-10:]


async def test_one_large_write_is_cut_too(capture):
    one = capture(4)
    out = one.open()
    os.write(out, b"x" * 50_000 + b"last")
    os.close(out)
    one.close()
    assert one.text() == "last"


async def test_what_is_no_utf8_is_replaced(capture):
    one = capture(100)
    out = one.open()
    os.write(out, b"caf\xe9")
    os.close(out)
    one.close()
    assert one.text() == "caf\ufffd"


async def test_draining_a_pipe_that_never_ends_ends(capture):
    one = capture(100)
    out = one.open()
    with subprocess.Popen(["yes"], stdout=out) as flood:
        os.close(out)
        for _ in range(3):
            one.drain()
        one.close()
        assert flood.wait(10) == -signal.SIGPIPE
    assert set(one.text()) <= {"y", "\n"}


async def test_nothing_kept_is_fine(capture):
    one = capture(0)
    out = one.open()
    os.write(out, b"x")
    os.close(out)
    one.close()
    assert one.text() == ""


async def test_what_is_echoed_is_kept_too_and_its_writer_waits_for_whoever_reads_it(capture):
    one = capture(100)
    reader, echo = os.pipe()
    out = one.open(echo)
    os.close(echo)
    with subprocess.Popen(["sh", "-c", "head -c 500000 /dev/zero; printf end"], stdout=out) as writer:
        os.close(out)
        await asyncio.sleep(0.2)  # long enough for all of it, if nothing held it back
        assert writer.poll() is None
        received = bytearray()
        while not received.endswith(b"end"):
            received += await asyncio.to_thread(os.read, reader, 1 << 16)
        assert await asyncio.to_thread(writer.wait, 10) == 0
    assert len(received) == 500_003
    one.close()
    assert one.text().endswith("end")
    os.close(reader)
