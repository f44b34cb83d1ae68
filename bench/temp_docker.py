"""Visitors at once, each in a container: how soon each is in JupyterLab and has run a cell, and its memory.

    python -m bench.temp_docker [--visitors 20] [--socket PATH --image NAME]

Without an engine it starts one of its own, and makes an image with JupyterLab by debootstrap. Memory is PSS
of all processes in a container: an init, the server, and a kernel that has run a cell.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from bench.container_engine import IMAGE, OwnEngine, own_engine, why_none
from bench.temp_guests import CELL, Service, guest
from moorage.process import procfs

SETTLED = 5.0
"""Seconds after which memory is looked at: no event tells that servers are idle."""


async def visit(
    url: str, begun: float, all_in: asyncio.Barrier, measured: asyncio.Event
) -> tuple[float, float]:
    """Come in, run a cell, and stay until all have; return the seconds until each of the two."""
    async with guest(url) as one:
        in_after = time.monotonic() - begun
        async with one.kernel() as kernel:
            await kernel.run(CELL)
            ran_after = time.monotonic() - begun
            await all_in.wait()
            await measured.wait()
    return in_after, ran_after


async def crowd(engine: OwnEngine, image: str, visitors: int) -> None:
    """Let a crowd in, and print what it took."""
    folder = Path(tempfile.mkdtemp(prefix="mb-", dir="/tmp"))
    state = folder / "s"
    words = ["--place", "docker", "--docker-socket", str(engine.socket), "--image", image]
    service = Service(state, [*words, "--capacity", str(visitors), "--start-timeout", "300"])
    try:
        await service.start()
        all_in, measured = asyncio.Barrier(visitors + 1), asyncio.Event()
        begun = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            coming = [tasks.create_task(visit(service.url, begun, all_in, measured)) for _ in range(visitors)]
            await all_in.wait()
            await asyncio.sleep(SETTLED)
            pids = [engine.pid(each) for each in engine.containers(state)]
            memory = [(procfs.proportional(pid) or 0) / (1 << 20) for pid in pids]
            measured.set()
        began = time.monotonic()
        await service.end()
        ended = time.monotonic() - began
        left = engine.containers(state)
    finally:
        await service.end()
        shutil.rmtree(folder, ignore_errors=True)
    assert len(pids) == visitors
    entered, ran = (sorted(each.result()[at] for each in coming) for at in (0, 1))
    print(f"{visitors} visitors at once, each in a container of {image}, none before")
    print("| what | first | median | last |\n|---|---|---|---|")
    for name, times in (("in JupyterLab (s)", entered), ("a cell has run (s)", ran)):
        print(f"| {name} | {times[0]:.1f} | {statistics.median(times):.1f} | {times[-1]:.1f} |")
    print(f"Memory of a visitor, server and kernel: {statistics.mean(memory):.0f} MiB")
    print(f"The service ended with all of them after {ended:.1f} s; containers left: {len(left)}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Visitors at once, each in a container.")
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--socket", type=Path, help="of an engine; default: one of its own")
    parser.add_argument("--image", default=IMAGE)
    options = parser.parse_args()
    if options.socket is not None:
        asyncio.run(crowd(OwnEngine(options.socket), options.image, options.visitors))
    elif why := why_none():
        parser.exit(1, f"No Docker engine: {why}\n")
    else:
        with own_engine() as engine:
            asyncio.run(crowd(engine, options.image, options.visitors))


if __name__ == "__main__":
    main()
