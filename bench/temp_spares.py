"""How long visitors of ``moorage temp`` wait from the button to the redirect into their server, with spares.

Visitors come in rounds, as many at once as there are spares, each round when all spares are ready again. The
time runs from the request of the button until its answer leads to the server; the page that opens there is
asked for, too. Each visitor ends its server after that. Needs JupyterLab.

    python -m bench.temp_spares [--spares N] [--rounds N] [--json FILE] [words of moorage temp ...]
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench.measure import HERE


class Visitor:
    """A browser with cookies."""

    def __init__(self, port: int) -> None:
        self.port, self.cookies = port, {}

    def ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        try:
            fields = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
            fields |= {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
            connection.request(method, path, body, fields)
            answer = connection.getresponse()
            for field in answer.headers.get_all("Set-Cookie", []):
                name, _, value = field.partition(";")[0].partition("=")
                self.cookies[name] = value
            return answer.status, answer.headers.get("Location", ""), answer.read().decode()
        finally:
            connection.close()

    def press(self, page: str, action: str) -> tuple[int, str, str]:
        token = re.search(r'name="token" value="(\w+)"', self.ask("GET", page)[2])[1]
        return self.ask("POST", action, f"token={token}&to=")

    def visit(self, times: dict[str, list[float]]) -> None:
        token = re.search(r'name="token" value="(\w+)"', self.ask("GET", "/")[2])[1]
        begun = time.perf_counter()
        status, location, text = self.ask("POST", "/start", f"token={token}&to=")
        led = time.perf_counter()
        while not location.startswith("/user/"):
            status, location, text = self.ask("GET", "/ready?to=")
            led = time.perf_counter()
            assert status == 303, text
        assert self.ask("GET", location)[0] == 200
        times["redirect"].append(led - begun)
        times["page"].append(time.perf_counter() - begun)
        self.press("/server", "/end")


def measure(spares: int, rounds: int, words: list[str]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {"redirect": [], "page": []}
    with tempfile.TemporaryDirectory(prefix="mt-", dir="/tmp") as folder:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "moorage", "temp", "--port", "0", "--state", f"{folder}/s"]
        command += ["--spares", str(spares), "--capacity", str(3 * spares), *words]
        with log.open("wb") as file:
            process = subprocess.Popen(command, cwd=HERE, stdout=file, stderr=file)
        try:
            for number in range(rounds):
                while log.read_text().count("answers") < (number + 1) * spares:
                    assert process.poll() is None, log.read_text()
                    time.sleep(0.1)
                port = int(re.search(r"Open http://[^ ]*:(\d+)/", log.read_text())[1])
                visits = [threading.Thread(target=Visitor(port).visit, args=(times,)) for _ in range(spares)]
                for visit in visits:
                    visit.start()
                for visit in visits:
                    visit.join()
            assert len(times["page"]) == rounds * spares
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spares", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    options, words = parser.parse_known_args()
    found = {}
    for name, times in measure(options.spares, options.rounds, words).items():
        cuts = statistics.quantiles(times, n=100, method="inclusive")
        found[name] = {"visitors": len(times), "p50": cuts[49], "p95": cuts[94], "max": max(times)}
        print(f"{name:9}", *(f"{key} {value:.4g}" for key, value in found[name].items()), "seconds")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
