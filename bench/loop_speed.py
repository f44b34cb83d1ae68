"""A plain loop over launches, nothing held open, no option given: moorage async and blocking, jupyter_client.

    python -m bench.loop_speed [--rounds 3] [--before PYTHON]

In each round every way runs a loop of its own in a process of its own, five turns of one and then five of the
next, and launches 3 to 15 count: from `launch()` to the first result, and the whole turn with the kernel's
end. Then `python -c` with a single launch, from its start to its exit: with --before also by an interpreter
that has an older moorage, interleaved. Writes bench/results/loop_speed.json. Exit code 0 when every target
was met.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

from bench.measure import environment, machine, median, table, write_results

LAUNCHES, AT_A_TIME = 15, 5
COUNTED = slice(2, LAUNCHES)
TARGETS = {"async": 0.10, "blocking": 0.12}

# Each reads a line, does one turn, and says how long it took to the result and to the kernel's end.
ASYNC = """
import asyncio, sys, time
import moorage
async def main():
    while sys.stdin.readline():
        began = time.perf_counter()
        async with moorage.launch("python3") as kernel:
            result = await kernel.execute("1 + 1")
            there = time.perf_counter() - began
        print(there, time.perf_counter() - began, flush=True)
        assert result.outputs[0]["data"]["text/plain"] == "2"
asyncio.run(main())
"""
BLOCKING = """
import sys, time
import moorage
while sys.stdin.readline():
    began = time.perf_counter()
    with moorage.blocking.launch("python3") as kernel:
        result = kernel.execute("1 + 1")
        there = time.perf_counter() - began
    print(there, time.perf_counter() - began, flush=True)
    assert result.outputs[0]["data"]["text/plain"] == "2"
"""
PEER = """
import sys, time
from jupyter_client.manager import start_new_kernel
while sys.stdin.readline():
    told = []
    began = time.perf_counter()
    manager, client = start_new_kernel(kernel_name="python3")
    client.execute_interactive("1 + 1", output_hook=lambda m: told.append(m["msg_type"]))
    there = time.perf_counter() - began
    client.stop_channels()
    manager.shutdown_kernel()
    print(there, time.perf_counter() - began, flush=True)
    assert told.count("execute_result") == 1
"""
WAYS = {"jupyter_client": PEER, "async": ASYNC, "blocking": BLOCKING}

ONCE = """
import asyncio, moorage
async def main():
    async with moorage.launch("python3") as kernel:
        await kernel.execute("1 + 1")
asyncio.run(main())
"""


def start(code: str) -> subprocess.Popen[str]:
    """Start one loop, which waits for its turns."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
    )


def turn(process: subprocess.Popen[str]) -> tuple[float, float]:
    """Have one turn done; return its seconds to the result and to the end."""
    process.stdin.write("go\n")
    process.stdin.flush()
    there, over = map(float, process.stdout.readline().split())
    return there, over


def loops() -> dict[str, list[tuple[float, float]]]:
    """Run one loop of each way, turn about; return the turns that count."""
    running = {name: start(code) for name, code in WAYS.items()}
    told: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    try:
        for number in range(LAUNCHES // AT_A_TIME):
            at = number % len(WAYS)
            names = list(WAYS)
            for name in names[at:] + names[:at]:
                told[name] += [turn(running[name]) for _ in range(AT_A_TIME)]
    finally:
        for process in running.values():
            process.stdin.close()
            process.wait(timeout=60)
            process.stdout.close()
    return {name: each[COUNTED] for name, each in told.items()}


def once(python: str) -> float:
    """Return the seconds of a whole `python -c` with one launch."""
    began = time.perf_counter()
    subprocess.run([python, "-c", ONCE], check=True, stderr=subprocess.DEVNULL, env=environment())
    return time.perf_counter() - began


def singles(before: str | None, repeat: int) -> dict[str, list[float]]:
    """Time single launches, with this moorage and with an older one, turn about."""
    pythons = {"now": sys.executable} | ({} if before is None else {"before": before})
    told: dict[str, list[float]] = {name: [] for name in pythons}
    for number in range(-1, repeat):  # one to warm up
        for name, python in pythons.items():
            seconds = once(python)
            if number >= 0:
                told[name].append(seconds)
    return told


def report(told: dict[str, list[tuple[float, float]]]) -> tuple[list[list[str]], bool]:
    """Return the table's rows, and whether every target was met."""
    peer = [median(each) for each in zip(*told["jupyter_client"], strict=True)]
    rows, good = [], True
    for name, turns in told.items():
        there, over = (median(each) for each in zip(*turns, strict=True))
        target = TARGETS.get(name)
        met = target is None or there / peer[0] <= target
        good = good and met
        rows.append(
            [
                name,
                f"{there * 1000:.1f}",
                f"{there / peer[0]:.3f}",
                f"{over * 1000:.1f}",
                f"{over / peer[1]:.3f}",
                "" if target is None else f"at most {target:g}: {'yes' if met else 'no'}",
            ]
        )
    return rows, good


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--before", metavar="PYTHON", help="an interpreter with an older moorage")
    options = parser.parse_args()
    rounds = [loops() for _ in range(options.rounds)]
    told = {name: [each for one in rounds for each in one[name]] for name in WAYS}
    rows, good = report(told)
    head = [
        "launches 3 to 15 of a loop",
        "to result ms",
        "ratio",
        "whole turn ms",
        "ratio",
        "target of the first",
    ]
    print(table(head, rows))
    single = singles(options.before, 5 * options.rounds)
    for name, seconds in single.items():
        print(f"python -c with one launch, {name}: {statistics.median(seconds) * 1000:.0f} ms")
    content = {"machine": machine(), "seconds": told, "single": single, "command": sys.argv}
    write_results("loop_speed", json.loads(json.dumps(content)))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
