"""Servers of a JupyterHub, by moorage's spawner and by its own: how soon users have one, and its memory.

    python -m bench.hub_spawner [USERS] [ROUNDS]

Each round runs a hub on ``moorage proxy`` twice, with the spawner ``moorage`` and with ``simple``
(JupyterHub's LocalProcessSpawner without accounts), by turns. All users log in at once and ask for a server;
then once more, after all have stopped it: the first time has the template's imports in it. Memory is PSS, of
the server and its keeper, a while after the last one is ready; the template's is told apart.
"""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

SETTLED = 5.0
"""Seconds after which an idle server's memory is looked at: no event tells that it is idle."""
BIN = Path(sys.executable).parent
CONFIG = """
c.ConfigurableHTTPProxy.command = ["moorage", "proxy"]
c.JupyterHub.bind_url = "http://127.0.0.1:{0}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{1}"
c.JupyterHub.hub_port = {2}
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "{3}"
c.Spawner.http_timeout = c.Spawner.start_timeout = 300
c.Spawner.args = ["--allow-root"]
c.MoorageSpawner.users_dir = "users"
c.SimpleLocalProcessSpawner.home_dir_template = "{4}/users/{{username}}"
"""


class Browser:
    """Keeps cookies."""

    def __init__(self, port: int, name: str) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._cookies))
        self.name = name

    def ask(self, path: str, data: bytes | None = None, method: str | None = None) -> tuple[int, str]:
        """Return status and text."""
        request = urllib.request.Request(self._base + path, data, method=method)
        for each in self._cookies:
            if each.name == "_xsrf" and each.path == "/hub/" and data is not None:
                request.add_header("X-XSRFToken", each.value or "")
        request.add_header("Referer", f"{self._base}/hub/home")
        if path.startswith("/hub/api"):
            request.add_header("Content-Type", "application/json")
        try:
            with self._opener.open(request, timeout=300) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def log_in(self) -> None:
        """Log in."""
        found = re.search(r'name="_xsrf" value="([^"]+)"', self.ask("/hub/login")[1])
        assert found is not None
        form = {"username": self.name, "password": "x", "_xsrf": found[1]}
        assert self.ask("/hub/login?next=/hub/home", urllib.parse.urlencode(form).encode())[0] == 200

    def start(self) -> float:
        """Return the seconds from the wish for a server until it answers by the proxy."""
        begun = time.perf_counter()
        status, text = self.ask(f"/hub/api/users/{self.name}/server", b"{}")
        assert status in {201, 202}, text
        while '"version"' not in self.ask(f"/user/{self.name}/api")[1]:
            assert time.perf_counter() < begun + 300
            time.sleep(0.05)
        return time.perf_counter() - begun

    def stop(self) -> None:
        """Stop the server."""
        assert self.ask(f"/hub/api/users/{self.name}/server", b"", "DELETE")[0] in {202, 204}
        while True:
            status, text = self.ask(f"/hub/api/users/{self.name}")
            if status == 200 and not json.loads(text)["servers"]:
                return
            time.sleep(0.05)


def free_ports() -> list[int]:
    """Return three ports that nothing listens at."""
    with socket.socket() as one, socket.socket() as two, socket.socket() as three:
        for each in (one, two, three):
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in (one, two, three)]


@contextmanager
def hub(spawner: str) -> Iterator[tuple[int, Path]]:
    """Run a hub; yield its port and its folder."""
    folder = Path(tempfile.mkdtemp(prefix="mb-", dir="/tmp"))
    (folder / "users").mkdir()
    ports = free_ports()
    (folder / "jupyterhub_config.py").write_text(CONFIG.format(*ports, spawner, folder))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [BIN / "jupyterhub"],
            cwd=folder,
            stdout=log,
            stderr=log,
            env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
        )
    try:
        while Browser(ports[0], "").ask("/hub/health")[0] != 200:
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield ports[0], folder
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def pss(pid: int) -> float:
    """Return the memory of a process in MB."""
    found = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) / 1000 if found else 0.0


def servers(folder: Path) -> list[list[int]]:
    """Return the processes of each server of a hub: itself and, where it has one, its keeper."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            environment = (entry / "environ").read_bytes() if entry.name.isdecimal() else b""
        except OSError:
            continue
        if b"JUPYTERHUB_USER=" in environment and os.fsencode(folder) in environment:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            keeper = b"moorage.keeper" in Path(f"/proc/{parent}/cmdline").read_bytes()
            found.append([int(entry.name), *([parent] if keeper else [])])
    return found


def measured(spawner: str, users: int) -> dict[str, list[float]]:
    """Run one hub; return the seconds of first and second starts, and MB of memory."""
    told: dict[str, list[float]] = {}
    with hub(spawner) as (port, folder), ThreadPoolExecutor(users) as pool:
        browsers = [Browser(port, f"user{number}") for number in range(users)]
        list(pool.map(Browser.log_in, browsers))
        told["first"] = list(pool.map(Browser.start, browsers))
        list(pool.map(Browser.stop, browsers))
        told["again"] = list(pool.map(Browser.start, browsers))
        time.sleep(SETTLED)
        told["memory"] = [sum(map(pss, each)) for each in servers(folder)]
        template = re.findall(r"Servers are forked from template (\d+)", (folder / "log").read_text())
        told["template"] = [pss(int(template[-1]))] if template else []
    return told


def main(users: int = 5, rounds: int = 2) -> None:
    """Print one line for each spawner."""
    figures: dict[str, dict[str, list[float]]] = {"moorage": {}, "simple": {}}
    for _ in range(rounds):
        for spawner, told in figures.items():
            for name, values in measured(spawner, users).items():
                told.setdefault(name, []).extend(values)
    for spawner, told in figures.items():
        first, again, memory = told["first"], told["again"], told["memory"]
        print(f"{spawner:8} {len(memory)} servers of {users * rounds}", end=": ")
        print(f"ready in {statistics.median(first):.2f} s, the last in {max(first):.2f} s", end="; ")
        print(f"once more {statistics.median(again):.2f} and {max(again):.2f} s", end="; ")
        print(f"{statistics.mean(memory):.1f} MB each", end="")
        print(f", and the template {statistics.mean(told['template']):.0f} MB" if told["template"] else "")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
