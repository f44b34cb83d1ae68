"""``moorage proxy`` beside configurable-http-proxy, in Node and in Python, in one run and interleaved.

Requests a second at 64 connections (wrk), websocket round trips a second at 100 sockets, 99th percentiles,
memory and descriptors at 5,000 idle websockets, and microseconds of processor time for each request and round
trip, which a busy machine changes least. Every request has another path and query, and the fields of a
browser. npm and pip fetch the peers into the system's temporary directory. Needs node, npm and wrk.

    python -m bench.proxy_speed [--seconds S] [--rounds N] [--idle N] [--peers FOLDER] [--json FILE]
"""

from __future__ import annotations

import argparse
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
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.measure import HERE

ORIGIN = """
const http = require('http');
http.createServer((q, r) => {
  r.writeHead(200, {'Content-Type': 'application/json', 'Content-Length': 1000});
  r.end('x'.repeat(1000));
}).listen(+process.argv[2], '127.0.0.1', () => console.log('ready'));
"""
WRK = """
local n = 0
request = function()
  n = n + 1
  return wrk.format('GET', '/user/user' .. (n % 50) .. '/api/contents/notebook.ipynb?content=1&t=' .. n)
end
wrk.headers['User-Agent'] = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36'
wrk.headers['Accept'] = '*/*'
wrk.headers['Accept-Language'] = 'en-US,en;q=0.9'
wrk.headers['Accept-Encoding'] = 'gzip, deflate, br'
wrk.headers['Referer'] = 'http://localhost:8000/user/ann/lab'
wrk.headers['Cookie'] = '_xsrf=2|8f2c4a31|5b1f0b0f2c9c4e6d8a7b|1764400000; ' ..
  'username-localhost-8000="2|1:0|10:1764400000|23:username-localhost-8000|44:ZGVhZGJlZWZk|0123456789abcdef"'
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(argv, ready=None, **rest):
    """Run a process beside the block; ``ready`` is a line that it prints, or a port that it opens."""
    process = subprocess.Popen(
        [str(word) for word in argv], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, **rest
    )
    try:
        if isinstance(ready, int):
            listening(ready, process)
        elif ready is not None:
            assert ready in process.stdout.readline(), argv
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def listening(port: int, process) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on {port}: {process.args}")


def peers(folder: Path) -> dict[str, list[str]]:
    """Return the commands to compare, by name; fetch what is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    node = folder / "node_modules/configurable-http-proxy/bin/configurable-http-proxy"
    if not node.is_file():
        subprocess.run(
            [
                "npm",
                "install",
                "--silent",
                "--no-fund",
                "--no-audit",
                "--prefix",
                folder,
                "configurable-http-proxy",
            ],
            check=True,
        )
    python = folder / "python"
    if not (python / "bin/configurable-http-proxy").is_file():
        subprocess.run([sys.executable, "-m", "venv", python], check=True)
        subprocess.run([python / "bin/pip", "install", "--quiet", "configurable-http-proxy"], check=True)
    return {
        "configurable-http-proxy (Node)": ["node", str(node), "--log-level", "error"],
        "configurable-http-proxy (Python)": [
            str(python / "bin/configurable-http-proxy"),
            "--log-level",
            "error",
        ],
        "moorage proxy": [sys.executable, "-m", "moorage", "proxy", "--log-level", "error"],
    }


def wrk(port: int, seconds: float, script: Path) -> dict[str, float]:
    argv = ["wrk", "-t1", "-c64", f"-d{seconds:.0f}s", "--latency", "-s", script, f"http://127.0.0.1:{port}/"]
    said = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in said, said
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", said).groups()
    scale = {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]
    rate, count = (
        float(re.search(word, said)[1]) for word in (r"Requests/sec:\s+([\d.]+)", r"(\d+) requests in")
    )
    return {"rate": rate, "count": count, "p99": float(number) * scale}


def talk(port: int, count: int, seconds: float) -> dict[str, float]:
    argv = [sys.executable, "-m", "bench.proxy_peer", "talk", str(port), str(count), str(seconds)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=HERE.parent)
    return json.loads(done.stdout)


def processor(pid: int) -> float:
    """Return the seconds of processor time that a process has used, all threads together."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def weight(pid: int) -> dict[str, float]:
    """Return memory in MB and the number of descriptors."""
    text = Path(f"/proc/{pid}/status").read_text()
    memory = int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024
    return {"memory": memory, "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir()))}


class Results:
    """Figures by name and quantity, one for each round."""

    def __init__(self) -> None:
        self.figures: dict[str, dict[str, list[float]]] = {}

    def note(self, name: str, **figures: float) -> None:
        for key, value in figures.items():
            self.figures.setdefault(name, {}).setdefault(key, []).append(value)
        print(f"  {name}: " + ", ".join(f"{key} {value:,.1f}" for key, value in figures.items()), flush=True)

    def median(self, name: str, key: str) -> float:
        return statistics.median(self.figures[name][key])


@contextmanager
def proxies(commands: dict[str, list[str]], target: int):
    """Run every proxy before one server; yield their processes and ports by name."""
    with ExitStack() as stack:
        found = {}
        for name, command in commands.items():
            port = free_port()
            words = [*command, "--ip", "127.0.0.1", "--port", port, "--api-ip", "127.0.0.1"]
            words += ["--api-port", free_port(), "--default-target", f"http://127.0.0.1:{target}"]
            found[name] = stack.enter_context(running(words, port, stderr=subprocess.DEVNULL)), port
        yield found


def requests(options, commands, results: Results, scripts: Path) -> None:
    """Measure requests a second, in turn."""
    (scripts / "wrk.lua").write_text(WRK)
    (scripts / "origin.js").write_text(ORIGIN)
    web = free_port()
    with running(["node", scripts / "origin.js", web], "ready"), proxies(commands, web) as found:
        for _ in range(options.rounds):
            direct = wrk(web, options.seconds, scripts / "wrk.lua")
            results.note("no proxy", requests=direct["rate"], p99=direct["p99"])
            for name, (process, port) in found.items():
                before = processor(process.pid)
                got = wrk(port, options.seconds, scripts / "wrk.lua")
                each = (processor(process.pid) - before) / got["count"] * 1e6
                added = got["p99"] - direct["p99"]
                results.note(name, requests=got["rate"], cpu_us=each, p99=got["p99"], added_p99=added)


def websockets(options, commands, results: Results) -> None:
    """Measure round trips a second, in turn, then what idle websockets weigh."""
    echo = free_port()
    server = [sys.executable, "-m", "bench.proxy_peer", "serve", str(echo)]
    with running(server, "ready", cwd=HERE.parent):
        with proxies(commands, echo) as found:
            for _ in range(options.rounds):
                direct = talk(echo, 100, options.seconds)
                results.note("no proxy", round_trips=direct["rate"], ws_p99=direct["p99"])
                for name, (process, port) in found.items():
                    before = processor(process.pid)
                    got = talk(port, 100, options.seconds)
                    each = (processor(process.pid) - before) / got["rate"] / options.seconds * 1e6
                    results.note(name, round_trips=got["rate"], ws_cpu_us=each, ws_p99=got["p99"])
        with proxies(commands, echo) as found:
            for name, (process, port) in found.items():
                before = weight(process.pid)
                argv = [sys.executable, "-m", "bench.proxy_peer", "talk", str(port), str(options.idle), "0"]
                with running(argv, "{}", cwd=HERE.parent):
                    after = weight(process.pid)
                held = (after["descriptors"] - before["descriptors"]) / options.idle
                results.note(
                    name, fresh_memory=before["memory"], memory=after["memory"], descriptors_each=held
                )


def report(results: Results) -> bool:
    """Print the medians and tell whether every target was met."""
    own, peer = "moorage proxy", "configurable-http-proxy (Node)"
    keys = [
        "requests",
        "cpu_us",
        "p99",
        "added_p99",
        "round_trips",
        "ws_cpu_us",
        "ws_p99",
        "fresh_memory",
        "memory",
        "descriptors_each",
    ]
    print("\n| | " + " | ".join(keys) + " |\n" + "|---" * (1 + len(keys)) + "|")
    for name, figures in results.figures.items():
        cells = [f"{statistics.median(figures[key]):,.1f}" if key in figures else "" for key in keys]
        print(f"| {name} | " + " | ".join(cells) + " |")
    ratio = {key: results.median(own, key) / results.median(peer, key) for key in keys}
    met = {
        "requests a second at least 5x": ratio["requests"] >= 5.0,
        "round trips a second at least 1.3x": ratio["round_trips"] >= 1.3,
        "added p99 below the peer's": results.median(own, "added_p99") < results.median(peer, "added_p99"),
        "memory below half": ratio["memory"] < 0.5,
        "2 descriptors each": round(results.median(own, "descriptors_each"), 2) <= 2.01,
    }
    print("\n" + ", ".join(f"{key} {ratio[key]:.2f}x" for key in ("requests", "round_trips", "memory")))
    for target, good in met.items():
        print(f"{'met' if good else 'MISSED'}: {target}")
    return all(met.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle", type=int, default=5000)
    parser.add_argument("--peers", type=Path, default=Path(tempfile.gettempdir()) / "moorage-proxy-peers")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    for program in ("node", "npm", "wrk"):
        if shutil.which(program) is None:
            print(f"{program} is missing: sudo apt-get install nodejs npm wrk")
            return 1
    commands, results = peers(options.peers), Results()
    with tempfile.TemporaryDirectory() as scripts:
        requests(options, commands, results, Path(scripts))
        websockets(options, commands, results)
    if options.json:
        options.json.write_text(json.dumps(results.figures))
    return 0 if report(results) else 1


if __name__ == "__main__":
    sys.exit(main())
