"""Clients over ZeroMQ, at a kernel that is spoken by hand."""

from __future__ import annotations

import asyncio

import pytest

from moorage.kernel.zmq_client import zmq_client
from moorage.wire import messages

pytestmark = pytest.mark.anyio


async def test_each_has_a_session_of_its_own_and_is_known_by_it(addresses, by_hand):
    first, second = zmq_client(addresses), zmq_client(addresses)
    assert first.session_id != second.session_id
    async with first.client, asyncio.timeout(10):
        first.client.request("shell", messages.kernel_info_request())
        heard = await by_hand.hear()
    assert heard.header.session == first.session_id
    assert heard.identities == (first.session_id.encode(),)
