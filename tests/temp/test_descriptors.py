"""What is counted of a service that runs."""

from __future__ import annotations

import asyncio

import pytest

from moorage.errors import UsageError
from moorage.plan.clock import Tick
from moorage.plan.descriptors import EACH, LINKS
from moorage.plan.visits import UNNAMED, InQueue, ServerReady, VisitorId
from moorage.temp.descriptors import check_descriptors, counted
from temp.rig import PATIENCE, service

pytestmark = pytest.mark.anyio
ANN, BOB = VisitorId("ann"), VisitorId("bob")


async def test_a_server_is_promised_what_it_does_not_use_yet() -> None:
    async with service() as rig:
        proxy = rig.service._proxy
        before = counted(proxy)
        assert proxy.core.budget.promised == 0
        rig.service.ask(ANN, UNNAMED)
        assert proxy.core.budget.promised == EACH
        has = await rig.service.settled(ANN, PATIENCE)
        assert isinstance(has, ServerReady)
        count = counted(proxy, [has.server], [has.server])
        assert count.held == [LINKS]
        assert proxy.core.budget.promised == count.promised - count.unused == EACH - LINKS
        assert count.servers in {before.servers, before.servers + 1}  # the link is held twice or not


async def test_what_is_under_way_counts_and_what_is_not_comes_back() -> None:
    async with service() as rig, rig.browser() as ann:
        page = await ann.follow(await ann.press())
        proxy = rig.service._proxy
        path = page.said["path"]
        (server,) = rig.service._serving
        assert proxy.unused() >= 2  # kept connections of the browser, and to the server
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        cookie = "; ".join(f"{each.key}={each.value}" for each in ann.session.cookie_jar)
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\nContent-Length: 9\r\n\r\n".encode()
        )
        async with asyncio.timeout(PATIENCE):
            while not proxy.used_on(path):
                await asyncio.sleep(0.01)
        assert counted(proxy, [server], [server]).held == [LINKS + 2]
        writer.write(b"123456789")
        assert b" 200 " in await reader.readline()
        writer.close()


async def test_visitors_wait_when_no_more_servers_fit() -> None:
    async with service(capacity=2) as rig:
        budget = rig.service._proxy.core.budget
        rig.service.ask(ANN, UNNAMED)
        await rig.service.settled(ANN, PATIENCE)
        enough, budget.limit = budget.limit, 64
        rig.service.handle(Tick())
        assert isinstance(rig.service.ask(BOB, UNNAMED), InQueue)
        async with rig.browser() as eve:
            assert (await eve.get("/")).status == 503
        assert isinstance(rig.service.standing(ANN), ServerReady)
        budget.limit = enough
        rig.service.handle(Tick())
        assert isinstance(await rig.service.settled(BOB, PATIENCE), ServerReady)


async def test_where_not_one_fits_the_service_does_not_begin() -> None:
    async with service(capacity=30) as rig:
        proxy = rig.service._proxy
        proxy.core.budget.limit = 256
        check_descriptors(proxy)
        proxy.core.budget.limit = 50
        with pytest.raises(UsageError, match="50 descriptors are too few for a server"):
            check_descriptors(proxy)
