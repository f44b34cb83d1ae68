from __future__ import annotations

import asyncio
import os
import tempfile

import pytest

from moorage.process.tee import Tee

pytestmark = pytest.mark.anyio


def nothing() -> None:
    pass


async def test_what_is_written_arrives() -> None:
    reader, writer = os.pipe()
    echo = Tee(asyncio.get_running_loop(), writer)
    os.close(writer)
    assert echo.write(b"hello", nothing)
    echo.close()
    assert os.read(reader, 100) == b"hello"
    assert os.read(reader, 100) == b""
    os.close(reader)


async def test_a_target_nobody_reads_is_waited_for_and_loses_nothing() -> None:
    reader, writer = os.pipe()
    echo = Tee(asyncio.get_running_loop(), writer)
    os.close(writer)
    room = asyncio.Event()
    sent = 0
    while echo.write(b"x" * 10_000, room.set):
        sent += 10_000
    sent += 10_000
    received = 0
    async with asyncio.timeout(30):
        while not room.is_set():
            received += len(os.read(reader, 4096))
            await asyncio.sleep(0)
    echo.close()
    while data := os.read(reader, 1 << 16):
        received += len(data)
    assert received == sent
    os.close(reader)


async def test_closed_while_something_waits_it_is_passed_on_nevertheless() -> None:
    reader, writer = os.pipe()
    echo = Tee(asyncio.get_running_loop(), writer)
    os.close(writer)
    while echo.write(b"x" * 10_000, nothing):
        pass
    echo.close()
    received = 0
    async with asyncio.timeout(30):
        while data := await asyncio.to_thread(os.read, reader, 4096):
            received += len(data)
    assert received % 10_000 == 0
    os.close(reader)


async def test_a_target_that_is_gone_takes_everything() -> None:
    reader, writer = os.pipe()
    echo = Tee(asyncio.get_running_loop(), writer)
    os.close(writer)
    os.close(reader)
    assert echo.write(b"x", nothing)
    assert echo.write(b"x", nothing)
    echo.close()


async def test_a_file_is_written_at_once() -> None:
    with tempfile.TemporaryFile() as file:
        echo = Tee(asyncio.get_running_loop(), file.fileno())
        assert echo.write(b"x" * 100_000, nothing)
        echo.close()
        assert os.fstat(file.fileno()).st_size == 100_000
