"""What processes are doing, for the report of a test that waits in vain."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil

MANY = 20
"""Of more processes than that the rest goes without a stack."""


def stacks(pids: Iterable[int]) -> str:
    """Return the stack of each thread of some processes; of those that are not Python where they wait."""
    return "\n".join(_stack(pid) for pid in list(pids)[:MANY])


def descendants() -> list[int]:
    """Return the children of this process, and theirs."""
    return [child.pid for child in psutil.Process().children(recursive=True)]


def _stack(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        head = (
            f"--- process {pid}, {process.status()}, {sum(process.cpu_times()[:2]):.1f} s of processor time: "
        )
        head += " ".join(process.cmdline())
    except psutil.Error as error:
        return f"--- process {pid}: {error}"
    spy = Path(sys.executable).with_name("py-spy")
    command = [spy, "dump", "--native", "--pid", str(pid)]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{head}\n{error}\n{_waits(pid)}"
    return f"{head}\n{done.stdout}" if done.returncode == 0 else f"{head}\n{_waits(pid)}"


def _waits(pid: int) -> str:
    """Return in which function of the system each thread waits, as far as it may be seen."""
    said = []
    for task in sorted(Path(f"/proc/{pid}/task").glob("*")):
        try:
            said.append(f"    thread {task.name}: {(task / 'wchan').read_text()}")
        except OSError as error:
            said.append(f"    thread {task.name}: {error}")
    return "\n".join(said)
