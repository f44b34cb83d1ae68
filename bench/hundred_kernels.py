"""A hundred kernels at once: how soon the first results of all are there, and the memory of each.

    python -m bench.hundred_kernels [--kernels 100] [--rounds 3] [--only forked|spawned|jupyter_client]...

Interleaved rounds of three ways: moorage with kernels forked from a template, moorage with spawned ones, and
jupyter_client's AsyncKernelManager with as many at once. Each round is a process of its own, whose clock runs
from before the first launch (template included) to the last of the first results; then the proportional share
of memory (Pss) of all processes that the round started is added up, the warden's and the template's told
apart. Targets: forked, all first results within 3 s, at most 20 MiB each, no failure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.measure import HERE, environment, machine, median, table, write_results
from moorage.process import procfs

WAYS = ("forked", "spawned", "jupyter_client")
PATIENCE = 120.0
# A hundred processes that write IPython's history disturb each other, and their cells print of that.
NO_HISTORY = "--HistoryManager.hist_file=:memory:"


def share(pid: int) -> float:
    """Return the MiB of memory that are a process's own, shared pages divided among those who share them."""
    try:
        told = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it has just ended
        return 0.0
    return int(re.search(r"^Pss:\s+(\d+)", told, re.MULTILINE)[1]) / 1024


class Round:
    """What came of one round."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.began = time.monotonic()
        self.seconds: list[float] = []
        self.pids: list[int] = []
        self.causes: list[str] = []
        self.all_there = asyncio.Barrier(count + 1)

    async def launch(self, number: int, first: Callable[[int], Awaitable[int]]) -> None:
        """Launch one kernel with ``first``, which returns its pid once its first result is there."""
        try:
            # jupyter_client waits for ever for the output of a kernel that did not get its port.
            async with asyncio.timeout(PATIENCE):
                self.pids.append(await first(number))
            self.seconds.append(time.monotonic() - self.began)
        except Exception as error:  # noqa: BLE001 - what it fails of is what is counted
            self.causes.append(f"{type(error).__name__}: {error}"[:80])
        await self.all_there.wait()  # alive until all are there
        await self.all_there.wait()  # and have been measured

    async def measure(self) -> dict[str, object]:
        """Wait for all, and measure."""
        await self.all_there.wait()
        processes = procfs.table()
        ours = [pid for pid in procfs.roots(processes, os.getpid()) if pid not in self.pids]
        told = {
            "failed": len(self.causes),
            "causes": sorted(set(self.causes)),
            "seconds": max(self.seconds, default=float("nan")),
            "first": min(self.seconds, default=float("nan")),
            "each": sum(map(share, self.pids)) / max(1, len(self.pids)),
            "beside": sum(map(share, ours)),
        }
        await self.all_there.wait()
        return told


async def by_moorage(count: int, *, fork: bool) -> dict[str, object]:
    """Make one round with moorage."""
    from contextlib import AsyncExitStack

    from moorage.kernel.launch import launch
    from moorage.process.local import shared_warden

    made = Round(count)

    async def one(number: int) -> None:
        async with AsyncExitStack() as stack:

            async def first(number: int) -> int:
                launched = launch("python3", fork=fork, kernel_args=[NO_HISTORY], timeout=PATIENCE)
                kernel = await stack.enter_async_context(launched)
                result = await kernel.execute(f"print({number})")
                if result.outputs[0]["text"] != f"{number}\n":
                    raise RuntimeError(f"printed {result.outputs}")
                return kernel.process.pid

            await made.launch(number, first)

    async with shared_warden(), asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))
        return await made.measure()


async def by_client(count: int) -> dict[str, object]:
    """Make one round with jupyter_client."""
    from jupyter_client import AsyncKernelManager

    made = Round(count)

    async def one(number: int) -> None:
        manager = AsyncKernelManager(kernel_name="python3")
        client = None

        async def first(number: int) -> int:
            nonlocal client
            await manager.start_kernel(
                extra_arguments=[NO_HISTORY], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            client = manager.client()
            client.start_channels()
            await client.wait_for_ready(timeout=PATIENCE)
            printed: list[str] = []
            await client.execute_interactive(
                f"print({number})", output_hook=lambda each: printed.append(each["content"].get("text", ""))
            )
            if "".join(printed) != f"{number}\n":
                raise RuntimeError(f"printed {printed}")
            return manager.provisioner.pid

        try:
            await made.launch(number, first)
        finally:
            if client is not None:
                client.stop_channels()
            if manager.has_kernel:
                await manager.shutdown_kernel(now=True)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))
        return await made.measure()


def inner(way: str, count: int) -> dict[str, object]:
    """Make one round in this process."""
    if way == "jupyter_client":
        return asyncio.run(by_client(count))
    return asyncio.run(by_moorage(count, fork=way == "forked"))


def outer(way: str, count: int) -> dict[str, object]:
    """Make one round in a process of its own, with a folder of its own for IPython's files."""
    with tempfile.TemporaryDirectory(prefix="hk-", ignore_cleanup_errors=True) as folder:
        told = Path(folder) / "told.json"
        command = [sys.executable, "-m", "bench.hundred_kernels", "--inner", str(told)]
        command += ["--only", way, "--kernels", str(count)]
        env = environment() | {"IPYTHONDIR": f"{folder}/ipython"}
        subprocess.run(command, check=True, cwd=HERE.parent, env=env, timeout=5 * PATIENCE)
        return {"way": way, **json.loads(told.read_text())}


def main() -> int:
    """Make all rounds and print what came of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kernels", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=WAYS, help="this way alone (repeatable)")
    parser.add_argument("--inner", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inner:
        Path(options.inner).write_text(json.dumps(inner(options.only[0], options.kernels)))
        return 0
    rounds = []
    for number in range(options.rounds):
        for way in options.only or WAYS:
            rounds.append(outer(way, options.kernels))
            print(f"round {number + 1}, {line(rounds[-1])}", flush=True)
    write_results("hundred_kernels", {"machine": machine(), "command": sys.argv, "rounds": rounds})
    print(summary(rounds))
    return 0 if all(map(well, rounds)) else 1


def well(told: dict[str, object]) -> bool:
    """Tell whether a round of forked kernels, or any of moorage's, met its target."""
    if told["way"] == "jupyter_client":
        return True
    return told["failed"] == 0 and (told["way"] == "spawned" or (told["seconds"] <= 3 and told["each"] <= 20))


def line(told: dict[str, object]) -> str:
    """Return one round in one line."""
    return (
        f"{told['way']}: all first results after {told['seconds']:.2f} s, {told['each']:.1f} MiB each, "
        f"{told['failed']} failed {told['causes'] or ''}"
    )


def summary(rounds: list[dict[str, object]]) -> str:
    """Return the table of medians."""
    head = ["way", "first s", "all s", "MiB each", "MiB beside", "failed"]
    rows = []
    for way in WAYS:
        made = [each for each in rounds if each["way"] == way]
        if made:
            figures = [median([each[key] for each in made]) for key in ("first", "seconds", "each", "beside")]
            failed = sum(each["failed"] for each in made)
            rows.append([way, *(f"{figure:.2f}" for figure in figures), str(failed)])
    return table(head, rows)


if __name__ == "__main__":
    sys.exit(main())
