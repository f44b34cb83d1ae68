"""This end of a link: every question has a limit."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys

import pytest

from moorage.errors import DeadlineExceeded, KeeperLost, UsageError
from moorage.keeper.link import connect, is_stopped, linked
from moorage.keeper.process import record
from moorage.wire import link as wire

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pair(anyio_backend):
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    link = await linked(ours, "one")
    yield link, theirs
    link.close()
    theirs.close()


async def test_a_keeper_is_asked(keeper):
    keeper.begin("sleep", "1000")
    link = await connect(keeper.directory / record.SOCKET, "one")
    assert (link.identity, link.keeper_pid) == (str(keeper.directory), keeper.pid)
    answers = await asyncio.gather(*(link.ask("status") for _ in range(50)))
    assert {answer["state"] for answer in answers} == {"running"}
    with pytest.raises(UsageError, match="refuses: dance"):
        await link.ask("dance")
    link.close()
    with pytest.raises(KeeperLost):
        await link.ask("status")


async def test_a_stopped_keeper_holds_no_caller(keeper, until):
    keeper.begin("sleep", "1000")
    path = keeper.directory / record.SOCKET
    link = await connect(path, "one")
    os.kill(keeper.pid, signal.SIGSTOP)
    try:
        if sys.platform == "linux":
            until(lambda: is_stopped(keeper.pid))
        with pytest.raises(DeadlineExceeded, match="has not answered"):
            await link.ask("status", within=0.2)
        with pytest.raises(DeadlineExceeded):
            await connect(path, "two", within=0.2)
    finally:
        os.kill(keeper.pid, signal.SIGCONT)
    assert (await link.ask("status"))["state"] == "running"
    link.close()


async def test_nothing_listens(tmp_path):
    with pytest.raises(KeeperLost, match="cannot be reached"):
        await connect(tmp_path / "link", "one")


async def test_the_end_of_a_link_is_told_to_all_that_wait(pair):
    link, other = pair
    asking = asyncio.ensure_future(link.ask("status"))
    waiting = asyncio.ensure_future(link.until(lambda: False))
    await asyncio.sleep(0)
    other.sendall(wire.encode({"tell": "dropped", "why": "too many"}))
    other.close()
    with pytest.raises(KeeperLost, match="too many"):
        await asking
    await waiting
    assert [told async for told in link.told()] == []


async def test_what_is_no_keeper_is_given_up(pair):
    link, other = pair
    other.sendall(b"HTTP/1.1 400 Bad Request\r\n")
    await link.until(lambda: False)
    with pytest.raises(KeeperLost, match="no keeper's link"):
        await link.ask("status")


async def test_statuses_are_told_the_newest_of_several(pair):
    link, other = pair
    data = b"".join(
        wire.encode({"tell": "status", "keeper": 1, "state": "running", "n": n}) for n in range(3)
    )
    other.sendall(data)
    await link.until(lambda: link.latest is not None and link.latest["n"] == 2)
    other.close()
    assert [told["n"] async for told in link.told()] == [2]


async def test_a_cancelled_question_is_forgotten(pair):
    link, other = pair
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await link.ask("status")
    other.sendall(wire.encode({"tell": "done", "ref": 1}))
    other.sendall(wire.encode({"tell": "done", "ref": 2}))
    assert (await link.ask("detach"))["ref"] == 2
