"""The clients of one kernel, spoken to by hand."""

from __future__ import annotations

import asyncio

import pytest

from moorage.errors import KernelDied, MoorageError
from moorage.kernel.client import Client
from moorage.kernel.clients import Clients

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(addresses, by_hand):
    async with Client(addresses, "c", lambda: "1") as client:
        yield client


@pytest.mark.parametrize(("by_shell", "channel"), [(True, "shell"), (False, "control")])
async def test_the_kernel_is_asked_to_end_on_its_channel(by_hand, client, by_shell, channel):
    clients = Clients(lambda: None)
    clients.attach(client, "c")
    clients.ask_to_end(by_shell=by_shell)
    async with asyncio.timeout(10):
        assert (await by_hand.hear(channel)).msg_type == "shutdown_request"


async def test_one_that_computes_for_others_is_asked_on_control(by_hand, client):
    clients = Clients(lambda: None)
    clients.attach(client, "c")
    clients.activity.begin_unknown()
    clients.ask_to_end(by_shell=True)
    async with asyncio.timeout(10):
        assert (await by_hand.hear("control")).msg_type == "shutdown_request"


async def test_without_a_client_nothing_can_be_asked():
    Clients(lambda: None).ask_to_end(by_shell=True)


async def test_none_is_attached_to_a_kernel_that_has_died(client):
    with pytest.raises(KernelDied, match="gone"):
        Clients(lambda: KernelDied("gone")).attach(client, "c")


async def test_what_fails_for_good_fails_later_requests(client):
    clients = Clients(lambda: None)
    clients.attach(client, "c")
    clients.fail(MoorageError("over"), for_good=True)
    with pytest.raises(MoorageError, match="over"):
        await client.execute("1")
