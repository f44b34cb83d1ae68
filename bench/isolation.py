"""What isolation costs a kernel's start: ``python -m bench.isolation [ROUNDS]``.

Launch to first result, with and without a namespace, taking turns so that a busy moment hits both; the same
for a whole command. The cost is the median of the differences of such pairs. Root needs no user namespace, an
ordinary user does: try both.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import moorage
from bench.measure import machine, median, run, table, write_results
from moorage.discovery.kernelspec import names
from moorage.process.netns import enter

ROUNDS = 20


async def first_result(kernel_type: str, isolate: str, *, fork: bool) -> float:
    """Return the seconds from launch to the first result."""
    began = time.perf_counter()
    async with moorage.launch(kernel_type, isolate=isolate, fork=fork) as kernel:
        result = await kernel.execute("1 + 1")
        assert result.status == "ok"
        return time.perf_counter() - began


async def kernels(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of each way to start a kernel, without and with isolation."""
    ways = {"python3, spawned": ("python3", False), "python3, forked": ("python3", True)}
    ways |= {f"{name}, by relay": (name, False) for name in ("ir", "xpython") if name in names()}
    taken: dict[str, dict[str, list[float]]] = {way: {"none": [], "net": []} for way in ways}
    async with moorage.launch("python3", fork=True):  # keeps the warden and the template
        for _ in range(rounds + 1):
            for way, (kernel_type, fork) in ways.items():
                for isolate in ("none", "net"):
                    taken[way][isolate].append(await first_result(kernel_type, isolate, fork=fork))
    return {way: {isolate: found[1:] for isolate, found in both.items()} for way, both in taken.items()}


def entering(rounds: int) -> list[float]:
    """Return the seconds that a fork takes for entering, which is all that is added to a kernel's start."""
    taken = []
    for _ in range(rounds):
        reading, writing = os.pipe()
        if os.fork() == 0:
            began = time.perf_counter()
            enter.enter()
            os.write(writing, repr(time.perf_counter() - began).encode())
            os._exit(0)
        os.close(writing)
        taken.append(float(os.read(reading, 100)))
        os.close(reading)
        os.wait()
    return taken


def commands(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of a command by itself and through ``moorage isolate``."""
    words = [sys.executable, "-m", "moorage", "isolate", "--", "true"]
    pairs = {"moorage isolate -- true": (["true"], words)}
    taken: dict[str, dict[str, list[float]]] = {name: {"none": [], "net": []} for name in pairs}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, both in pairs.items():
                for isolate, argv in zip(("none", "net"), both, strict=True):
                    done = run(argv, cwd=Path(folder), limit=60)
                    assert done.code == 0, done.output
                    taken[name][isolate].append(done.seconds)
    return taken


def main() -> int:
    """Measure, print a table, keep the figures."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    alone = entering(10 * rounds)
    who = "root" if os.geteuid() == 0 else "an ordinary user"
    print(f"entering a namespace as {who}: {median(alone) * 1000:.2f} ms (median of {len(alone)})")
    taken = {**asyncio.run(kernels(rounds)), **commands(rounds)}
    middle = {name: summed(both) for name, both in taken.items()}
    rows = [
        [name, *(f"{found[each] * 1000:.1f}" for each in ("none", "net", "cost"))]
        for name, found in middle.items()
    ]
    print(table(["launch to first result, ms", "without", "isolated", "cost"], rows))
    content = {
        "machine": machine(),
        "as": who,
        "rounds": rounds,
        "entering": median(alone),
        "seconds": middle,
    }
    with suppress(PermissionError):  # another user's checkout: what is printed has to do
        write_results("isolation", content)
    return 0


def summed(both: dict[str, list[float]]) -> dict[str, float]:
    """Return the medians, and that of what isolation added to each pair."""
    added = [net - none for none, net in zip(both["none"], both["net"], strict=True)]
    return {"none": median(both["none"]), "net": median(both["net"]), "cost": median(added)}


if __name__ == "__main__":
    sys.exit(main())
