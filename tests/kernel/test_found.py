"""A kernel that was found, spoken by hand: its line cut, its end, what cannot be done to it."""

from __future__ import annotations

import asyncio

import pytest

from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import DeadlineExceeded, KernelDied, MoorageError, UsageError
from moorage.kernel.attach import AttachedKernel
from moorage.kernel.found import watched
from moorage.plan.lifecycle import Exited, Lost, Running
from moorage.wire import messages

pytestmark = pytest.mark.anyio


@pytest.fixture
async def other(addresses, by_hand, tmp_path):
    """A kernel that is watched, and whose process is nowhere to be seen."""
    async with watched(addresses, None, tmp_path / "kernel.json") as found:
        found.supervisor.answer()
        yield AttachedKernel(KernelSpec("a", (), "A", ""), tmp_path / "kernel.json", found, {})


@pytest.fixture
def client(other):
    return other.client


async def connected(by_hand, client):
    request = client.request("shell", messages.kernel_info_request())
    heard = await by_hand.hear()
    await by_hand.reply(heard, "kernel_info_reply")
    async with asyncio.timeout(10):
        await request.reply
    await by_hand.sockets["iopub"].recv()  # our subscription


async def test_a_request_fails_when_the_line_stays_cut(other, by_hand, client, monkeypatch):
    monkeypatch.setattr("moorage.kernel.found.PATIENCE", 0.05)
    await connected(by_hand, client)
    assert isinstance(other.status, Running)
    assert other.status.pid == 0
    request = client.request("shell", messages.kernel_info_request())
    by_hand.close()
    async with asyncio.timeout(10):
        with pytest.raises(KernelDied, match="is gone"):
            await request.reply
    assert isinstance(other.status, Lost)
    with pytest.raises(KernelDied):
        client.request("shell", messages.kernel_info_request())


async def test_a_line_that_comes_back_costs_what_was_under_way_and_nothing_else(other, by_hand, client):
    await connected(by_hand, client)
    request = client.request("shell", messages.kernel_info_request())
    await by_hand.hear()
    by_hand.hang_up("iopub")
    async with asyncio.timeout(10):
        with pytest.raises(MoorageError, match="the line to the kernel was cut"):
            await request.reply
        await connected(by_hand, client)
    assert isinstance(other.status, Running)


async def test_asked_to_end_it_ends_when_it_hangs_up(other, by_hand, client):
    await connected(by_hand, client)
    async with asyncio.TaskGroup() as group, asyncio.timeout(20):
        ended = group.create_task(other.shutdown(grace=10, at_once=False))
        assert (await by_hand.hear("control")).msg_type == "shutdown_request"
        by_hand.close()
        assert (await ended).code is None
    assert isinstance(other.status, Exited)
    assert other.status.expected


async def test_what_is_out_of_reach_cannot_be_killed(other, by_hand, client):
    await connected(by_hand, client)
    with pytest.raises(UsageError, match="cannot be killed from here"):
        await other.shutdown(grace=1, at_once=True)
    with pytest.raises(DeadlineExceeded, match="did not end within"):
        await other.shutdown(grace=0.05, at_once=False)
