"""``moorage temp --proxy`` behind real proxies: configurable-http-proxy of npm and of PyPI, and moorage's."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from cli.test_temp_run import TOY, Temp, running
from command import DEADLINE, Command, typed_in, until
from real.test_temp import Visit, open_notebook

pytestmark = [pytest.mark.real, pytest.mark.skipif(sys.platform == "win32", reason="temp needs fork")]
VENV = Path(__file__).resolve().parents[2] / ".venv"
NAME = "configurable-http-proxy"
TOKEN = {"CONFIGPROXY_AUTH_TOKEN": "a-secret"}


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with typed_in(tmp_path) as made:
        made.env |= TOKEN
        yield made
        shutil.rmtree(made.runtime / "state", ignore_errors=True)


def program(kind: str) -> list[str]:
    """Return the command of a proxy; skip the test where it is not there."""
    if kind == "moorage":
        return [sys.executable, "-m", "moorage", "proxy"]
    found = VENV / "node" / "bin" / NAME if kind == "npm" else Path(sys.executable).with_name(NAME)
    if not found.exists() or (kind == "npm" and shutil.which("node") is None):
        pytest.skip(f"there is no {NAME} of {kind} here")
    return [str(found)]


class Outer:
    """A proxy that runs, and may be started again at the same ports."""

    def __init__(self, command: Command, kind: str) -> None:
        self._command, self._words = command, program(kind)
        self.port = 10_000 + 2 * secrets.randbelow(10_000)  # below those that the system hands out
        self.url = f"http://127.0.0.1:{self.port + 1}"
        self.log = command.cwd / f"proxy{self.port}"
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        own = ["--ip", "127.0.0.1", "--port", str(self.port)]
        own += ["--api-ip", "127.0.0.1", "--api-port", str(self.port + 1)]
        with self.log.open("ab") as file:
            process = self._command.launch([*self._words, *own], stdout=file, stderr=file)
        assert until(lambda: self.routes() is not None or process.poll() is not None, DEADLINE)
        assert process.poll() is None, self.log.read_text()
        return process

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def routes(self) -> dict[str, Any] | None:
        headers = {"Authorization": f"token {TOKEN['CONFIGPROXY_AUTH_TOKEN']}"}
        asked = urllib.request.Request(f"{self.url}/api/routes", headers=headers)
        with suppress(OSError), urllib.request.urlopen(asked, timeout=DEADLINE) as answer:
            return {"/" + path.strip("/"): route for path, route in json.load(answer).items()}
        return None

    def until_routed(self, *paths: str) -> dict[str, Any]:
        assert until(lambda: {*(self.routes() or {})} == {*paths}, DEADLINE), self.routes()
        return self.routes() or {}


@contextmanager
def outer(command: Command, kind: str) -> Iterator[Outer]:
    made = Outer(command, kind)
    try:
        yield made
    finally:
        made.kill()


class Through(Temp):
    """A browser that comes to a service by a proxy."""

    def __init__(self, temp: Temp, proxy: Outer) -> None:
        self.process, self.log, self.port, self.cookies = temp.process, temp.log, proxy.port, {}


@contextmanager
def behind(command: Command, proxy: Outer, *words: object) -> Iterator[tuple[Temp, Through]]:
    if not words:
        words = ("--command", TOY)
    with running(command, *words, "--proxy", proxy.url, "--i-accept-no-isolation") as temp:
        yield temp, Through(temp, proxy)


@pytest.mark.parametrize("kind", ["moorage", "npm", "python"])
def test_visitors_come_by_it_and_its_routes_are_kept(command: Command, kind: str) -> None:
    with outer(command, kind) as proxy, behind(command, proxy) as (temp, ann):
        assert f"Open the proxy of {proxy.url}, which leads visitors to" in temp.said()
        assert "What is its own then" in temp.said()
        here = f"http://127.0.0.1:{re.search(r'leads visitors to http://[^ ]*:([0-9]+)/', temp.said())[1]}"
        assert proxy.until_routed("/")["/"]["target"] == here
        path = ann.server()
        assert json.loads(ann.ask("GET", path)[2])["path"] == path
        route = f"/user/{path.split('/')[2]}"
        assert proxy.until_routed("/", route)[route]["target"] == here
        ben = Through(temp, proxy)
        assert ben.ask("GET", path)[0] == 404
        assert json.loads(ann.ask("GET", f"/time-left?server={path.split('/')[2]}")[2])["ended"] is None

        proxy.kill()
        assert until(lambda: f"the proxy at {proxy.url} does not answer" in temp.said(), DEADLINE)
        proxy.process = proxy.start()
        proxy.until_routed("/", route)
        assert until(lambda: "has all routes again: 2 were missing" in temp.said(), DEADLINE)
        assert json.loads(ann.ask("GET", path)[2])["path"] == path

        token = re.search(r'name="token" value="(\w+)"', ann.ask("GET", "/server")[2])[1]
        ann.ask("POST", "/end", f"token={token}&to=")
        proxy.until_routed("/")
        temp.process.kill()
        temp.process.wait()
        assert {*proxy.routes()} == {"/"}  # nothing was there to delete it
        with behind(command, proxy) as (again, _):
            assert again.port != temp.port
            assert until(lambda: proxy.routes()["/"]["target"] == f"http://127.0.0.1:{again.port}", DEADLINE)
        assert proxy.routes() == {}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["npm", "python"])
def test_a_cell_runs_in_jupyterlab_behind_it(command: Command, kind: str) -> None:
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    with outer(command, kind) as proxy, behind(command, proxy, "--max-age", "3600") as (_, ann):
        visit = Visit(ann)
        with open_notebook(visit) as notebook:
            assert notebook.run("print(6 * 7)") == "42"


def test_what_cannot_be_is_told(command: Command) -> None:
    state = ["--port", "0", "--state", command.runtime / "state", "--command", TOY, "--i-accept-no-isolation"]
    with socket.create_server(("127.0.0.1", 0)) as bound:
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    done = command("temp", *state, "--proxy", url, code=2)
    assert f"the proxy at {url} does not answer" in done.stderr
    with outer(command, "moorage") as proxy:
        command.env["CONFIGPROXY_AUTH_TOKEN"] = "guessed"
        done = command("temp", *state, "--proxy", proxy.url, code=2)
        assert "refuses the token" in done.stderr
        assert "Set CONFIGPROXY_AUTH_TOKEN" in done.stderr
        assert "guessed" not in done.stderr
    done = command("temp", *state, "--proxy", "127.0.0.1:8001", code=2)
    assert "--proxy 127.0.0.1:8001 cannot be" in done.stderr
