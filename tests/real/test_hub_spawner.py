"""JupyterHub with the spawner ``moorage``: five users at once, a hub that is killed, servers that end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from command import DEADLINE, Command, marked, typed_in, until
from moorage.jupyter.hub_servers import server_id
from moorage.process import procfs
from real.test_plug import tool
from real.test_proxy_hub import Browser

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="servers are forked on Linux alone"),
]
pytest.importorskip(
    "jupyterhub", reason="jupyterhub is not installed here: `sh scripts/setup.sh test` brings it"
)
pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
websocket = pytest.importorskip("websocket", reason="websocket-client is not installed here")

PAGE = Path(__file__).parents[2] / "docs/how-to/jupyterhub-proxy.md"
CONFIG = """
c.ConfigurableHTTPProxy.command = ["moorage", "proxy"]
c.JupyterHub.bind_url = "http://127.0.0.1:{0}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{1}"
c.JupyterHub.hub_port = {2}
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.MoorageSpawner.users_dir = "users"
c.Spawner.env_keep = ["PATH", "LANG", "MOORAGE_TEST_RUN", "XDG_RUNTIME_DIR"]
"""
NAMES = ("ann", "bob", "cat", "dan", "eve")


def free_ports() -> list[int]:
    """Return three ports that nothing listens at: a hub takes numbers only."""
    with socket.socket() as one, socket.socket() as two, socket.socket() as three:
        for each in (one, two, three):
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in (one, two, three)]


class Hub:
    """A hub that can be started again."""

    def __init__(self, command: Command, more: str = "") -> None:
        self.command = command
        ports = free_ports()
        self.port = ports[0]
        told = re.findall(r"^```py\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        (command.cwd / "jupyterhub_config.py").write_text(f"{told[1]}{CONFIG.format(*ports)}{more}")
        self.servers = command.cwd / "moorage-servers"

    def start(self) -> None:
        log = self.command.cwd / "log"
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        with log.open("ab") as file:
            self.process: subprocess.Popen[bytes] = self.command.launch(
                [tool("jupyterhub")], stdout=file, stderr=file, env={"PATH": path}
            )
        up = Browser(self.port)
        assert until(lambda: up.ask("/hub/health")[0] == 200, DEADLINE), self.said()

    def said(self) -> str:
        return (self.command.cwd / "log").read_text()

    def record(self, name: str) -> dict[str, Any]:
        return json.loads((self.servers / server_id(self.servers, name, "") / "record.json").read_text())

    def close(self) -> None:
        """End what a failed test leaves."""
        for pid in marked(self.command.mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def end(self, signum: int = signal.SIGTERM) -> None:
        self.process.send_signal(signum)
        self.process.wait(DEADLINE)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path: sockets are below it."""
    with tempfile.TemporaryDirectory(prefix="mt-", dir="/tmp") as made:
        yield Path(made)


@pytest.fixture
def hub(folder: Path) -> Iterator[Hub]:
    with typed_in(folder) as command:
        made = Hub(command)
        try:
            made.start()
            yield made
            made.end()
            assert "Traceback" not in made.said()
            assert until(lambda: not [*made.servers.iterdir()], DEADLINE)
        finally:
            made.close()


class User:
    """A user in a browser, with a server."""

    def __init__(self, name: str, port: int) -> None:
        self.name, self.port = name, port
        self.browser = Browser(port)
        self.browser.log_in(name)
        assert until(lambda: '"version"' in self.browser.ask(f"/user/{name}/api")[1], DEADLINE)
        self.authorised = {"Authorization": f"token {self.browser.token(name)}"}
        body = b'{"name": "python3"}'
        kernel = self.browser.ask(f"/user/{name}/api/kernels", body, **self.authorised)[1]
        self.kernel = json.loads(kernel)["id"]

    def run(self, code: str) -> str:
        """Run a cell over a websocket of its own, and return what it printed."""
        url = f"ws://127.0.0.1:{self.port}/user/{self.name}/api/kernels/{self.kernel}/channels?session_id=1"
        line = websocket.create_connection(url, header=self.authorised, timeout=DEADLINE)
        header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": "1", "username": ""}
        header |= {"date": "2026-01-01T00:00:00Z", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        request = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}}
        line.send(json.dumps(request | {"content": content | {"user_expressions": {}}}))
        while (message := json.loads(line.recv()))["msg_type"] != "stream":
            assert message["msg_type"] != "error", message
        line.close()
        return message["content"]["text"].strip()

    def stop(self) -> None:
        path = f"/hub/api/users/{self.name}/server"
        assert self.browser.ask(path, method="DELETE", **self.authorised)[0] in {202, 204}


def gone(pid: int) -> bool:
    row = procfs.look(pid)
    return row is None or row.dead


def test_five_users_at_once_and_a_hub_that_is_killed(hub: Hub) -> None:
    with ThreadPoolExecutor(len(NAMES)) as pool:
        users = list(pool.map(User, NAMES, [hub.port] * len(NAMES)))
        assert list(pool.map(lambda user: user.run("print(6 * 7)"), users)) == ["42"] * len(NAMES)
    for user in users:
        record = hub.record(user.name)
        words = Path(f"/proc/{record['keeper']['pid']}/cmdline").read_text()
        assert "moorage.keeper.process.main" in words, "it was forked"
        assert user.run("x = 1; import os; print(os.getcwd())") == str(hub.command.cwd / "users" / user.name)
        # The page itself is for a browser that the hub has let in: cookies of the server's own path.
        status, page = user.browser.ask(f"/user/{user.name}/lab")
        assert (status, "jupyter-config-data" in page) == (200, True), page
        paths = {each.name: each.path for each in user.browser.cookies}
        assert paths[f"jupyterhub-user-{user.name}"] == f"/user/{user.name}/"
    before = {user.name: hub.record(user.name)["charge"]["pid"] for user in users}
    hub.end(signal.SIGKILL)
    hub.start()
    for user in users:
        assert until(lambda user=user: '"version"' in user.browser.ask(f"/user/{user.name}/api")[1], DEADLINE)
        assert user.run("print(x + 1)") == "2"
        assert hub.record(user.name)["charge"]["pid"] == before[user.name]
    ann = users[0]
    pids = [hub.record("ann")["keeper"]["pid"], before["ann"]]
    (hub.command.cwd / "users/ann/mine.txt").write_text("mine")
    ann.stop()
    assert until(lambda: not (hub.servers / server_id(hub.servers, "ann", "")).exists(), DEADLINE)
    assert until(lambda: all(map(gone, pids)), DEADLINE)
    assert (hub.command.cwd / "users/ann/mine.txt").read_text() == "mine"
    os.kill(before["bob"], signal.SIGKILL)
    assert until(lambda: "bob server stopped with exit code: -9" in hub.said(), DEADLINE), hub.said()
    assert not (hub.servers / server_id(hub.servers, "bob", "")).exists()
