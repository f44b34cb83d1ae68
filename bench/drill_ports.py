"""200 notebooks where ports are scarce, beside a thief of ports; then the same with make and jupytext.

    python -m bench.drill_ports [--notebooks 200] [--jobs 16] [--peer 40] [--only NAME]...

Each run has a network namespace of its own (as root, or in a user namespace) whose ip_local_port_range is 300
ports wide (2,000 for self-bind and hold, where listeners and clients need ports), and in it a process that
binds port 0 in a loop, keeps up to 40 ports and lets the oldest go. Runs: ipc three times, self-bind, hold,
and `make -j16` with `jupytext --execute` on the first --peer notebooks (0 leaves it out) in 300 ports. Exit
code 0 when every notebook of every moorage run ended well with attempts = 1.
"""

from __future__ import annotations

import argparse
import collections
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.measure import BIN, HERE, environment, machine, run, table, write_notebooks, write_results
from bench.narrow import namespaced, prepare, thief

RUNS = {"ipc 1": 300, "ipc 2": 300, "ipc 3": 300, "self-bind": 2000, "hold": 2000, "make jupytext": 300}


def inner(name: str, folder: Path, jobs: int, limit: float) -> dict[str, object]:
    """Make one run inside the namespace."""
    width = RUNS[name]
    prepare(width)
    began = time.monotonic()
    with thief() as loot:
        told = peer(folder, jobs, limit) if "jupytext" in name else own(name, folder, jobs, limit)
    seconds = time.monotonic() - began
    return {"run": name, "ports": width, "seconds": seconds, "thief": loot.told, **told}


def own(name: str, folder: Path, jobs: int, limit: float) -> dict[str, object]:
    """Render with moorage; what is counted comes from its --json."""
    way = name.split(maxsplit=1)[0]
    results = folder / f"{name}.json"
    command = [BIN / "moorage", "render", "py", "-o", f"out {name}", "-j", str(jobs)]
    command += ["--no-cache", "--quiet", "--rendezvous", way, "--json", results.name]
    ended = run(command, cwd=folder, limit=limit)
    if not results.is_file():
        return {"notebooks": 0, "failed": -1, "attempts": {}, "causes": [ended.output[-2000:]]}
    notebooks = json.loads(results.read_text())["notebooks"]
    bad = [each for each in notebooks if each["status"] != "ok"]
    return {
        "notebooks": len(notebooks),
        "failed": len(bad),
        "attempts": dict(collections.Counter(str(each["attempts"]) for each in notebooks)),
        "ways": dict(collections.Counter(each["rendezvous"] for each in notebooks)),
        "code": ended.code,
        "causes": sorted({str(each["error"])[:300] for each in bad} | ({ended.output[-500:]} - {""})),
    }


def peer(folder: Path, jobs: int, limit: float) -> dict[str, object]:
    """Render with make and jupytext; 120 s for each notebook."""
    out = folder / "out-peer"
    out.mkdir()
    (folder / "Makefile").write_text(
        "all: $(patsubst peer/%.py,out-peer/%.ipynb,$(wildcard peer/*.py))\n"
        "out-peer/%.ipynb: peer/%.py\n"
        "\ttimeout -k 5 120 jupytext --quiet --set-kernel python3 --to ipynb --execute --output $@ $<"
        " > $@.log 2>&1 || { echo exit $$? >> $@.log; exit 1; }\n"
    )
    wanted = len(list((folder / "peer").glob("*.py")))
    ended = run(["make", "-k", f"-j{jobs}", "all"], cwd=folder, limit=limit)
    logs = {path.name.split(".")[0]: path.read_text() for path in out.glob("*.log")}
    made = {path.stem for path in out.glob("*.ipynb")}
    bad = {name: text for name, text in logs.items() if name not in made}
    silent = sum("Address already in use" in text for name, text in logs.items() if name in made)
    return {
        "notebooks": wanted,
        "failed": wanted - len(made),
        "attempts": {},
        "heartbeats lost without a word": silent,
        "code": ended.code,
        "causes": dict(collections.Counter(cause(text) for text in bad.values())),
    }


def cause(log: str) -> str:
    """Return why a notebook failed, in a few words."""
    for sign, name in (
        ("exit 124", "hung until killed after 120 s"),
        ("exit 137", "hung until killed after 120 s"),
        ("didn't respond", "kernel didn't respond in 60 seconds"),
        ("died before replying", "port taken: kernel died before replying"),
        ("Address already in use", "port taken"),
    ):
        if sign in log:
            return name
    return (log.strip().splitlines() or ["unknown"])[-1][:80]


def main() -> int:
    """Make all runs and print what came of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--notebooks", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=16)
    parser.add_argument("--peer", type=int, default=40, help="notebooks for make and jupytext")
    parser.add_argument("--limit", type=float, default=1800, help="seconds for one run")
    parser.add_argument("--only", action="append", choices=list(RUNS), help="this run alone (repeatable)")
    parser.add_argument("--inner", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inner:
        told = inner(options.only[0], Path(options.inner), options.jobs, options.limit)
        (Path(options.inner) / "told.json").write_text(json.dumps(told))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="drill-ports-"))
    results = []
    try:
        for name in options.only or RUNS:
            if "jupytext" in name and not options.peer:
                continue
            write_notebooks(folder / "py", options.notebooks, "py")
            write_notebooks(folder / "peer", options.peer, "py")
            arguments = ["--inner", str(folder), "--only", name, "--jobs", str(options.jobs)]
            command = namespaced("bench.drill_ports", [*arguments, "--limit", str(options.limit)])
            (folder / "told.json").unlink(missing_ok=True)
            subprocess.run(
                command, check=True, cwd=HERE.parent, env=environment(), timeout=options.limit + 60
            )
            results.append(json.loads((folder / "told.json").read_text()))
            print(line(results[-1]), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    write_results("drill_ports", {"machine": machine(), "command": sys.argv, "runs": results})
    head = ["run", "ports", "notebooks", "failed", "attempts", "seconds", "thief"]
    rows = [[str(each[key]) if key != "seconds" else f"{each[key]:.1f}" for key in head] for each in results]
    print(table(head, rows))
    return 0 if all(well(each) for each in results if "jupytext" not in each["run"]) else 1


def well(result: dict[str, object]) -> bool:
    """Tell whether every notebook ended well at once."""
    return result["failed"] == 0 and set(result["attempts"]) == {"1"}


def line(result: dict[str, object]) -> str:
    """Return one run in one line."""
    return (
        f"{result['run']}: {result['failed']} of {result['notebooks']} failed in {result['ports']} ports, "
        f"attempts {result['attempts']}, {result['seconds']:.1f} s; thief: {result['thief']}; "
        f"causes: {result['causes']}"
    )


if __name__ == "__main__":
    sys.exit(main())
