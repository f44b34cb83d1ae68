"""What a visitor of ``moorage temp`` costs while its server sleeps, and how long the server takes to wake.

Visitors come, each opens a kernel by a websocket as JupyterLab does, and all servers fall asleep. Then they
are woken one after the other, some by a page that is opened, some by a cell that is run in the websocket that
stayed open, with a variable of before; and all at once in the last round. PSS divides among processes what
they share, so it is smaller with more visitors; private is what one visitor more takes. Needs JupyterLab, on
Linux.

    python -m bench.temp_sleep [--visitors N] [--rounds N] [--no-walls] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from bench.measure import HERE
from moorage.process import procfs

SLEEP = 5.0
"""Seconds without use after which servers sleep."""
PATIENCE = 180.0


class Visitor:
    """One visitor with a kernel."""

    def __init__(self, session: aiohttp.ClientSession, origin: str, base: str, kernel: str) -> None:
        self.session, self.origin, self.base, self.kernel = session, origin, base, kernel
        self.socket: Any = None

    async def run(self, code: str) -> str:
        """Run a cell; return what it printed."""
        name = uuid.uuid4().hex
        header = {"msg_id": name, "msg_type": "execute_request", "session": "s", "username": "", "date": ""}
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        message = {"channel": "shell", "parent_header": {}, "metadata": {}, "content": content}
        await self.socket.send_json({**message, "header": {**header, "version": "5.3"}})
        said, replied, idle = "", False, False
        while not (replied and idle):
            heard = await self.socket.receive_json()
            if (heard["parent_header"] or {}).get("msg_id") == name:
                said += heard["content"].get("text", "")
                replied |= heard["msg_type"] == "execute_reply"
                idle |= heard["content"].get("execution_state") == "idle"
        return said.strip()

    async def page(self) -> None:
        """Open a page of the server."""
        async with self.session.get(f"{self.origin}{self.base}/api/status") as answer:
            assert answer.status == 200, await answer.text()
            await answer.read()


@asynccontextmanager
async def arrived(origin: str) -> AsyncIterator[Visitor]:
    """Have a visitor press the button, and open a kernel."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), timeout=timeout) as session:
        async with session.get(origin) as answer:
            token = re.search(r'name="token" value="(\w+)"', await answer.text())[1]
        data, at = {"token": token, "to": ""}, ""
        async with session.post(f"{origin}/start", data=data, allow_redirects=False) as answer:
            at = answer.headers["Location"]
        while not at.startswith("/user/"):
            async with session.get(f"{origin}/ready?to=", allow_redirects=False) as answer:
                at = answer.headers["Location"]
        base = re.match(r"/user/\w+", at)[0]
        async with session.post(f"{origin}{base}/api/kernels", json={"name": "python3"}) as answer:
            kernel = (await answer.json())["id"]
        visitor = Visitor(session, origin, base, kernel)
        url = f"{origin}{base}/api/kernels/{kernel}/channels?session_id={uuid.uuid4()}"
        async with session.ws_connect(url) as visitor.socket:
            assert await visitor.run("x = 41; print(x)") == "41"
            yield visitor


def records_of(state: Path, wanted: str) -> list[dict[str, Any]]:
    """Return what the keepers of servers in a state have written down."""
    found = [json.loads(path.read_text()) for path in (state / "kept").glob("*/record.json")]
    return [each for each in found if each["state"] == wanted]


def server_of(record: dict[str, Any]) -> int:
    """Return the process that is JupyterLab; 0 for none."""
    family = procfs.family(record["keeper"]["pid"])
    return next((pid for pid in family if b"jupyterlab" in procfs.read(f"/proc/{pid}/cmdline")), 0)


def memory_of(state: Path, wanted: str) -> dict[str, dict[str, float]]:
    """Return the mean memory of one visitor's processes in MiB, by what they are: PSS, and private alone.

    Args:
        state: the service's private folder.
        wanted: state of the servers that count.
    """
    found: dict[str, dict[str, float]] = {"pss": defaultdict(float), "private": defaultdict(float)}
    records = records_of(state, wanted)
    for record in records:
        keeper, server = record["keeper"]["pid"], server_of(record)
        for pid in procfs.family(keeper):
            row = procfs.look(pid)
            kind = "keeper" if pid == keeper else "server" if pid == server else "kernel"
            if kind == "kernel" and row is not None and row.ppid == keeper:
                kind = "warden"  # behind walls it is process 1
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            sizes = {
                name: int(size) / 1024 for name, size in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)
            }
            found["pss"][kind] += sizes["Pss"] / len(records)
            found["private"][kind] += (sizes["Private_Clean"] + sizes["Private_Dirty"]) / len(records)
    return found


def processor_times(state: Path) -> list[float]:
    """Return how many seconds of processors' time each server has taken that runs."""
    found = []
    for record in records_of(state, "running"):
        words = Path(f"/proc/{server_of(record)}/stat").read_text().rpartition(") ")[2].split()
        found.append((int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK"))
    return found


def slept(log: Path, times: int) -> Callable[[], bool]:
    return lambda: log.read_text().count(" is asleep") >= times


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.1)


async def timed(work: Any) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def measure(port: int, state: Path, log: Path, count: int, rounds: int) -> dict[str, Any]:
    times: dict[str, list[float]] = defaultdict(list)
    origin = f"http://127.0.0.1:{port}"
    visitors = [arrived(origin) for _ in range(count)]
    there = [await each.__aenter__() for each in visitors]
    try:
        awake = memory_of(state, "running")
        sleeps = count
        for number in range(rounds):
            await until(slept(log, sleeps))
            if number == 0:
                asleep = memory_of(state, "asleep")
            for place, visitor in enumerate(there):
                if (place + number) % 2:
                    times["a page"].append(await timed(visitor.page()))
                else:
                    times["a cell"].append(await timed(checked(visitor)))
            sleeps += count
        await until(slept(log, sleeps))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(timed(checked(visitor))) for visitor in there]
        times[f"{count} cells at once"] = [task.result() for task in tasks]
        woken = [float(each) for each in re.findall(r"is awake after ([\d.]+) s", log.read_text())]
        times["processors' time of a server"] = processor_times(state)
        times["the server alone, as its log says"] = woken[: count * rounds]
    finally:
        for each in visitors:
            await each.__aexit__(None, None, None)
    return {"awake": awake, "asleep": asleep, "times": times}


async def checked(visitor: Visitor) -> None:
    assert await visitor.run("print(x + 1)") == "42"


def tell(said: dict[str, Any], visitors: int) -> None:
    """Print the table."""
    awake, asleep = said["awake"], said["asleep"]
    print(f"Memory of one visitor of {visitors}, in MiB")
    print(f"  {'':34} {'awake':^16}  {'asleep':^16}")
    print(f"  {'':34} {'PSS':>7}  {'private':>7}  {'PSS':>7}  {'private':>7}")
    for kind in ("server", "keeper", "warden", "kernel"):
        sizes = [each[how].get(kind, 0.0) for each in (awake, asleep) for how in ("pss", "private")]
        print(f"  {kind:34}", "  ".join(f"{size:7.1f}" for size in sizes))
    pss, private = (asleep[how]["keeper"] + asleep[how]["warden"] for how in ("pss", "private"))
    print(f"  asleep, beside kernel and files: {pss:.1f} PSS, {private:.1f} private (target: at most 4)")
    print("From a visitor's act to its answer, in seconds (target: p95 at most 0.5 where nothing else runs)")
    for name, values in said["times"].items():
        cuts = statistics.quantiles(values, n=100, method="inclusive")
        figures = f"p50 {cuts[49]:.3f} p95 {cuts[94]:.3f} max {max(values):.3f}"
        print(f"  {name:34} {len(values):4} times: {figures}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--no-walls", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mt-", dir="/tmp") as folder:
        state, log = Path(folder) / "s", Path(folder) / "log"
        command = [sys.executable, "-m", "moorage", "temp", "--port", "0", "--state", str(state)]
        command += ["--no-walls"] if options.no_walls else []
        command += ["--sleep", str(SLEEP), "--capacity", str(options.visitors)]
        with log.open("wb") as file:
            process = subprocess.Popen(command, cwd=HERE, stdout=file, stderr=file)
        try:
            while not (opened := re.search(r"Open http://[^ ]*:(\d+)/", log.read_text())):
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
            port = int(opened[1])
            said = asyncio.run(measure(port, state, log, options.visitors, options.rounds))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()
    tell(said, options.visitors)
    if options.json:
        options.json.write_text(json.dumps(said, indent=2))


if __name__ == "__main__":
    main()
