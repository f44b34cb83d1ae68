"""Ordinary runs of ``moorage render`` on a busy machine: none may crash or show a traceback of ours.

    python -m bench.drill_runs [--runs 500] [--documents 20] [--jobs 4] [--busy 2]

Each run renders --documents documents, half of them notebooks and half scripts, to ipynb, in a folder of its
own and without a cache, beside --busy processes that compute. A run fails if its exit code is not 0, if it
prints a traceback, or if a document is missing. What a failed run printed is shown. Exit code 0 when no run
failed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bench.drill_lines import busy
from bench.measure import BIN, machine, median, run, write_notebooks, write_results

LIMIT = 300.0
"""Seconds for one run."""


def wrong(folder: Path, documents: int, jobs: int) -> tuple[str, float]:
    """Make one run; return what was wrong with it, or nothing, and its seconds."""
    done = run(
        [BIN / "moorage", "render", "sources", "-o", "out", "--no-cache", "-j", str(jobs)],
        cwd=folder,
        limit=LIMIT,
    )
    made = len(list((folder / "out").rglob("*.ipynb")))
    if done.code == 0 and made == documents and "Traceback" not in done.output:
        return "", done.seconds
    return f"exit code {done.code}, {made} of {documents} documents\n{done.output[-4000:]}", done.seconds


def main() -> int:
    """Make all runs and print what came of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--busy", type=int, default=2, help="processes that compute beside it")
    options = parser.parse_args()
    failures: Counter[str] = Counter()
    seconds: list[float] = []
    began = time.monotonic()
    with busy(options.busy):
        for number in range(1, options.runs + 1):
            with tempfile.TemporaryDirectory(prefix="drill-runs-") as name:
                sources = Path(name) / "sources"
                write_notebooks(sources / "a", options.documents // 2, "ipynb")
                write_notebooks(sources / "b", options.documents - options.documents // 2, "py")
                what, took = wrong(Path(name), options.documents, options.jobs)
            seconds.append(took)
            if what:
                failures[what.partition("\n")[0]] += 1
                print(f"run {number}: {what}", flush=True)
            elif number % 50 == 0:
                print(f"{number} of {options.runs}, {sum(failures.values())} failed", flush=True)
    told = {
        "machine": machine(),
        "command": sys.argv,
        "runs": options.runs,
        "failed": sum(failures.values()),
        "how": dict(failures),
        "median_seconds": median(seconds),
        "seconds": time.monotonic() - began,
    }
    write_results("drill_runs", told)
    print(f"{told['failed']} of {options.runs} runs failed; median {told['median_seconds']:.2f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
