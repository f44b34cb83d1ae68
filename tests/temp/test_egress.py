"""Servers that reach hosts of a list: by their own port, counted, bounded, by what the list says now."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import pytest

from moorage.errors import LaunchError, UsageError
from moorage.plan.egress import MOST, PROXY_PORT, PROXY_VARIABLES, egress_list
from moorage.plan.visits import UNNAMED, OfferName, ServerId
from moorage.process.walls.probe import given
from moorage.proxy.limits import DescriptorBudget
from moorage.temp import egress as module
from moorage.temp.descriptors import counted
from moorage.temp.egress import Egress, listening_inside
from moorage.temp.running import read_again
from moorage.temp.walled import check_egress
from temp.rig import PATIENCE, TOY, Rig, service, toy

pytestmark = pytest.mark.anyio
walls = pytest.mark.skipif(sys.platform != "linux" or bool(given().why), reason=f"no walls: {given().why}")
ANN, BEN = ServerId("a" * 16), ServerId("b" * 16)
HOST = "127.0.0.2"
"""Of this machine's loopback, and none that no_proxy names."""


@asynccontextmanager
async def a_host() -> AsyncIterator[int]:
    """Yield the port of a host that answers plain requests."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0]
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(line) + line)
        writer.close()

    async with await asyncio.start_server(answer, HOST, 0) as server:
        yield server.sockets[0].getsockname()[1]


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def fetched(browser, path: str, url: str, way: str = "fetch") -> str:
    return (await browser.get(f"{path}{way}?{quote(url, safe='')}")).said["fetched"]


def egress_in(rig: Rig) -> Egress:
    return rig.service._egress


@walls
async def test_a_server_reaches_what_is_named_and_nothing_else() -> None:
    async with (
        a_host() as port,
        a_host() as other,
        service(walls=True, egress=egress_list([f"{HOST}:{port}"])) as rig,
        rig.browser() as ann,
    ):
        page = (await ann.follow(await ann.press())).said
        path, server = page["path"], ServerId(page["path"].split("/")[2])
        assert page["env"].items() >= PROXY_VARIABLES.items()
        url = f"http://{HOST}:{port}/x"
        assert await fetched(ann, path, url) == "GET /x HTTP/1.1"
        refused = f"403: 127.0.0.2:{other} cannot be reached from here, only {HOST}:{port}"
        assert refused in await fetched(ann, path, f"http://{HOST}:{other}/")
        assert f"Tunnel connection failed: {refused.replace(':', '', 1)}" in await fetched(
            ann, path, f"https://{HOST}:{other}/"
        )
        assert "Connection refused" in await fetched(ann, path, url, "direct")
        assert "unreachable" in await fetched(ann, path, "http://192.0.2.1/", "direct")
        use = egress_in(rig).use(server)
        assert use is not None
        assert (use.opened, use.refused) == (1, 2)
        assert use.received > len("GET /x HTTP/1.1")
        budget = rig.service._proxy.core.budget
        await until(lambda: budget.kinds["forward"] == 0)
        assert egress_in(rig).left == 2 * (budget.limit // 16)
        found = rig.service._proxy
        assert counted(found, [server], [server], egress=egress_in(rig)).promised_hosts == egress_in(rig).left
        rig.service.close()
        await until(lambda: egress_in(rig).use(server) is None)


@walls
async def test_the_list_of_an_offer_holds_for_servers_that_run() -> None:
    line = f"command = '{sys.executable} {TOY} {{socket}} {{base_path}}'\n"
    async with a_host() as port:
        here = f"egress = ['{HOST}:{port}']\n"
        offers = (
            f"[temp.offers.a]\n{line}{here}[temp.offers.b]\n{line}egress = 'none'\n[temp.offers.c]\n{line}"
        )
        async with (
            service(toy(), offers, walls=True, egress=egress_list(["example.org"])) as rig,
            rig.browser() as ann,
            rig.browser() as ben,
        ):
            found = rig.service.offers
            told = [found[OfferName(each)].settings.egress.told for each in "abc"]
            assert told == [f"{HOST}:{port}", "", "example.org"]
            path = (await ann.follow(await ann.press(offer="a"))).said["path"]
            page = (await ben.follow(await ben.press(offer="b"))).said
            assert not page["env"].keys() & PROXY_VARIABLES.keys()
            assert "Connection refused" in await fetched(
                ben, page["path"], f"http://127.0.0.1:{PROXY_PORT}/", "direct"
            )
            assert await fetched(ann, path, f"http://{HOST}:{port}/") == "GET / HTTP/1.1"
            rig.file.write_text(offers.replace(here, "egress = 'none'\n"))
            await read_again(rig.offering, rig.service)
            assert "nor any other host" in await fetched(ann, path, f"http://{HOST}:{port}/")


@walls
async def test_no_proxy_of_the_service_is_a_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://user:secret@proxy.example")
    async with service(walls=True) as rig, rig.browser() as ann:
        assert "secret" not in (await ann.follow(await ann.press())).text


@walls
async def test_a_port_that_is_taken_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async with service(walls=True, egress=egress_list(["example.org"])) as rig, rig.browser() as ann:
        await ann.follow(await ann.press())
        (serving,) = rig.service._serving.values()
        assert serving.inside is not None
        with caplog.at_level(logging.WARNING):
            await egress_in(rig).begin(BEN, UNNAMED, serving.inside)
        assert f"Server {BEN} reaches no network: " in caplog.text
        assert "Address already in use" in caplog.text


async def test_a_process_without_a_network_of_its_own_is_refused() -> None:
    with pytest.raises(LaunchError, match=r"no proxy listens at port \d+ behind walls"):
        await listening_inside(os.getpid())


def test_egress_without_walls_is_refused() -> None:
    check_egress(egress_list([]), None)
    with pytest.raises(UsageError, match=r"egress needs walls"):
        check_egress(egress_list(["*"]), None)


class Doors:
    """Egress of servers without walls, whose ports are those of this machine; and a host that holds on."""

    def __init__(self, egress: Egress, budget: DescriptorBudget) -> None:
        self.egress, self.budget = egress, budget
        self.ports: dict[int, int] = {}
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def tunnel(self, pid: int) -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[pid])
        self.writers.append(writer)
        writer.write(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % self.port)
        return reader


@asynccontextmanager
async def doors(monkeypatch: pytest.MonkeyPatch, limit: int, *pids: int) -> AsyncIterator[Doors]:
    budget = DescriptorBudget(limit, 0)

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with (
        await asyncio.start_server(hold, "127.0.0.1", 0) as host,
        asyncio.TaskGroup() as tasks,
    ):
        made = Doors(Egress(budget, tasks), budget)
        made.port = host.sockets[0].getsockname()[1]

        async def listening(pid: int) -> socket.socket:
            listener = socket.create_server(("127.0.0.1", 0), backlog=256)
            listener.setblocking(False)
            made.ports[pid] = listener.getsockname()[1]
            return listener

        monkeypatch.setattr(module, "listening_inside", listening)
        made.egress.allowed = {UNNAMED: egress_list([f"127.0.0.1:{made.port}"])}
        for pid in pids:
            await made.egress.begin(ServerId(f"{pid:016}"), UNNAMED, pid)
        try:
            yield made
        finally:
            for writer in made.writers:
                writer.close()
            for pid in pids:
                made.egress.gone(ServerId(f"{pid:016}"))
    assert budget.kinds["forward"] == 0


def opened(made: Doors, pid: int) -> int:
    use = made.egress.use(ServerId(f"{pid:016}"))
    assert use is not None
    return use.open


async def test_no_visitor_has_more_than_its_share_and_what_waits_comes_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with doors(monkeypatch, 16384, 1, 2) as made:
        asked = [await made.tunnel(1) for _ in range(MOST + 8)]
        await until(lambda: opened(made, 1) == MOST)
        assert made.budget.kinds["forward"] == 2 * MOST
        served = await made.tunnel(2)
        assert b" 200 " in await served.readline()
        assert opened(made, 1) == MOST
        for writer in made.writers[:8]:
            writer.close()
        for reader in asked[8:]:
            assert b" 200 " in await reader.readline()
        assert made.egress.left == 2 * (16384 // 16 - MOST - 1)


async def test_visitors_leave_some_to_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async with doors(monkeypatch, 160, 1, 2) as made:  # ten connections
        first = [await made.tunnel(1) for _ in range(10)]
        await until(lambda: opened(made, 1) == 5)
        second = [await made.tunnel(2) for _ in range(10)]
        await until(lambda: opened(made, 2) == 3)
        assert made.budget.kinds["forward"] == 16
        assert len(first) + len(second) == 20


async def test_they_leave_to_servers_what_these_were_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    async with doors(monkeypatch, 16384, 1) as made:
        made.budget.promised = made.budget.room - 1
        reader = await made.tunnel(1)
        await until(lambda: made.egress.use(ServerId(f"{1:016}")) is not None)
        made.egress.look()
        assert opened(made, 1) == 0
        made.budget.promised = 0
        made.egress.look()
        assert b" 200 " in await reader.readline()


async def test_refusals_are_in_the_log_once_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with doors(monkeypatch, 16384, 1) as made:
        for number in (*range(20), *range(20)):
            reader, writer = await asyncio.open_connection("127.0.0.1", made.ports[1])
            writer.write(b"CONNECT %d.example:443 HTTP/1.1\r\n\r\n" % number)
            assert b" 403 " in await reader.readline()
            writer.close()
        use = made.egress.use(ServerId(f"{1:016}"))
        assert use is not None
        assert use.refused == 40
    told = [record.message for record in caplog.records if "is refused" in record.message]
    assert len(told) == 10
    assert told[0].startswith("Server 0000000000000001 is refused: 0.example:443 cannot be reached from here")
    assert told[-1].endswith("and the log is silent on others that it asks for")
