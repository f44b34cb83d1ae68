"""The clients of one kernel, spoken to by hand."""

from __future__ import annotations

import asyncio

import pytest

from moorage.errors import KernelDied, MoorageError
from moorage.kernel.attach import attach
from moorage.kernel.clients import Clients
from moorage.kernel.launch import launch
from moorage.kernel.zmq_client import zmq_client

pytestmark = pytest.mark.anyio


@pytest.fixture
def clients(client):
    clients = Clients(lambda: None)
    with clients.attached(client, "client"):
        yield clients


@pytest.mark.parametrize(("by_shell", "channel"), [(True, "shell"), (False, "control")])
async def test_the_kernel_is_asked_to_end_on_its_channel(by_hand, clients, by_shell, channel):
    clients.ask_to_end(by_shell=by_shell)
    async with asyncio.timeout(10):
        assert (await by_hand.hear(channel)).msg_type == "shutdown_request"


async def test_one_that_computes_for_others_is_asked_on_control(by_hand, clients):
    clients.activity.begin_unknown()
    clients.ask_to_end(by_shell=True)
    async with asyncio.timeout(10):
        assert (await by_hand.hear("control")).msg_type == "shutdown_request"


async def test_without_a_client_nothing_can_be_asked():
    Clients(lambda: None).ask_to_end(by_shell=True)


async def test_none_is_attached_to_a_kernel_that_has_died(client):
    clients = Clients(lambda: KernelDied("gone"))
    with pytest.raises(KernelDied, match="gone"), clients.attached(client, "c"):
        pass
    assert not list(clients)


async def test_what_fails_for_good_fails_later_requests(clients, client):
    clients.fail(MoorageError("over"), for_good=True)
    with pytest.raises(MoorageError, match="over"):
        await client.execute("1")


async def test_clients_that_can_move_are_moved(clients, client, addresses):
    moved = []
    with clients.attached(zmq_client(addresses).client, "second", moved.append):
        clients.move("there")
    clients.move("elsewhere")
    assert moved == ["there"]


async def test_one_that_has_left_is_forgotten(clients, client, addresses):
    second = zmq_client(addresses).client
    for _ in range(3):
        with clients.attached(second, "second"):
            assert list(clients) == [client, second]
            assert clients.activity.own_sessions == {"client", "second"}
            assert second._listeners
    assert list(clients) == [client]
    assert clients.activity.own_sessions == {"client"}
    assert not second._listeners


async def test_real_kernels_keep_no_client_that_was_closed():
    async with launch("python3") as kernel:
        of_kernel = kernel.supervisor.clients
        assert list(of_kernel) == [kernel.client]
        async with attach(kernel.connection_file) as attached:
            assert list(attached.supervisor.clients) == [attached.client]
        assert not list(attached.supervisor.clients)
        assert not attached.client._listeners
    assert not list(of_kernel)
