"""Kill moorage in every way, many times, and look for what is left.

    python bench/drill_warden.py [N] [--deadline SECONDS]

Each round starts a process that uses moorage. Its warden launches a Python child which starts a plain
child, a setsid child and a double-forked daemon that ignores signals. The process has a socket in the
private directory and a half-written file under guard. Then it is ended: SIGKILL with the family complete,
SIGKILL while the child starts, SIGTERM, SIGINT; N rounds of each (50), and of both SIGKILLs once more where
the child is forked from a template, as kernels are: then a template and a spare are there, too. A round fails
if, SECONDS (2) later, a process of it, the socket, the directory or the file is left. Exit code 0 when none
failed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import hear_ctrl_c
from moorage.process import procfs

MOORED = Path(__file__).parent.parent / "tests" / "process" / "files" / "moored.py"
MARK = "MOORAGE_DRILL_ROUND"
KINDS = ("plain", "setsid", "daemon")


@dataclass
class Tally:
    """What came of one variant's rounds."""

    name: str
    seconds: list[float] = field(default_factory=list)
    processes: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def line(self) -> str:
        times = sorted(self.seconds) or [float("nan")]
        quantiles = ", ".join(
            f"{name} {1000 * times[min(len(times) - 1, int(share * len(times)))]:.0f}"
            for name, share in (("min", 0), ("median", 0.5), ("p95", 0.95), ("max", 1))
        )
        rounds = len(self.seconds) + len(self.failures)
        return (
            f"{self.name:24} {rounds - len(self.failures)} of {rounds} left nothing; "
            f"processes alive at the kill {min(self.processes)}-{max(self.processes)}; "
            f"ms until gone: {quantiles}"
        )


def marked(name: str) -> list[int]:
    """Return the living processes whose environment carries this round's mark."""
    wanted = f"{MARK}={name}".encode()
    found = []
    for process in procfs.table().values():
        try:
            environ = procfs.read(f"/proc/{process.pid}/environ").split(b"\0")
        except OSError:
            continue
        if wanted in environ and not process.dead:
            found.append(process.pid)
    return found


def one_round(tally: Tally, name: str, signum: int, words: tuple[str, ...], deadline: float) -> None:
    """Start one, end it, wait until nothing is left; enter the result."""
    process = subprocess.Popen(
        [sys.executable, str(MOORED), *words, *KINDS],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, MARK: name},
        start_new_session=True,
    )
    with process.stdout as stdout:
        told = json.loads(stdout.readline())
        paths = [Path(told["directory"]) / "kernel-1", Path(told["directory"]), Path(told["half"])]
        if "early" in words:
            time.sleep(
                random.uniform(0, 1.0 if "forked" in words else 0.03)
            )  # somewhere in the start, not to wait for it
        else:
            stdout.readline()
    alive = marked(name)
    tally.processes.append(len(alive))
    if not all(path.exists() for path in paths):
        tally.failures.append(f"{name}: {paths} were not there to begin with")
        return
    began = time.monotonic()
    process.send_signal(signum)
    pids = marked(name)
    while pids or any(path.exists() for path in paths):
        if time.monotonic() - began > deadline:
            left = [str(path) for path in paths if path.exists()]
            tally.failures.append(f"{name}: processes {pids}, files {left}")
            process.kill()
            break
        time.sleep(0.002)
        pids = marked(name)
    else:
        tally.seconds.append(time.monotonic() - began)
    process.wait()


def main() -> int:
    """Run all variants and print what came of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rounds", nargs="?", type=int, default=50)
    parser.add_argument("--deadline", type=float, default=2.0, help="seconds until nothing may be left")
    options = parser.parse_args()
    hear_ctrl_c()
    failed = 0
    for title, signum, *words in (
        ("SIGKILL", signal.SIGKILL),
        ("SIGKILL while it starts", signal.SIGKILL, "early"),
        ("SIGTERM", signal.SIGTERM),
        ("SIGINT", signal.SIGINT),
        ("SIGKILL, forked", signal.SIGKILL, "forked"),
        ("SIGKILL while it forks", signal.SIGKILL, "forked", "early"),
    ):
        tally = Tally(title)
        for number in range(options.rounds):
            name = f"{os.getpid()}.{title}.{number}"
            one_round(tally, name, signum, tuple(words), options.deadline)
        print(tally.line(), flush=True)
        for failure in tally.failures:
            print("  left:", failure)
        failed += len(tally.failures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
