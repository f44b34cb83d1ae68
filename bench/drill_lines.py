"""Print many flushed lines in kernels of every make, and look for the lines in the rendered notebook.

    python -m bench.drill_lines [--runs 20] [--lines 20000] [--busy 2] [--kernels KERNEL...] [--pause]

Each run is one ``moorage render`` of one notebook, beside --busy processes that compute. With --pause the
command is stopped (SIGSTOP) from the cell's first line until its last: then every publisher has more to send
than it may keep, and output that is dropped must be told. A run fails if its notebook is called ``ok`` and a
line is missing or out of order, or if it is not ``ok`` for any other reason than output that was lost. Exit
code 0 when no run failed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import BIN, environment, machine, table, write_results

LIMIT = 600.0
"""Seconds for one command."""

_PYTHON = """open("begun", "w").close()
for n in range({lines}): print({fill!r} + str(n), flush=True)
open("done", "w").close()"""
PRINTING = {
    "python3": _PYTHON,
    "xpython": _PYTHON,
    "xpython-raw": _PYTHON,
    "ir": """invisible(file.create("begun"))
for (n in seq_len({lines}) - 1) {{cat({fill!r}, n, "\\n", sep = ""); flush(stdout())}}
invisible(file.create("done"))""",
    "bash": """: > begun
for n in $(seq 0 $(({lines} - 1))); do echo {fill}$n; done
: > done""",
    "deno": """Deno.writeTextFileSync("begun", "");
for (let n = 0; n < {lines}; n++) console.log({fill!r} + n);
Deno.writeTextFileSync("done", "");""",
    "tslab": """const fs = require("fs"); fs.writeFileSync("begun", "");
for (let n = 0; n < {lines}; n++) console.log({fill!r} + n);
fs.writeFileSync("done", "");""",
}
"""Code that prints numbered lines, and makes a file before and after them."""


@dataclass(frozen=True)
class Printed:
    """What came of one run.

    Attributes:
        status: what ``render`` calls the notebook.
        error: the name of its error, or nothing.
        missing: lines that are not in the file.
        ordered: whether they are in the order in which they were printed, where none is missing.
    """

    status: str
    error: str
    missing: int
    ordered: bool

    @property
    def told(self) -> bool:
        """Whether the file holds every line, or the run says that it does not."""
        if self.status == "ok":
            return self.missing == 0 and self.ordered
        return self.status == "failed" and self.error == "OutputLost"


def one_run(
    folder: Path, kernel: str, *, lines: int, fill: str = "", forked: bool = False, pause: bool = False
) -> Printed:
    """Render a notebook whose only cell prints numbered lines.

    Args:
        folder: an empty one.
        kernel: a key of ``PRINTING``.
        lines: how many.
        fill: each begins with that.
        forked: fork the kernel, by rendering a second, empty notebook beside; else spawn it.
        pause: stop the command while the cell prints.
    """
    sources = folder / "sources"
    sources.mkdir()
    _write(sources / "lines.ipynb", kernel, PRINTING[kernel].format(lines=lines, fill=fill))
    if forked:
        _write(sources / "other.ipynb", kernel, "pass")
    command = [str(BIN / "moorage"), "render", "sources", "-o", "out", "--no-cache", "--json", "-"]
    command += [] if forked else ["--no-fork"]
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as running:
        if pause:
            _stop_meanwhile(running, sources)
        told, _ = running.communicate(timeout=LIMIT)
    outcome = next(each for each in json.loads(told)["notebooks"] if each["source"].endswith("lines.ipynb"))
    outputs = json.loads((folder / "out" / "lines.ipynb").read_bytes())["cells"][0]["outputs"]
    text = "".join("".join(each["text"]) for each in outputs if each.get("name") == "stdout")
    wanted = [f"{fill}{n}" for n in range(lines)]
    missing = sum((Counter(wanted) - Counter(text.split())).values())
    error = (outcome["error"] or {}).get("ename", "")
    return Printed(outcome["status"], error, missing, ordered=bool(missing) or text.split() == wanted)


def _write(path: Path, kernel: str, source: str) -> None:
    cell = {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None}
    metadata = {"kernelspec": {"name": kernel, "display_name": kernel}}
    path.write_text(json.dumps({"cells": [cell], "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}))


def _stop_meanwhile(running: subprocess.Popen[bytes], folder: Path) -> None:
    """Stop the command while its cell prints."""
    due = time.monotonic() + LIMIT
    for name, signum in (("begun", signal.SIGSTOP), ("done", signal.SIGCONT)):
        while not (folder / name).exists() and running.poll() is None and time.monotonic() < due:
            time.sleep(0.02)
        running.send_signal(signum)


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep so many processors busy."""
    command = [sys.executable, "-c", "while True: pass"]
    working = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for each in working:
            each.kill()
            each.wait()


def main() -> int:
    """Make all runs and print what came of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=0, help="characters before each line's number")
    parser.add_argument("--busy", type=int, default=2, help="processes that compute beside it")
    parser.add_argument("--kernels", nargs="*", default=["python3", "forked", "xpython", "ir", "bash"])
    parser.add_argument("--pause", action="store_true", help="stop the command while the cell prints")
    options = parser.parse_args()
    rows, failed, results = [], 0, []
    with busy(options.busy):
        for kernel in options.kernels:
            began = time.monotonic()
            seen: Counter[Printed] = Counter()
            for _ in range(options.runs):
                folder = Path(tempfile.mkdtemp(prefix="drill-lines-"))
                forked, fill = kernel == "forked", "x" * options.width
                name = "python3" if forked else kernel
                printed = one_run(
                    folder, name, lines=options.lines, fill=fill, forked=forked, pause=options.pause
                )
                seen[printed] += 1
                shutil.rmtree(folder, ignore_errors=True)
            for printed, count in sorted(seen.items(), key=str):
                failed += 0 if printed.told else count
                rows.append([kernel, str(count), printed.status, printed.error, str(printed.missing)])
                results.append({"kernel": kernel, "runs": count, **vars(printed)})
            rows[-1].append(f"{(time.monotonic() - began) / options.runs:.1f}")
            print(*rows[-1], flush=True)
    write_results("drill_lines", {"machine": machine(), "command": sys.argv, "runs": results})
    head = ["kernel", "runs", "status", "error", "missing", "seconds each"]
    print(table(head, [row + [""] * (len(head) - len(row)) for row in rows]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
