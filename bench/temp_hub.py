"""A crowd before ``moorage temp`` and before JupyterHub with tmpauthenticator: how soon all are inside.

    python -m bench.temp_hub [VISITORS] [ROUNDS]

Each round runs ``moorage temp --spares 2`` and a hub, by turns; all visitors come at once. A visitor opens
the front page with a browser's cookies, and the time runs until it has the page of JupyterLab; the hub's
pages lead there by themselves. The hub is that of tmpauthenticator's README, with local processes and
configurable-http-proxy (Node), and with ``Authenticator.allow_all``, without which it admits no visitor; its
packages are fetched into an environment of their own in the system's temporary directory. Memory is PSS of a
server (with its keeper), a while after the last visitor came in. Needs JupyterLab, node and npm.
"""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import temp_template
from bench.hub_spawner import free_ports, pss, servers
from bench.proxy_speed import peers

SETTLED = 5.0
"""Seconds after which an idle server's memory is looked at: no event tells that it is idle."""
PATIENCE = 300.0
SPARES = 2
FOLDER = Path(tempfile.gettempdir()) / "moorage-bench-hub"
CONFIG = """
c.ConfigurableHTTPProxy.command = {3}
c.JupyterHub.bind_url = "http://127.0.0.1:{0}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{1}"
c.JupyterHub.hub_port = {2}
c.JupyterHub.authenticator_class = "tmp"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.Spawner.args = ["--allow-root"]
c.SimpleLocalProcessSpawner.home_dir_template = "{4}/users/{{username}}"
"""


class Refused(Exception):
    """A visitor got an error in the place of a server."""


@dataclass
class Found:
    """What the rounds of one of the two have shown: seconds, MB, and what visitors were told instead."""

    seconds: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


class HubVisitor:
    """Keeps cookies and goes where the pages of a hub lead."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(jar)

    def get(self, path: str) -> tuple[str, str]:
        """Return where a path has led to, and the text there."""
        try:
            with self._opener.open(self._base + path, timeout=PATIENCE) as answer:
                return answer.url.removeprefix(self._base), answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(f"{error.code} {error.url.removeprefix(self._base)[:24]}") from error
        except OSError as error:
            raise Refused(str(error)) from error

    def visit(self) -> float:
        """Return the seconds from the front page to the page of JupyterLab."""
        begun = time.perf_counter()
        where, text = self.get("/")
        while "/lab" not in where:
            progress = re.search(r'"(/hub/api/users/[^"]+/server/progress[^"]*)"', text)
            if progress is None:
                raise Refused(f"{where[:40]} leads nowhere")
            # The page listens to this stream of events, and goes where it was told to when there is a server.
            events = self.get(progress[1].replace("\\u0026", "&"))[1]
            last = json.loads(events.strip().rpartition("data: ")[2])
            if not last.get("ready"):
                raise Refused(str(last.get("message", last))[:80])
            where, text = self.get(last["url"])
        return time.perf_counter() - begun


def hub_command() -> list[str]:
    """Return the command of the hub; fetch its packages where they are missing."""
    environment = FOLDER / "hub"
    if not (environment / "bin/jupyterhub").is_file():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        wanted = ["jupyterhub>=5", "jupyterhub-tmpauthenticator", "jupyterlab"]
        subprocess.run([environment / "bin/pip", "install", "--quiet", *wanted], check=True)
    return [str(environment / "bin/jupyterhub")]


@contextmanager
def hub() -> Iterator[tuple[int, Path]]:
    """Run a hub; yield its port and its folder."""
    folder = Path(tempfile.mkdtemp(prefix="mb-", dir="/tmp"))
    (folder / "users").mkdir()
    ports = free_ports()
    proxy = peers(FOLDER)["configurable-http-proxy (Node)"]
    (folder / "jupyterhub_config.py").write_text(CONFIG.format(*ports, proxy, folder))
    command = hub_command()
    path = f"{Path(command[0]).parent}:{os.environ['PATH']}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env={**os.environ, "PATH": path}
        )
    try:
        while True:
            try:
                HubVisitor(ports[0]).get("/hub/health")
                break
            except Refused:
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
        yield ports[0], folder
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def crowd(visit: Callable[[], float], visitors: int, found: Found) -> None:
    """Have visitors come at once, and take note of what each got."""

    def come(_: int) -> float | str:
        try:
            return visit()
        except Refused as error:
            return str(error)

    with ThreadPoolExecutor(visitors) as pool:
        told = list(pool.map(come, range(visitors)))
    seconds = [each for each in told if isinstance(each, float)]
    found.seconds += seconds
    found.last += [max(seconds, default=PATIENCE)]
    found.refused += [each for each in told if isinstance(each, str)]
    time.sleep(SETTLED)


def at_the_hub(visitors: int, found: Found) -> None:
    """Run one round at the hub."""
    with hub() as (port, folder):
        crowd(lambda: HubVisitor(port).visit(), visitors, found)
        found.memory += [sum(map(pss, each)) for each in servers(folder)]


def at_moorage(visitors: int, found: Found) -> None:
    """Run one round at ``moorage temp``."""
    words = ["--spares", str(SPARES)]
    with temp_template.service(visitors, *words, forked=True) as (port, state, log):
        while len(re.findall(r"Server \w+ answers", log.read_text())) < SPARES:
            time.sleep(0.05)
        crowd(lambda: temp_template.Browser(port).visit(), visitors, found)
        records = [json.loads(path.read_text()) for path in (state / "kept").glob("*/record.json")]
        found.memory += [pss(each["charge"]["pid"]) + pss(each["keeper"]["pid"]) for each in records]


def main(visitors: int = 20, rounds: int = 2) -> None:
    """Print a line for each of the two."""
    ways = {f"moorage temp --spares {SPARES}": at_moorage, "JupyterHub, tmpauthenticator": at_the_hub}
    results = {name: Found() for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            way(visitors, results[name])
    print(f"{visitors} visitors at once, {rounds} rounds in turn: seconds from the front page to JupyterLab")
    for name, found in results.items():
        median = statistics.median(found.seconds) if found.seconds else float("nan")
        memory = statistics.mean(found.memory) if found.memory else float("nan")
        print(f"{name:30} median {median:6.2f} s, the last {statistics.median(found.last):6.2f} s", end=", ")
        print(f"{memory:4.0f} MB each, {len(found.refused)} got an error {sorted(set(found.refused))}")


if __name__ == "__main__":
    if missing := [each for each in ("node", "npm") if not shutil.which(each)]:
        raise SystemExit(f"{' and '.join(missing)} missing: sudo apt-get install nodejs npm")
    main(*map(int, sys.argv[1:3]))
