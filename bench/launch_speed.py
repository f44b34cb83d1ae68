"""From asking for a kernel to the first result of `1 + 1`: jupyter_client, spawned, forked, from a pool.

    python -m bench.launch_speed [--repeat 50]

All four in turn, in one process, in an order that rotates. jupyter_client: `start_new_kernel`, then
`execute_interactive`, as its documentation has it. The kernels' ends are not in the time; nor is the making
of the template and of the pool's kernels, which is told beside. Writes bench/results/launch_speed.json.
Exit code 0 when every target was met.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from contextlib import AsyncExitStack

from bench.measure import machine, table, write_results

TARGETS = {"spawned": 0.85, "forked": 0.10, "pool": 0.02}


def with_jupyter_client() -> float:
    """Start, run and end a kernel with the peer."""
    from jupyter_client.manager import start_new_kernel

    replies: list[object] = []

    def take(message: dict[str, object]) -> None:
        if message["msg_type"] == "execute_result":
            replies.append(message["content"])

    began = time.perf_counter()
    manager, client = start_new_kernel(kernel_name="python3")
    client.execute_interactive("1 + 1", output_hook=take)
    seconds = time.perf_counter() - began
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    assert len(replies) == 1, replies
    return seconds


async def timed(block) -> float:
    """Enter a block, run a cell, leave it; return the seconds until the result."""
    began = time.perf_counter()
    async with block as kernel:
        result = await kernel.execute("1 + 1")
        seconds = time.perf_counter() - began
        assert result.outputs[0]["data"]["text/plain"] == "2", result
    return seconds


class Moorage:
    """moorage's three ways, in one loop."""

    def __init__(self, runner: asyncio.Runner, stack: AsyncExitStack) -> None:
        self.runner = runner
        self.stack = stack

    async def open(self) -> dict[str, float]:
        """Make template and pool; return what each took."""
        import moorage
        from moorage.process.local import shared_warden

        await self.stack.enter_async_context(shared_warden())
        self.launch = moorage.launch
        seconds = {"template and its first kernel": await timed(self.launch("python3", fork=True))}
        began = time.perf_counter()
        self.pool = await self.stack.enter_async_context(moorage.pool("python3", size=1))
        await self.ready()
        seconds["a kernel for the pool"] = time.perf_counter() - began
        return seconds

    async def ready(self) -> None:
        """Wait until the pool has a kernel."""
        while not self.pool.ready:
            await asyncio.sleep(0.005)

    async def one(self, which: str) -> float:
        """Time one launch."""
        if which == "pool":
            await self.ready()
            seconds = await timed(self.pool.launch())
            await self.ready()  # not beside the next one's time
            return seconds
        return await timed(self.launch("python3", fork=which == "forked"))


def measure(repeat: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return the seconds of every launch, by way, and what was prepared."""
    told: dict[str, list[float]] = {name: [] for name in ("jupyter_client", "spawned", "forked", "pool")}
    names = list(told)
    stack = AsyncExitStack()
    with asyncio.Runner() as runner:
        ours = Moorage(runner, stack)
        prepared = runner.run(ours.open())
        try:
            for turn in range(-2, repeat):  # two to warm up
                at = turn % len(names)
                for name in names[at:] + names[:at]:
                    one = with_jupyter_client() if name == "jupyter_client" else runner.run(ours.one(name))
                    if turn >= 0:
                        told[name].append(one)
        finally:
            runner.run(stack.aclose())
    return told, prepared


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=50)
    told, prepared = measure(parser.parse_args().repeat)
    peer = statistics.median(told["jupyter_client"])
    rows, good = [], True
    for name, each in told.items():
        p50, p99 = statistics.median(each), sorted(each)[round(0.99 * (len(each) - 1))]
        ratio, target = p50 / peer, TARGETS.get(name)
        met = target is None or ratio <= target
        good = good and met
        rows.append(
            [
                name,
                f"{p50 * 1000:.1f}",
                f"{p99 * 1000:.1f}",
                f"{ratio:.3f}",
                "" if target is None else f"at most {target:g}",
                "" if target is None else "yes" if met else "no",
            ]
        )
    print(table(["launch to first result", "p50 ms", "p99 ms", "of jupyter_client", "target", "met"], rows))
    for name, seconds in prepared.items():
        print(f"{name}: {seconds * 1000:.0f} ms")
    write_results(
        "launch_speed", {"machine": machine(), "seconds": told, "prepared": prepared, "command": sys.argv}
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
