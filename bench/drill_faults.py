"""How soon a kernel's death is told, and what is told (drill A2).

``python -m bench.drill_faults [--runs 50]`` starts real processes and measures, on one clock:

* death while starting: from the last thing the process does to ``StartDeath`` in the caller's hands;
* SIGKILL in the third of five cells: from the signal to the failed request.

Figures are wall time on a machine that may be busy; p50 and p95 of all runs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from moorage.discovery.kernelspec import KernelSpec, native
from moorage.errors import KernelDied, StartDeath
from moorage.kernel.launch import launch
from moorage.process.base import ExitStatus
from moorage.process.local import shared_warden

_DIES = """
import os, sys, time
sys.stderr.write("no such berth\\n")
sys.stderr.flush()
open(sys.argv[1], "w").write(repr(time.monotonic()))
os._exit(3)
"""


async def start_death(folder: Path) -> float:
    """Return seconds from a kernel's last act to the error."""
    stamp = folder / "stamp"
    spec = KernelSpec(
        "dies", (sys.executable, "-S", "-c", _DIES, str(stamp), "{connection_file}"), "Dies", "x"
    )
    try:
        async with launch(spec):
            raise AssertionError("it never started")
    except StartDeath as error:
        told = time.monotonic()
        assert isinstance(error.exit_status, ExitStatus)
        assert error.exit_status.code == 3, error
        assert "no such berth" in str(error), error
    return told - float(stamp.read_text())


async def killed_in_a_cell(runs: int) -> list[float]:
    """Return seconds from SIGKILL to the failed request, for kernels in the middle of a cell."""
    spec = native()
    assert spec is not None
    times = []
    for _ in range(runs):
        async with launch(spec) as kernel:
            for cell in range(2):
                await kernel.execute(f"print({cell})")
            pid = int((await kernel.execute("import os; os.getpid()")).outputs[0]["data"]["text/plain"])
            running = asyncio.Event()
            told: list[float] = []

            async def third(kernel=kernel, running=running, told=told) -> None:
                try:
                    await kernel.execute(
                        "print('busy', flush=True); import time; time.sleep(600)",
                        receive=lambda m: running.set() if m.msg_type == "stream" else None,
                    )
                except KernelDied as error:
                    told.append(time.monotonic())
                    assert "SIGKILL" in str(error), error

            async with asyncio.TaskGroup() as group:
                group.create_task(third())
                await running.wait()
                sent = time.monotonic()
                os.kill(pid, signal.SIGKILL)
            times.append(told[0] - sent)
    return times


def row(name: str, times: list[float]) -> str:
    """Return one line of figures in milliseconds."""
    ordered = sorted(times)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return (
        f"{name:34} n={len(times):3}  p50 {statistics.median(times) * 1000:6.1f} ms"
        f"  p95 {p95 * 1000:6.1f} ms  max {ordered[-1] * 1000:6.1f} ms"
    )


async def drill(runs: int) -> None:
    """Run both."""
    with tempfile.TemporaryDirectory() as name:
        async with shared_warden():
            times = [await start_death(Path(name)) for _ in range(runs)]
            print(row("death while starting, until told", times))
            print(row("SIGKILL in cell 3 of 5, until told", await killed_in_a_cell(max(5, runs // 5))))


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    asyncio.run(drill(parser.parse_args().runs))


if __name__ == "__main__":
    main()
