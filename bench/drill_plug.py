"""make with 32 jobs of ``jupytext --execute``, unchanged but for one variable, where ports are scarce.

    python -m bench.drill_plug [--notebooks 100] [--jobs 32] [--stock 0]

In a network namespace whose ip_local_port_range is 300 ports wide, beside a thief of ports: first with
``JUPYTER_DEFAULT_PROVISIONER_NAME=moorage``, then the first --stock notebooks without (0 leaves that out).
Exit code 0 when not one notebook failed with the variable.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.drill_ports import peer
from bench.measure import HERE, environment, machine, table, write_notebooks, write_results
from bench.narrow import namespaced, prepare, thief

PORTS = 300


def inner(folder: Path, arm: str, jobs: int, limit: float) -> dict[str, object]:
    """Make one run inside the namespace."""
    prepare(PORTS)
    if arm == "moorage":
        os.environ["JUPYTER_DEFAULT_PROVISIONER_NAME"] = "moorage"
    began = time.monotonic()
    with thief() as loot:
        told = peer(folder, jobs, limit)
    return {"arm": arm, "ports": PORTS, "seconds": time.monotonic() - began, **told, "thief": loot.told}


def main() -> int:
    """Make both runs and print what came of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--notebooks", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=32)
    parser.add_argument("--stock", type=int, default=0, help="notebooks for the stock stack")
    parser.add_argument("--limit", type=float, default=1800, help="seconds for one run")
    parser.add_argument("--inner", nargs=2, metavar=("FOLDER", "ARM"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inner:
        folder, arm = Path(options.inner[0]), options.inner[1]
        (folder / "told.json").write_text(json.dumps(inner(folder, arm, options.jobs, options.limit)))
        return 0
    results = [
        outer(arm, count, options)
        for arm, count in (("moorage", options.notebooks), ("stock", options.stock))
        if count
    ]
    write_results("drill_plug", {"machine": machine(), "command": sys.argv, "runs": results})
    head = ["arm", "ports", "notebooks", "failed", "seconds", "causes", "thief"]
    rows = [[str(each[key]) if key != "seconds" else f"{each[key]:.1f}" for key in head] for each in results]
    print(table(head, rows))
    return 0 if results[0]["failed"] == 0 else 1


def outer(arm: str, count: int, options: argparse.Namespace) -> dict[str, object]:
    """Make one run in namespaces of its own."""
    folder = Path(tempfile.mkdtemp(prefix="drill-plug-"))
    try:
        write_notebooks(folder / "peer", count, "py")
        arguments = ["--inner", str(folder), arm, "--jobs", str(options.jobs), "--limit", str(options.limit)]
        command = namespaced("bench.drill_plug", arguments)
        subprocess.run(command, check=True, cwd=HERE.parent, env=environment(), timeout=options.limit + 60)
        return json.loads((folder / "told.json").read_text())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
