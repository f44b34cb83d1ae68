"""Several processes on one port: alike, counted together, replaced."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from moorage.cli.main import build_parser
from moorage.errors import LaunchError
from moorage.plan.routes import prefix_segments
from moorage.proxy import acceptors as module
from moorage.proxy.acceptors import Acceptors, open_acceptors
from moorage.proxy.listening import bind
from moorage.proxy.server import Proxy, open_proxy
from moorage.proxy.settings import ProxySettings
from moorage.wire.acceptor_messages import Listener
from proxy.rig import PATIENCE, UPGRADE, Visit, echo, mirror, origin

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]


@dataclass
class Rig:
    proxy: Proxy
    acceptors: Acceptors
    port: int

    async def route(self, path: str, target: str) -> None:
        self.proxy.add_route(path, target)
        await self.acceptors.spread(prefix_segments(path))

    async def visit(self) -> Visit:
        return Visit(*await asyncio.open_connection("127.0.0.1", self.port))

    async def status(self, path: str) -> int:
        made = await self.visit()
        made.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        status = (await made.answer()).status
        await made.close()
        return status

    async def changed(self, before: list[int]) -> list[int]:
        """Wait until there are as many as there should be, with one that was not there."""
        async with asyncio.timeout(PATIENCE):
            while len(self.acceptors.pids) < self.acceptors.count or self.acceptors.pids == before:
                await asyncio.sleep(0.01)
        return self.acceptors.pids


def command() -> list[str]:
    options = vars(build_parser().parse_args(["proxy"]))
    del options["run"]
    return [sys.executable, "-P", "-m", "moorage.cli.proxy_acceptor", json.dumps(options)]


@asynccontextmanager
async def running(count: int = 2, limited: Sequence[str] = ()) -> AsyncIterator[Rig]:
    bound = bind("127.0.0.1", 0)[0]
    with bound:
        async with open_proxy(ProxySettings()) as proxy:
            listeners = [Listener(bound.fileno())]
            async with open_acceptors(
                proxy.core, [*limited, *command()], os.environ, listeners, count
            ) as acceptors:
                yield Rig(proxy, acceptors, bound.getsockname()[1])
                pids = acceptors.pids
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def test_all_have_all_routes_and_are_counted_together() -> None:
    async with origin(echo) as server, running(3) as rig:
        await rig.route("/a", server.url)
        assert [await rig.status("/a") for _ in range(30)] == [200] * 30
        assert (await rig.acceptors.report()).counts == (("requests", 0, 30), ("proxied", 200, 30))
        table = rig.proxy.core.backends.table
        backend = table.get((b"a",))
        assert backend is not None
        before = backend.route.last_activity
        assert await rig.status("/a") == 200
        await rig.acceptors.report()
        assert backend.route.last_activity > before
        rig.proxy.remove_route("/a")
        await rig.acceptors.spread((b"a",))
        assert [await rig.status("/a") for _ in range(30)] == [404] * 30


async def test_a_killed_one_is_replaced_and_costs_its_own_connections() -> None:
    async with origin(mirror) as server, running() as rig:
        await rig.route("/", server.url)
        before = rig.acceptors.pids
        fresh = {pid: descriptors(pid) for pid in before}
        lines = []
        for _ in range(20):
            line = await rig.visit()
            line.send(UPGRADE)
            assert (await line.head())[0] == 101
            lines.append(line)
        taken = {pid: (descriptors(pid) - fresh[pid]) // 2 for pid in before}
        assert sum(taken.values()) == 20
        victim = max(taken, key=lambda pid: taken[pid])
        told = await rig.acceptors.report()
        os.kill(victim, signal.SIGKILL)
        now = await rig.changed(before)
        assert victim not in now
        alive = 0
        for line in lines:
            try:
                line.send(b"still here")
                alive += await line.take(10) == b"still here"
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            await line.close()
        assert alive == 20 - taken[victim]
        assert set(told.counts) <= {*(await rig.acceptors.report()).counts}
        again = await rig.visit()
        again.send(UPGRADE)
        assert (await again.head())[0] == 101
        await again.close()


async def test_a_route_that_comes_while_one_starts_is_known_to_it() -> None:
    async with origin(echo) as server, running(1) as rig:
        for number in range(3):
            before = rig.acceptors.pids
            os.kill(before[0], signal.SIGKILL)
            await rig.changed(before)  # it is there, and does not take visitors yet
            await rig.route(f"/{number}", server.url)
            assert [await rig.status(f"/{each}") for each in range(number + 1)] == [200] * (number + 1)


async def test_one_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async with origin(echo) as server, running() as rig:
        before = rig.acceptors.pids
        monkeypatch.setattr(module, "PATIENCE", 1.0)
        os.kill(before[0], signal.SIGSTOP)
        await rig.route("/a", server.url)
        now = await rig.changed(before)
        monkeypatch.setattr(module, "PATIENCE", PATIENCE)
        assert before[0] not in now
        assert await rig.status("/a") == 200


async def test_a_full_one_leaves_visitors_to_the_others() -> None:
    limited = ["sh", "-c", 'ulimit -n 96; exec "$0" "$@"']
    async with origin(mirror) as server, running(limited=limited) as rig:
        await rig.route("/", server.url)
        room = rig.acceptors.told().room
        lines: list[Visit] = []

        async def opened() -> bool:
            line = await rig.visit()
            line.send(UPGRADE)
            if (await line.head())[0] == 101:
                lines.append(line)
                return True
            await line.close()
            return False

        async def took_all() -> bool:
            """Open what fits, and one at a time where one is full and has not been told to rest."""
            async with asyncio.timeout(PATIENCE):
                while not await opened():
                    await asyncio.sleep(0.1)
            return len(lines) >= room * 7 // 8 // 2

        while not await took_all():
            pass
        refused = 0
        while refused < 30:  # both are full: each says so
            refused += not await opened()
        lines[0].send(b"still here")
        assert await lines[0].take(10) == b"still here"
        for line in lines:
            await line.close()
        async with asyncio.timeout(PATIENCE):
            while not await opened():
                await asyncio.sleep(0.1)
        await lines[-1].close()


async def test_one_that_cannot_begin_is_an_error() -> None:
    bound = bind("127.0.0.1", 0)[0]
    with bound:
        async with open_proxy(ProxySettings()) as proxy:
            for argv in ([sys.executable, "-c", "1"], ["/nowhere/python"]):
                with pytest.raises(ExceptionGroup) as caught:
                    async with open_acceptors(proxy.core, argv, os.environ, [Listener(bound.fileno())], 2):
                        pytest.fail("it has begun")
                assert caught.group_contains(LaunchError)
