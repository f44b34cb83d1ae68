"""Thousands of launches where ports are scarce, beside a thief of ports; then the same with jupyter_client.

    python -m bench.drill_launches [--forked 5000] [--spawned 500] [--forced 300] [--peer 200] [--only RUN]...

Each run has a network namespace of its own (as root, or in a user namespace) with 2,000 ports, and in it a
process that binds port 0 in a loop, keeps up to 40 ports and lets the oldest go. At most 16 kernels live at
once. A launch is: start, run a line that prints the launch's number, compare what arrived, end. IPython keeps
no history, as its processes disturb each other's where many write it: cells then print of that. Runs:

    forked       --forked ipykernels forked from a template, ``auto``
    spawned      --spawned ipykernels, xeus-pythons, IRkernels, denos and bash_kernels in turn, ``auto``
    ipc, self-bind, hold, handshake
                 --forced each, of the kernels that can
    threads, processes
                 --peer launches each by jupyter_client, from 16 threads of one process, where it keeps
                 account of its own ports, and from 16 processes, where it cannot

Exit code 0 when no launch of moorage failed or needed a second attempt, and nothing was left: no process, no
descriptor, no file. A run of 0 launches is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import gc
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bench.dialects import DIALECTS
from bench.measure import HERE, environment, machine, table, write_results
from bench.narrow import namespaced, prepare, thief

PORTS, AT_ONCE, PATIENCE = 2000, 16, 60.0
NO_HISTORY = "--HistoryManager.hist_file=:memory:"
MIXED = ("python3", "xpython", "ir", "deno", "bash")
RUNS: dict[str, tuple[str, ...]] = {
    "forked": ("python3",),
    "spawned": MIXED,
    "ipc": ("python3", "bash"),
    "self-bind": ("python3", "bash"),
    "hold": MIXED,
    "handshake": ("xpython",),
    "threads": ("python3",),
    "processes": ("python3",),
}
"""Which kernels take part in which run, in turn."""

PEERS = ("threads", "processes")


@dataclass
class Tally:
    """What came of one run's launches.

    Attributes:
        seconds: from launch to the first result, of each that went well.
        whole: the same until it had ended.
        causes: why launches failed.
        ways: by which rendezvous they met.
        again: how many needed another attempt.
        resident: bytes of memory of the driver after each hundredth launch.
    """

    wanted: int
    seconds: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    causes: collections.Counter[str] = field(default_factory=collections.Counter)
    ways: collections.Counter[str] = field(default_factory=collections.Counter)
    again: int = 0
    resident: list[int] = field(default_factory=list)
    told: float = field(default_factory=time.monotonic)

    def enter(self, began: float, result: float) -> None:
        """Take in a launch that went well."""
        self.seconds.append(result - began)
        self.whole.append(time.monotonic() - began)
        self.progress()

    def fail(self, cause: str) -> None:
        """Take in a launch that failed."""
        self.causes[cause] += 1
        self.progress()

    def progress(self) -> None:
        """Say now and then how far it is, and look at the memory."""
        done = len(self.seconds) + self.causes.total()
        if done % 100 == 0:
            self.resident.append(resident())
        if self.wanted > 1 and (time.monotonic() > self.told + 10 or done == self.wanted):
            self.told = time.monotonic()
            print(f"  {done} of {self.wanted}, {self.causes.total()} failed", flush=True)

    def as_dict(self) -> dict[str, object]:
        """Return the figures."""
        times = sorted(self.seconds) or [float("nan")]
        growth = self.resident[-1] - self.resident[0] if len(self.resident) > 1 else 0
        return {
            "launches": self.wanted,
            "failed": self.causes.total(),
            "again": self.again,
            "causes": dict(self.causes),
            "ways": dict(self.ways),
            "p50": times[len(times) // 2],
            "p99": times[min(len(times) - 1, int(len(times) * 0.99))],
            "growth": growth / max(1, self.wanted - 100),
        }


def resident() -> int:
    """Return the bytes of memory of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def others() -> list[str]:
    """Return what else runs in this namespace of processes, but for the thief."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal() and int(path.name) != os.getpid():
            try:
                words = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                name = words.strip() or f"{(path / 'comm').read_text().strip()} (dead)"
            except OSError:
                continue
            if "thief.py" not in name:
                found.append(name[:100])
    return found


# -- moorage ---------------------------------------------------------------------------------------


async def drive(name: str, count: int, folder: Path) -> dict[str, object]:
    """Make one run with moorage."""
    from moorage.process.local import shared_warden
    from moorage.process.warden.shared import close

    tally = Tally(count)
    async with shared_warden():  # once, for what the process then has for good: zmq's and the loop's own
        await one(name, 0, RUNS[name][0], Tally(1))
    before = descriptors()
    kernels = itertools.islice(itertools.cycle(RUNS[name]), count)
    numbered = iter(list(enumerate(kernels)))
    async with shared_warden(), asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker(name, numbered, tally))
    gc.collect()
    close()  # the warden that rests for the next launch
    left = [f"process {one}" for one in others()]
    left += [f"file {path}" for path in (folder / "run").rglob("*") if not path.is_dir()]
    return {**tally.as_dict(), "left": left, "descriptors": descriptors() - before}


async def worker(name: str, numbered: Iterator[tuple[int, str]], tally: Tally) -> None:
    """Launch one kernel after the other."""
    for number, kernel in numbered:
        try:
            await one(name, number, kernel, tally)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the drill is for
            tally.fail(f"{kernel}: {type(error).__name__}: {error}"[:300])


async def one(name: str, number: int, kernel: str, tally: Tally) -> None:
    """Launch, run, compare, end."""
    from moorage.discovery.kernelspec import find
    from moorage.kernel.launch import launch
    from moorage.rendezvous.choice import decide

    forced = name if name not in ("forked", "spawned") else "auto"
    expected = decide(find(kernel), forced)[0]
    arguments = [NO_HISTORY] if kernel == "python3" else []
    began = time.monotonic()
    async with launch(
        kernel, rendezvous=forced, fork=name == "forked", kernel_args=arguments, timeout=PATIENCE
    ) as launched:
        result = await launched.execute(DIALECTS[kernel].say.replace("{}", str(number)))
        answered = time.monotonic()
        printed = "".join(each.get("text", "") for each in result.outputs).strip()
        if printed != str(number):
            raise RuntimeError(f"printed {printed!r}, {result.status}")
        tally.ways[launched.rendezvous] += 1
        tally.again += launched.rendezvous != expected
    tally.enter(began, answered)


# -- jupyter_client --------------------------------------------------------------------------------


def by_client(number: int) -> tuple[float, float]:
    """Launch, run, compare, end with jupyter_client; return when it began and when the result was there."""
    from jupyter_client import KernelManager

    began = time.monotonic()
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(extra_arguments=[NO_HISTORY], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=PATIENCE)
        printed: list[str] = []

        def take(message: dict) -> None:
            printed.append(message["content"].get("text", ""))

        client.execute_interactive(f"print({number})", timeout=PATIENCE, output_hook=take)
        answered = time.monotonic()
        if "".join(printed) != f"{number}\n":
            raise RuntimeError(f"printed {printed!r}")
        return began, answered
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def attempt(number: int) -> list[object]:
    """Return what a launch by jupyter_client took, or why it failed."""
    try:
        began, answered = by_client(number)
    except Exception as error:  # noqa: BLE001 - what it fails of is what is counted
        return [f"{type(error).__name__}: {error}".partition(":\n")[0][:120]]
    return [began, answered]


def in_process(numbers: Sequence[int]) -> Iterator[list[object]]:
    """Make these launches one after the other in a process of their own."""
    command = [sys.executable, "-m", "bench.drill_launches", "--numbers", ",".join(map(str, numbers))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        for line in process.stdout:
            yield json.loads(line)


def drive_peer(name: str, count: int) -> dict[str, object]:
    """Make one run with jupyter_client."""
    tally = Tally(count)

    def worker(numbers: Sequence[int]) -> None:
        made = in_process(numbers) if name == "processes" else map(attempt, numbers)
        for told in made:
            if len(told) == 2:
                tally.enter(*told)
            else:
                tally.fail(*told)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        shares = [range(start, count, AT_ONCE) for start in range(AT_ONCE)]
        for done in [pool.submit(worker, share) for share in shares]:
            done.result()
    return {**tally.as_dict(), "left": [], "descriptors": 0}


# -- all runs --------------------------------------------------------------------------------------


def inner(name: str, count: int, folder: Path) -> dict[str, object]:
    """Make one run inside the namespace."""
    prepare(PORTS)
    with thief() as loot:
        began = time.monotonic()
        told = drive_peer(name, count) if name in PEERS else asyncio.run(drive(name, count, folder))
        seconds = time.monotonic() - began
    return {"run": name, **told, "seconds": seconds, "rate": count / seconds, "thief": loot.told}


def outer(name: str, count: int, limit: float) -> dict[str, object]:
    """Make one run in a namespace and in folders of its own."""
    # A short path: sockets are to be made below it.
    folder = Path(tempfile.mkdtemp(prefix="dl-", dir="/tmp"))
    for each in ("run", "deno"):
        (folder / each).mkdir(mode=0o700)
    env = environment() | {"XDG_RUNTIME_DIR": str(folder / "run"), "DENO_DIR": str(folder / "deno")}
    # bash_kernel reads ~/.bashrc, and what that starts is not what is tried here.
    env |= {"HOME": str(folder), "IPYTHONDIR": str(folder / "ipython")}
    command = namespaced(
        "bench.drill_launches", ["--inner", str(folder), "--only", name, "--count", str(count)]
    )
    try:
        subprocess.run(command, check=True, cwd=HERE.parent, env=env, timeout=limit)
        return json.loads((folder / "told.json").read_text())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Make all runs and print what came of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--forked", type=int, default=5000)
    parser.add_argument("--spawned", type=int, default=500)
    parser.add_argument("--forced", type=int, default=300, help="launches by each rendezvous")
    parser.add_argument("--peer", type=int, default=200, help="launches by jupyter_client, each way")
    parser.add_argument("--limit", type=float, default=1800, help="seconds for one run")
    parser.add_argument("--only", action="append", choices=list(RUNS), help="this run alone (repeatable)")
    parser.add_argument("--inner", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--numbers", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.numbers:
        for number in options.numbers.split(","):
            print(json.dumps(attempt(int(number))), flush=True)
        os._exit(0)  # a failed launch leaves a thread that would be waited for
    if options.inner:
        told = inner(options.only[0], options.count, Path(options.inner))
        (Path(options.inner) / "told.json").write_text(json.dumps(told))
        return 0
    counts = {name: options.peer if name in PEERS else options.forced for name in RUNS}
    counts |= {"forked": options.forked, "spawned": options.spawned}
    results = []
    for name in options.only or RUNS:
        missing = [kernel for kernel in RUNS[name] if not DIALECTS[kernel].here]
        if counts[name] == 0 or missing:
            print(f"{name}: left out{' without ' if missing else ''}{', '.join(missing)}", flush=True)
            continue
        print(f"{name}: {counts[name]} launches of {', '.join(RUNS[name])}", flush=True)
        results.append(outer(name, counts[name], options.limit))
        print(line(results[-1]), flush=True)
    write_results("drill_launches", {"machine": machine(), "command": sys.argv, "runs": results})
    print(summary(results))
    return 0 if all(well(each) for each in results if each["run"] not in PEERS) else 1


def well(result: dict[str, object]) -> bool:
    """Tell whether every launch went well at the first attempt and nothing was left."""
    return not result["failed"] and not result["again"] and not result["left"] and result["descriptors"] <= 0


def line(result: dict[str, object]) -> str:
    """Return what the table leaves out."""
    return (
        f"{result['run']}: {result['failed']} of {result['launches']} failed; ways {result['ways']}; "
        f"causes {result['causes']}; left {result['left']}; thief: {result['thief']}"
    )


def summary(results: list[dict[str, object]]) -> str:
    """Return the table."""
    head = ["run", "launches", "failed", "again", "per second", "p50 ms", "p99 ms", "KiB each", "descriptors"]
    rows = [
        [
            *(str(each[key]) for key in ("run", "launches", "failed", "again")),
            f"{each['rate']:.1f}",
            *(f"{1000 * each[key]:.0f}" for key in ("p50", "p99")),
            f"{each['growth'] / 1024:.1f}",
            str(each["descriptors"]),
        ]
        for each in results
    ]
    return table(head, rows)


if __name__ == "__main__":
    sys.exit(main())
