"""From SIGKILL of a real kernel to everybody who waits for it: moorage, jupyter_client, nbclient.

    python -m bench.death_notice [--repeat 50]

One loop, one kernel at a time, in turn. The kernel runs a cell meanwhile and has written its last words to
its own stderr. With moorage those wait who wait for the cell, for the process (twice), for a cell of a second
client that is attached, for that client's process, and, of a second kernel that was stopped by SIGSTOP and
so cannot obey, for its shutdown. A thread that only waits for the pidfd tells when the system itself
knew, for taking down a process takes time, on a busy machine most of it; the last columns are what came on
top. Beside it, as their users have it: jupyter_client's restarter with its callback (a tick every 3 s), and
nbclient, which looks every second whether the kernel lives. Those two are killed at a random moment of their
tick; that wait is not in the time. Writes bench/results/death_notice.json. Exit code 0 when every notice of
moorage's came within 50 ms, those of the owner with cause, signal and last words.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import select
import signal
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress

from bench.measure import machine, table, write_results

TARGET = 0.05
# ipykernel has put a pipe of its own in the place of stderr; what it had before is here.
CELL = """
import os, sys, time
os.write(sys.stderr._original_stdstream_copy, b'last words')
print('on', flush=True)
time.sleep(600)
"""
RESTARTER, NBCLIENT = "jupyter_client: restarter's callback", "nbclient: DeadKernelError"

FLOOR = "the system itself: pidfd, in a thread"

BEYOND = ", beyond the system"

Times = dict[str, list[float]]


class Faults(list[str]):
    """What a notice lacked."""

    def expect(self, true: object, what: str) -> None:
        """Take note of what is not as it must be."""
        if not true:
            self.append(what)


def gone(pid: int) -> float:
    """Wait for the end of a process as its parent's system tells it, and return when that was."""
    descriptor = os.pidfd_open(pid)
    try:
        select.select([descriptor], [], [])
        return time.perf_counter()
    finally:
        os.close(descriptor)


async def noticed(wait: Awaitable[object]) -> tuple[float, object]:
    """Return when a wait ended, and with what."""
    try:
        result = await wait
    except Exception as error:  # noqa: BLE001 - it is the notice that is waited for
        return time.perf_counter(), error
    return time.perf_counter(), result


async def with_moorage(times: Times, faults: Faults) -> None:
    """Kill one kernel that many wait for, and one that is being shut down."""
    import moorage

    async with (
        moorage.launch("python3", fork=False) as kernel,
        moorage.attach(kernel.connection_file) as other,
    ):
        on = asyncio.Event()
        cell = kernel.execute(CELL, receive=lambda m: m.msg_type == "stream" and on.set())
        waits = {
            FLOOR: asyncio.to_thread(gone, kernel.process.pid),
            "moorage: process.wait": kernel.process.wait(),
            "moorage: process.wait, another": kernel.process.wait(),
            "moorage: attached, execute": other.execute("1"),
            "moorage: attached, process.wait": other.process.wait(),
        }
        async with asyncio.TaskGroup() as group:
            tasks = {"moorage: execute": group.create_task(noticed(cell))}
            await on.wait()
            tasks |= {name: group.create_task(noticed(wait)) for name, wait in waits.items()}
            await asyncio.sleep(0.02)  # all of them wait
            began = time.perf_counter()
            os.kill(kernel.process.pid, signal.SIGKILL)
        for name, task in tasks.items():
            ended, told = task.result()
            if name == FLOOR:
                times[name].append(told - began)
                continue
            times[name].append(ended - began)
            times[name + BEYOND].append(ended - tasks[FLOOR].result()[1])
            status = getattr(told, "exit_status", told)
            faults.expect(getattr(status, "signal", None) == signal.SIGKILL, f"{name}: {told!r}")
        _, told = tasks["moorage: execute"].result()
        faults.expect("last words" in told.output and "SIGKILL" in str(told), f"no last words in {told}")
    async with moorage.launch("python3", fork=False) as kernel:
        os.kill(kernel.process.pid, signal.SIGSTOP)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(noticed(kernel.shutdown(grace=60)))
            await asyncio.sleep(0.02)  # it has been asked, and cannot obey
            began = time.perf_counter()
            os.kill(kernel.process.pid, signal.SIGKILL)
        ended, told = task.result()
        times["moorage: shutdown"].append(ended - began)
        faults.expect(getattr(told, "signal", None) == signal.SIGKILL, f"shutdown: {told!r}")


async def with_restarter(times: Times, _: Faults) -> None:
    """Kill a kernel of a manager that restarts; its callback is the notice."""
    from jupyter_client.ioloop import AsyncIOLoopKernelManager

    manager = AsyncIOLoopKernelManager(kernel_name="python3")
    await manager.start_kernel(stderr=asyncio.subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=60)
    told = asyncio.Event()
    manager.add_restart_callback(told.set, "restart")
    try:
        await asyncio.sleep(random.uniform(0, 3))
        began = time.perf_counter()
        os.kill(manager.provisioner.pid, signal.SIGKILL)
        await told.wait()
        times[RESTARTER].append(time.perf_counter() - began)
        manager.stop_restarter()
        await asyncio.sleep(0.5)  # it is starting another kernel
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)


async def with_nbclient(times: Times, _: Faults) -> None:
    """Kill a kernel in the middle of a notebook; the error is the notice."""
    import nbformat
    from nbclient import NotebookClient

    cell = nbformat.v4.new_code_cell("import time; time.sleep(600)")
    runner = NotebookClient(nbformat.v4.new_notebook(cells=[cell]), kernel_name="python3")
    on = asyncio.Event()
    runner.on_cell_execute = lambda **_: on.set()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(noticed(runner.async_execute()))
        await on.wait()
        await asyncio.sleep(random.uniform(0.2, 1.2))
        began = time.perf_counter()
        os.kill(runner.km.provisioner.pid, signal.SIGKILL)
    ended, told = task.result()
    if type(told).__name__ != "DeadKernelError":
        raise RuntimeError(f"nbclient said {told!r}")
    times[NBCLIENT].append(ended - began)


async def measured(repeat: int, peers: int) -> tuple[Times, Faults]:
    """Kill them all, so many times."""
    from moorage.process.local import shared_warden

    times: Times = defaultdict(list)
    faults = Faults()
    ways: list[Callable[[Times, Faults], Awaitable[None]]] = [with_moorage, with_restarter, with_nbclient]
    async with shared_warden():
        for turn in range(repeat):
            for way in ways if turn < peers else ways[:1]:
                async with asyncio.timeout(180):
                    await way(times, faults)
            print(f"\r{turn + 1} of {repeat}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return times, faults


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=50)
    parser.add_argument("--peers", type=int, default=50, help="how often the peers' kernels are killed")
    options = parser.parse_args()
    times, faults = asyncio.run(measured(options.repeat, options.peers))
    head = ["who waits", "n", "p50 ms", "p95 ms", "most ms", "beyond the system: p50 ms", "most ms"]
    rows = []
    known = [name for name in times if not name.endswith(BEYOND)]
    for name in sorted(known, key=lambda name: not name.startswith("moorage")):
        values = sorted(times[name])
        high = values[min(len(values) - 1, round(0.95 * len(values)))]
        figures = (statistics.median(values), high, values[-1])
        beyond = times.get(name + BEYOND, [])
        rest = (
            [f"{1000 * each:.1f}" for each in (statistics.median(beyond), max(beyond))]
            if beyond
            else ["", ""]
        )
        rows.append([name, str(len(values)), *(f"{1000 * each:.1f}" for each in figures), *rest])
    most = max(max(times[name]) for name in known if name.startswith("moorage"))
    well = most <= TARGET and not faults
    said = f"Latest notice of moorage's: {1000 * most:.1f} ms; target {1000 * TARGET:.0f} ms. {machine()}"
    print(table(head, rows), said, *faults, sep="\n")
    with suppress(OSError):
        load = os.getloadavg()[0]
        print(f"Load while it ended: {load:.1f}")
    content = {"machine": machine(), "command": sys.argv, "times": times, "faults": faults, "well": well}
    write_results("death_notice", content)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
