"""End `moorage render` in every way, many times, and look for what is left.

    python -m bench.drill_kill [--rounds 25] [--signals 10] [--deadline SECONDS]

A tree of two notebooks is rendered. The first makes a file that is linked into the folder of the second;
the second's kernel starts a plain child, a setsid child and a double-forked daemon that ignores every signal
it can: once before the kernel itself has started (its kernelspec's command does so) and once more in a cell,
which then never ends. moorage is ended by SIGKILL in that cell, by SIGKILL at a random moment while that
kernel or moorage itself starts, by SIGTERM and by SIGINT in that cell. A round fails if, SECONDS (2) later,
anything is left: a process that carries the round's mark, a file in the private place (XDG_RUNTIME_DIR), a
half-written file in the outputs' folder, a link in the sources' tree. Exit code 0 when no round failed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import BIN, environment, hear_ctrl_c, machine, median, script, write_results
from moorage.notebooks.output.made import FILE_NAME
from moorage.process import procfs

MARK = "MOORAGE_DRILL_ROUND"

FAMILY = """
import os, signal, subprocess, sys, time
doze = "import time; time.sleep(600)"
subprocess.Popen([sys.executable, "-c", doze])
subprocess.Popen([sys.executable, "-c", doze], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(one, signal.SIG_IGN)
        os.execv(sys.executable, [sys.executable, "-c", doze])
    os._exit(0)
"""
# Its file is called ipykernel_launcher, so that it is taken for what it becomes.
KERNEL = (
    'import os\nopen(os.environ["MOORAGE_DRILL_STARTED"], "w").close()\n'
    + FAMILY
    + 'os.execv(sys.executable, [sys.executable, "-m", "ipykernel_launcher", *sys.argv[1:]])\n'
)

FIRST = 'from pathlib import Path\nPath("made.txt").write_text("made")'
SECOND = (
    FAMILY + 'open("made.txt").read()\nopen(os.environ["MOORAGE_DRILL_READY"], "w").close()\ntime.sleep(600)'
)

CONFIGURATION = """
[notebook."first/first.py"]
outputs = ["made.txt"]

[notebook."second/second.py"]
kernel = "family"
needs = ["../first/first.py", { file = "../first/made.txt", as = "made.txt" }]
"""


# What may stand in the outputs' folder: it was finished.
FINISHED = {"first", "second", "first.ipynb", "made.txt", FILE_NAME}  # the last: which files moorage made
HALF = ".moorage-"


@dataclass
class Tally:
    """What came of one variant's rounds."""

    name: str
    gone: list[float] = field(default_factory=list)
    exited: list[float] = field(default_factory=list)
    processes: list[int] = field(default_factory=list)
    codes: set[int] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)

    def line(self) -> str:
        rounds = len(self.gone) + len(self.failures)
        return (
            f"{self.name:28} {len(self.gone)} of {rounds} left nothing; exit codes {sorted(self.codes)}; "
            f"processes at the signal {min(self.processes, default=0)}-{max(self.processes, default=0)}; "
            f"ms until moorage was gone: {spread(self.exited)}; until all was gone: {spread(self.gone)}"
        )


def spread(seconds: list[float]) -> str:
    """Return median and longest in milliseconds."""
    return f"median {1000 * median(seconds):.0f}, most {1000 * max(seconds, default=0):.0f}"


class NotReadyError(Exception):
    """A run that ended, or hung, before the cell in which it was to be ended."""


class Round:
    """One run of moorage in a folder of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix="md-"))
        self.place = self.folder / "run"
        self.out = self.folder / "out"
        self.tree = self.folder / "tree"
        self.started = self.folder / "started"
        self.ready = self.folder / "ready"
        self._write()
        self.began = time.monotonic()
        self.process = self._start()

    def _write(self) -> None:
        for each in ("first", "second"):
            (self.tree / each).mkdir(parents=True)
        (self.tree / "first" / "first.py").write_text(script([FIRST]))
        (self.tree / "second" / "second.py").write_text(script(["1 + 1", SECOND]))
        (self.tree / "moorage.toml").write_text(CONFIGURATION)
        self.place.mkdir(mode=0o700)
        self.out.mkdir()
        kernel = self.folder / "data" / "kernels" / "family"
        kernel.mkdir(parents=True)
        (kernel / "ipykernel_launcher").write_text(KERNEL)
        command = [sys.executable, str(kernel / "ipykernel_launcher"), "-f", "{connection_file}"]
        spec = {"argv": command, "display_name": "family", "language": "python"}
        (kernel / "kernel.json").write_text(json.dumps(spec))

    def _start(self) -> subprocess.Popen[bytes]:
        env = {
            **environment(),
            MARK: self.name,
            "MOORAGE_DRILL_STARTED": str(self.started),
            "MOORAGE_DRILL_READY": str(self.ready),
            "JUPYTER_PATH": str(self.folder / "data"),
            "XDG_RUNTIME_DIR": str(self.place),
            "TMPDIR": str(self.place),
        }
        command = [BIN / "moorage", "render", ".", "-o", self.out, "-j", "2", "--plain"]
        log = (self.folder / "log").open("wb")
        with log:
            return subprocess.Popen(
                command,
                cwd=self.tree,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def until(self, file: Path, seconds: float) -> None:
        """Wait until the kernel's command (``started``) or the last cell (``ready``) runs."""
        while not file.exists():
            if self.process.poll() is not None or time.monotonic() - self.began > seconds:
                log = (self.folder / "log").read_text()[-2000:]
                raise NotReadyError(f"it never came to the cell: {log}")
            time.sleep(0.005)

    def left(self) -> list[str]:
        """Return what there still is."""
        found = [f"process {pid}" for pid in marked(self.name)]
        found += below(self.place)
        found += [path for path in below(self.out) if Path(path).name not in FINISHED]
        found += [path for path in below(self.tree) if Path(path).is_symlink() or HALF in path]
        return found

    def close(self) -> None:
        """End what a failed round left, and remove the folder."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in marked(self.name):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


def below(folder: Path) -> list[str]:
    """Return every file, link and folder below a folder that somebody else may be emptying."""
    return [str(Path(top, name)) for top, folders, files in os.walk(folder) for name in (*files, *folders)]


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


def reach(one: Round, moment: str) -> None:
    """Wait for the moment at which moorage is to be ended; where it is a random one, this sleeps."""
    if moment == "cell":
        one.until(one.ready, 120)
    elif moment == "kernel starts":
        one.until(one.started, 120)
        time.sleep(random.uniform(0, 0.4))
    else:
        time.sleep(random.uniform(0.01, 1.0))


def one_round(tally: Tally, name: str, signum: int, *, moment: str, deadline: float) -> None:
    """Start one, end it, wait until nothing is left; enter the result.

    Args:
        moment: ``cell``: the last one runs; ``kernel starts``: soon after its command began to run;
            ``moorage starts``: soon after moorage's began.
    """
    one = Round(name)
    try:
        reach(one, moment)
        tally.processes.append(len(marked(name)))
        began = time.monotonic()
        one.process.send_signal(signum)
        exited = None
        while (left := one.left()) or one.process.poll() is None:
            if exited is None and one.process.poll() is not None:
                exited = time.monotonic() - began
            if time.monotonic() - began > deadline:
                tally.failures.append(f"{name}: {left}")
                break
            time.sleep(0.005)
        else:
            tally.gone.append(time.monotonic() - began)
        tally.exited.append(exited or time.monotonic() - began)
        tally.codes.add(one.process.poll() or 0)
    except NotReadyError as error:
        tally.failures.append(f"{name}: {error}")
    finally:
        one.close()


def main() -> int:
    """Run all variants and print what came of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=25, help="of SIGKILL, each kind")
    parser.add_argument("--signals", type=int, default=10, help="rounds of SIGTERM and of SIGINT")
    parser.add_argument("--deadline", type=float, default=2.0, help="seconds until nothing may be left")
    options = parser.parse_args()
    hear_ctrl_c()
    tallies = []
    for title, signum, moments, rounds in (
        ("SIGKILL in a cell", signal.SIGKILL, ("cell",), options.rounds),
        ("SIGKILL while it starts", signal.SIGKILL, ("kernel starts", "moorage starts"), options.rounds),
        ("SIGTERM", signal.SIGTERM, ("cell",), options.signals),
        ("SIGINT", signal.SIGINT, ("cell",), options.signals),
    ):
        tally = Tally(title)
        for number in range(rounds):
            name = f"{os.getpid()}.{title}.{number}".replace(" ", "-")
            moment = moments[number % len(moments)]
            one_round(tally, name, signum, moment=moment, deadline=options.deadline)
        print(tally.line(), flush=True)
        for failure in tally.failures:
            print("  left:", failure, flush=True)
        tallies.append(tally)
    write_results(
        "drill_kill",
        {
            "machine": machine(),
            "command": sys.argv,
            "variants": [vars(t) | {"codes": sorted(t.codes)} for t in tallies],
        },
    )
    return 1 if any(tally.failures for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
