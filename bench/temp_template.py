"""Visitors' servers, forked and spawned: how soon a crowd is in JupyterLab, and what an idle server costs.

    python -m bench.temp_template [VISITORS] [ROUNDS]

Each round runs ``moorage temp`` twice, forked and with ``--no-fork``, by turns. A visitor presses the button
and follows to the page of JupyterLab; all do so at once, when the service is ready, with its template where
it has one. Memory is PSS, a while after the last one came in.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

SETTLED = 5.0
"""Seconds after which an idle server's memory is looked at: no event tells that it is idle."""
READY = "Servers are forked from template"


class Browser:
    """Keeps cookies and follows redirects by hand."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str, str]:
        """Return status, Location and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=300)
        fields = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if body is not None:
            fields["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, body, fields)
        answer = connection.getresponse()
        for field in answer.headers.get_all("Set-Cookie", []):
            name, _, value = field.partition(";")[0].partition("=")
            self._cookies[name] = value
        told = answer.status, answer.headers.get("Location", ""), answer.read().decode()
        connection.close()
        return told

    def visit(self) -> float:
        """Return the seconds from the front page to the page of JupyterLab."""
        begun = time.perf_counter()
        form = re.search(r'name="token" value="(\w+)"', self.ask("GET", "/")[2])
        assert form is not None
        location = self.ask("POST", "/start", f"token={form[1]}&to=")[1]
        while not location.startswith("/user/"):
            status, location, text = self.ask("GET", "/ready?to=")
            assert status == 303, text
        assert self.ask("GET", location)[0] == 200
        return time.perf_counter() - begun


@contextmanager
def service(capacity: int, *more: str, forked: bool) -> Iterator[tuple[int, Path, Path]]:
    """Run ``moorage temp``; yield its port, its state directory and its log."""
    folder = Path(tempfile.mkdtemp(prefix="mb-", dir="/tmp"))
    words = ["--port", "0", "--state", str(folder / "s"), "--capacity", str(capacity), *more]
    log = folder / "log"
    with log.open("wb") as file:
        command = [sys.executable, "-m", "moorage", "temp", *words, *([] if forked else ["--no-fork"])]
        process = subprocess.Popen(command, stdout=file, stderr=file, cwd=folder)
    try:
        while "Ctrl-C" not in (text := log.read_text()) or (forked and READY not in text):
            time.sleep(0.05)
        port = re.search(r"Open http://[^ ]*:(\d+)/", text)
        assert port is not None
        yield int(port[1]), folder / "s", log
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def memory(pid: int) -> tuple[float, float]:
    """Return a process's PSS, and what of it is its own alone, in MiB."""
    found = dict(re.findall(r"(\w+): +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text()))
    return int(found["Pss"]) / 1024, (int(found["Private_Dirty"]) + int(found["Private_Clean"])) / 1024


def once(visitors: int, *, forked: bool) -> dict[str, float]:
    """Let a crowd in, and return what it took."""
    with service(visitors, forked=forked) as (port, state, _):
        with ThreadPoolExecutor(visitors) as pool:
            seconds = sorted(pool.map(lambda _: Browser(port).visit(), range(visitors)))
        time.sleep(SETTLED)
        records = [json.loads(path.read_text()) for path in (state / "kept").glob("*/record.json")]
        servers = [memory(record["charge"]["pid"]) for record in records]
        keepers = [memory(record["keeper"]["pid"]) for record in records]
        stats = [Path(f"/proc/{record['charge']['pid']}/stat").read_text() for record in records]
    ticks = [stat.rpartition(")")[2].split()[11:13] for stat in stats]
    return {
        "first in (s)": seconds[0],
        "median in (s)": statistics.median(seconds),
        "last in (s)": seconds[-1],
        "CPU of a server (s)": statistics.mean(sum(map(int, each)) / 100 for each in ticks),
        "server PSS (MiB)": statistics.mean(pss for pss, _ in servers),
        "server, its own (MiB)": statistics.mean(own for _, own in servers),
        "keeper PSS (MiB)": statistics.mean(pss for pss, _ in keepers),
        "keeper, its own (MiB)": statistics.mean(own for _, own in keepers),
    }


def main(visitors: int = 20, rounds: int = 3) -> None:
    """Measure, and print medians of the rounds."""
    found: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    for _ in range(rounds):
        for forked, results in found.items():
            results.append(once(visitors, forked=forked))
    print(f"| {visitors} visitors at once, medians of {rounds} rounds | forked | spawned |\n|---|---|---|")
    for name in found[True][0]:
        forked, spawned = (statistics.median(each[name] for each in found[way]) for way in (True, False))
        print(f"| {name} | {forked:.2f} | {spawned:.2f} |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
