"""What connections share: time, descriptors, and how servers are reached."""

from __future__ import annotations

import asyncio

import pytest

from moorage.proxy.core import REST, guarded
from moorage.proxy.settings import ProxySettings
from proxy.rig import UPGRADE, echo, mirror, origin, proxied

pytestmark = pytest.mark.anyio


async def test_unused_connections_to_servers_are_closed_after_their_time() -> None:
    async with origin(echo) as server, proxied(server.url, settings=ProxySettings(upstream_idle=0.0)) as rig:
        await rig.get("/x")
        rig.proxy.core.tick()
        await rig.settled(upstream=0)


async def test_without_room_for_a_server_a_visitor_gets_a_503() -> None:
    async with origin(mirror) as server, proxied(server.url) as rig:
        budget = rig.proxy.core.budget
        budget.room = 4
        one = await rig.connect()
        one.send(UPGRADE)
        await one.head()
        two = await rig.connect()
        await rig.settled(visitor=2)
        budget.room = 3
        two.send(UPGRADE)
        assert (await two.head())[0] == 503
        await two.close()
        await rig.settled(visitor=1, upstream=1)
        await one.close()


async def test_connections_without_use_are_closed_where_descriptors_are_short() -> None:
    async with origin(echo) as server, proxied(server.url) as rig:
        core = rig.proxy.core
        visits = [await rig.connect() for _ in range(3)]
        for visit in visits[:2]:
            visit.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            await visit.answer()
        await rig.settled(visitor=3)
        core.budget.room = core.budget.open + 1
        assert core.admit()  # the kept connection to the server is enough
        await rig.settled(visitor=3, upstream=0)
        core.budget.room = core.budget.open
        assert not core.admit()  # what was used just now may be used again at any moment
        core.now += REST
        assert core.admit()
        assert core.budget.leaving == 2
        await rig.settled(visitor=1)
        assert core.budget.leaving == 0
        for visit in visits:
            await visit.close()


async def test_pages_of_this_process_leave_what_is_promised() -> None:
    settings = ProxySettings(crowded=b"a crowd")
    async with origin(echo) as server, proxied(server.url, settings=settings) as rig:
        budget = rig.proxy.core.budget
        rig.proxy.add_route("/pages", server.url, pages=True)
        visit = await rig.connect()
        for _ in range(2):
            visit.send(b"GET /pages HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await visit.answer()).fields["connection"] != "close"
        await rig.settled(visitor=1, upstream=1, page=1)
        budget.promised = budget.room - 3
        visit.send(b"GET /pages HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await visit.answer()).status == 200  # by a kept connection
        rig.proxy.core.backends.drop_idle(float("inf"))
        await rig.settled(upstream=0, page=0)
        refused = await rig.get("/pages")
        assert (refused.status, refused.body) == (503, b"a crowd")
        assert (refused.fields["retry-after"], refused.fields["connection"]) == ("5", "close")
        assert (await rig.get("/x")).status == 200
        await visit.close()


async def test_what_goes_wrong_for_one_connection_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def wrong() -> None:
        raise ZeroDivisionError

    await guarded(wrong())
    assert "A connection failed unexpectedly" in caplog.text
    cancelled = asyncio.ensure_future(guarded(asyncio.sleep(60)))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled


async def test_a_visitor_that_leaves_while_its_server_is_reached_leaves_nothing() -> None:
    """A full backlog, so that the connection cannot be made."""
    import socket

    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        clients = [socket.socket() for _ in range(4)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        async with proxied(url) as rig:
            visit = await rig.connect()
            visit.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await rig.settled(visitor=1, upstream=1)
            await visit.close()
            await rig.settled(visitor=0, upstream=0)
        for client in clients:
            client.close()


async def test_a_server_that_cannot_be_reached_in_time_is_a_504() -> None:
    import socket

    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        clients = [socket.socket() for _ in range(4)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        async with proxied(url, settings=ProxySettings(connect_timeout=0.05)) as rig:
            assert (await rig.get("/x")).status == 504
        for client in clients:
            client.close()
