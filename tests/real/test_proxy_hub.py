"""JupyterHub with ``moorage proxy`` in the place of configurable-http-proxy: one user, from login to end."""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command import DEADLINE, Command, typed_in, until
from real.test_plug import tool

pytestmark = [pytest.mark.real, pytest.mark.slow]

PAGE = Path(__file__).parents[2] / "docs/how-to/jupyterhub-proxy.md"
CONFIG = """
{told}
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api}"
c.JupyterHub.hub_port = {hub}
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.Spawner.cmd = [{single!r}, "--allow-root"]
c.Spawner.environment = {{"JUPYTERHUB_SINGLEUSER_APP": "jupyter_server.serverapp.ServerApp"}}
"""
FIRST_PORT = 18470


class Browser:
    """Cookies, and the last page."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def ask(
        self, path: str, data: bytes | None = None, method: str | None = None, **fields: str
    ) -> tuple[int, str]:
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        request = urllib.request.Request(self.base + path, data, named, method=method)
        try:
            with self._opener.open(request, timeout=DEADLINE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def log_in(self, name: str) -> None:
        page = self.ask("/hub/login")[1]
        found = re.search(r'name="_xsrf" value="([^"]+)"', page)
        assert found is not None, page
        form = urllib.parse.urlencode({"username": name, "password": "x", "_xsrf": found[1]}).encode()
        assert self.ask("/hub/login?next=/hub/spawn", form)[0] == 200

    def token(self, name: str) -> str:
        xsrf = next(each.value for each in self.cookies if each.name == "_xsrf" and each.path == "/hub/")
        fields = {"X_XSRFToken": xsrf or "", "Referer": f"{self.base}/hub/token"}
        fields["Content_Type"] = "application/json"
        status, text = self.ask(f"/hub/api/users/{name}/tokens", b"{}", **fields)
        assert status == 201, text
        return json.loads(text)["token"]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[Browser, subprocess.Popen[bytes], Command]]:
    pytest.importorskip(
        "jupyterhub", reason="jupyterhub is not installed here: `sh scripts/setup.sh test` brings it"
    )
    told = re.search(r"^```py\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert told is not None
    text = CONFIG.format(
        told=told[1],
        port=FIRST_PORT,
        api=FIRST_PORT + 1,
        hub=FIRST_PORT + 2,
        single=tool("jupyterhub-singleuser"),
    )
    (tmp_path / "jupyterhub_config.py").write_text(text)
    with typed_in(tmp_path) as command, (tmp_path / "log").open("wb") as log:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        process = command.launch([tool("jupyterhub")], stdout=log, stderr=log, env={"PATH": path})
        browser = Browser(FIRST_PORT)
        assert until(lambda: browser.ask("/hub/health")[0] == 200, DEADLINE), (tmp_path / "log").read_text()
        yield browser, process, command
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE)
        log_text = (tmp_path / "log").read_text()
        assert "Traceback" not in log_text
        assert "Removing route /user/ann" in log_text


def test_a_user_logs_in_runs_a_cell_and_stops(hub: Any) -> None:
    browser, _, command = hub
    websocket = pytest.importorskip("websocket", reason="websocket-client is not installed here")
    browser.log_in("ann")
    assert until(lambda: '"version"' in browser.ask("/user/ann/api")[1], DEADLINE)
    # JupyterHub starts a proxy again that has died, and gives it its routes.
    pid = int(command.cwd.joinpath("jupyterhub-proxy.pid").read_text().split()[0])
    assert b"moorage" in Path(f"/proc/{pid}/cmdline").read_bytes()
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: '"version"' not in browser.ask("/user/ann/api")[1], DEADLINE)
    assert until(lambda: '"version"' in browser.ask("/user/ann/api")[1], DEADLINE)
    authorised = {"Authorization": f"token {browser.token('ann')}"}
    kernel = json.loads(browser.ask("/user/ann/api/kernels", b'{"name": "python3"}', **authorised)[1])["id"]
    url = f"ws://127.0.0.1:{FIRST_PORT}/user/ann/api/kernels/{kernel}/channels?session_id=1"
    line = websocket.create_connection(url, header=authorised, timeout=DEADLINE)
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": "1", "username": ""}
    header |= {"date": "2026-01-01T00:00:00Z", "version": "5.3"}
    content = {"code": "print(6 * 7)", "silent": False, "store_history": False, "allow_stdin": False}
    request = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}}
    line.send(json.dumps(request | {"content": content | {"user_expressions": {}}}))
    while (message := json.loads(line.recv()))["msg_type"] != "stream":
        pass
    assert message["content"]["text"] == "42\n"
    assert browser.ask("/hub/api/users/ann/server", method="DELETE", **authorised)[0] in {202, 204}
    with pytest.raises((websocket.WebSocketException, OSError)):
        json.loads("".join(iter(line.recv, None)))
    line.close()
    assert until(lambda: '"version"' not in browser.ask("/user/ann/api")[1], DEADLINE)
