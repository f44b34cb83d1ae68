"""``moorage proxy`` where the soft limit of descriptors is 1024 and the hard one 4096."""

from __future__ import annotations

import json
import re
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.test_proxy_run import Running
from command import typed_in, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits and figures are Linux's"),
]
MIRROR = """
import asyncio, sys
from proxy.rig import mirror
async def main():
    server = await asyncio.start_unix_server(mirror, sys.argv[1], backlog=1024)
    print('ready', flush=True)
    await server.serve_forever()
asyncio.run(main())
"""
UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
NEEDED = 9000


@pytest.fixture(autouse=True)
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < NEEDED:
        pytest.skip(f"the hard limit of descriptors is {hard} here, and this test opens {NEEDED}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def opened(port: int) -> tuple[socket.socket, bytes]:
    visitor = socket.create_connection(("127.0.0.1", port), timeout=60)
    visitor.sendall(UPGRADE)
    return visitor, visitor.recv(4096)


@pytest.mark.parametrize("acceptors", [1, 2])
def test_the_hard_limit_is_used_and_the_reserve_is_kept(tmp_path: Path, acceptors: int) -> None:
    with typed_in(tmp_path) as command:
        tests = str(Path(__file__).parents[1])
        back = command.launch([sys.executable, "-c", MIRROR, "back"], env={"PYTHONPATH": tests})
        assert back.stdout is not None
        assert back.stdout.readline() == b"ready\n"
        words = f"proxy --acceptors {acceptors} --ip 127.0.0.1 --port 0 --api-ip 127.0.0.1"
        words += f" --metrics-ip 127.0.0.1 --metrics-port 0 --default-target unix:{tmp_path}/back"
        shell = f"ulimit -Sn 1024; ulimit -Hn 4096; exec {sys.executable} -m moorage {words}"
        with (tmp_path / "log").open("wb") as log:
            process = command.launch(
                ["bash", "-c", shell], stderr=log, env={"CONFIGPROXY_AUTH_TOKEN": "secret"}
            )
        proxy = Running(process, tmp_path / "log").ready()
        visitors, refused = [], b""
        for number in range(acceptors * 2048):
            visitor, answer = opened(proxy.port)
            if not answer.startswith(b"HTTP/1.1 101"):
                refused = answer
                visitor.close()
                break
            visitors.append(visitor)
            if number % 500 == 0:
                assert proxy.api("GET", "/api/routes")[0] == 200
        assert re.match(rb"HTTP/1\.1 503 .*\r\nRetry-After: \d+\r\n", refused, re.DOTALL)
        assert len(visitors) >= 1950  # one of several may be full before the others are
        figures = proxy.ask("/metrics", port=proxy.metrics_port)[2].decode()
        assert f"moorage_websockets {len(visitors)}\n" in figures
        assert f"moorage_descriptors_limit {4096 * (acceptors + (acceptors > 1))}\n" in figures
        assert json.loads(proxy.api("GET", "/api/routes")[2]).keys() == {"/"}
        for visitor in visitors:
            visitor.sendall(b"x")
        assert all(visitor.recv(1) == b"x" for visitor in visitors)
        for visitor in visitors:
            visitor.close()

        def admitted() -> bool:
            visitor, answer = opened(proxy.port)
            visitor.close()
            return answer.startswith(b"HTTP/1.1 101")

        assert until(admitted, 60.0)
        for each in (process, back):
            each.send_signal(signal.SIGTERM)
        assert command.ended(process).code == 0
        back.wait(60)
