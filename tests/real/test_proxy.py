"""A real Jupyter server behind the proxy: its REST API, and a kernel's websocket that runs a cell."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.test_proxy_run import Running, running
from command import DEADLINE, Command, typed_in, until
from real.test_plug_server import AUTHORISED, Notebook, Server

pytestmark = pytest.mark.real


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    (tmp_path / "work").mkdir()
    with typed_in(tmp_path / "work") as made:
        yield made


class Proxied(Server):
    """The same server, reached through the proxy."""

    def __init__(self, command: Command, proxy: Running) -> None:
        self.proxy: Running | None = None
        super().__init__(command, "--ServerApp.allow_remote_access=True")
        self.proxy = proxy
        target = "http+unix://" + self.path.replace("/", "%2F")
        assert proxy.api("POST", "/api/routes/", json.dumps({"target": target}))[0] == 201

    def connect(self) -> socket.socket:
        if self.proxy is None:
            return super().connect()
        return socket.create_connection(("127.0.0.1", self.proxy.port), timeout=DEADLINE)


def last_activity(proxy: Running) -> str:
    return json.loads(proxy.api("GET", "/api/routes")[2])["/"]["last_activity"]


def test_a_cell_runs_through_the_proxy(command: Command, tmp_path: Path) -> None:
    with running(tmp_path) as proxy:
        server = Proxied(command, proxy)
        try:
            assert "version" in server.ask("GET", "/api")
            big = "x" * 3_000_000
            content = {"type": "file", "format": "text", "content": big}
            assert server.ask("PUT", "/api/contents/big.txt", content)["size"] == len(big)
            assert server.ask("GET", "/api/contents/big.txt?content=1")["content"] == big
            kernel = server.ask("POST", "/api/kernels", {"name": "python3"})["id"]
            notebook = Notebook(server, kernel)
            notebook.hear()
            before = last_activity(proxy)
            assert until(lambda: notebook.run("print(6 * 7)") == "42" and last_activity(proxy) > before)
            assert notebook.run("print('y' * 1_000_000)") == "y" * 1_000_000
            assert proxy.api("DELETE", "/api/routes/")[0] == 204
            with pytest.raises((notebook.websocket.WebSocketException, OSError)):
                notebook.until(lambda _: False)
            status, _, _ = proxy.ask(f"/api/kernels/{kernel}", **AUTHORISED)
            assert status == 404
        finally:
            server.proxy = None
            server.stop()


def test_a_server_that_stops_is_a_503_and_one_that_comes_back_answers(
    command: Command, tmp_path: Path
) -> None:
    with running(tmp_path) as proxy:
        server = Proxied(command, proxy)
        try:
            assert proxy.ask("/api")[0] == 200
            server.process.terminate()
            server.process.wait(DEADLINE)
            assert until(lambda: proxy.ask("/api")[0] == 503)
            Path(server.path).unlink(missing_ok=True)
            again = Proxied(command, proxy)
            assert proxy.ask("/api")[0] == 200
            again.proxy = None
            again.stop()
        finally:
            server.process.kill()
            server.process.wait(DEADLINE)
