"""What the benches share: trivial notebooks, whole processes timed, medians, tables."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent

CELLS = (
    "import math\nradius = 2.5\nprint('area', math.pi * radius**2)",
    "values = [n * n for n in range(10)]\nprint(values)\nsum(values)",
    "text = 'moorage'\nprint(text.upper())\nlen(text)",
)


@dataclass(frozen=True)
class Run:
    """One whole process, with everything it waited for.

    Attributes:
        seconds: wall time from fork to reaped.
        cpu: user and system seconds of the process and its reaped descendants.
        code: exit code, negative for a signal.
        output: stdout and stderr.
    """

    seconds: float
    cpu: float
    code: int
    output: str


def hear_ctrl_c() -> None:
    """Have programs that are started from here end at SIGINT, which jobs of a shell's background ignore."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def run(argv: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None, limit: float) -> Run:
    """Run a program to its end.

    Args:
        argv: its command.
        cwd: where.
        env: added to the environment.
        limit: seconds after which it is killed.
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in argv],
        cwd=cwd,
        env={**environment(), **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    alarm = threading.Timer(limit, process.kill)
    alarm.daemon = True
    alarm.start()
    with process.stdout as stdout:
        output = stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    alarm.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    return Run(seconds, cpu, process.returncode, output.decode(errors="replace"))


def environment() -> dict[str, str]:
    """Return this process's environment with the interpreter's programs first on the path.

    Bytecode may be written: without it every start compiles every module anew, in all programs compared, and
    that is what would be measured.
    """
    left_out = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PYTHONDONTWRITEBYTECODE"}
    kept = {key: value for key, value in os.environ.items() if key not in left_out}
    return {**kept, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}


def write_notebooks(folder: Path, count: int, form: str) -> None:
    """Write trivial documents.

    Args:
        folder: made anew.
        count: how many.
        form: ``ipynb``, or ``py`` for a light script without a header.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number in range(count):
        cells = [f"number = {number}", *CELLS]
        path = folder / f"n{number:03}.{form}"
        path.write_text(notebook(cells) if form == "ipynb" else script(cells))


def notebook(cells: Sequence[str]) -> str:
    """Return a notebook of these code cells as JSON."""
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    written = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"cell-{number}",
            "metadata": {},
            "outputs": [],
            "source": source,
        }
        for number, source in enumerate(cells)
    ]
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return json.dumps({"cells": written, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def script(cells: Sequence[str]) -> str:
    """Return the same as a light script."""
    return "".join(f"# +\n{source}\n# -\n\n" for source in cells)


def median(values: Sequence[float]) -> float:
    """Return the median; nan of nothing."""
    return statistics.median(values) if values else float("nan")


def machine() -> str:
    """Return one line about this machine."""
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {model}, Linux {platform.release()}, Python {platform.python_version()}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns also line up in a terminal."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return "\n".join([line(head), line(["-" * width for width in widths]), *map(line, rows)])


def write_results(name: str, content: object) -> Path:
    """Write ``bench/results/NAME.json``."""
    path = HERE / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path
