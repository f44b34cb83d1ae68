"""Fails for a file of src/moorage whose coverage by the unit tests is below its floor.

``make coverage`` runs it behind the tests. What only runs in another process image (a kernel, a template, a
process that moves itself into a namespace) cannot be measured by coverage, or only in part: such files have a
floor and a reason of their own, and are tested by tests/real/.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import coverage

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "moorage"
FLOOR = 80
"""Per cent of the lines and branches of a file."""

FLOORS: dict[str, tuple[int, str]] = {}
"""``"a/b.py"`` -> its own floor, and why."""


def measured() -> dict[str, float]:
    """Return the per cent of lines and branches of each file that ran."""
    session = coverage.Coverage()
    session.load()
    report = Path(session.config.data_file).with_name("report.json")
    session.json_report(outfile=str(report))
    files = json.loads(report.read_text("utf-8"))["files"]
    return {
        (ROOT / name).relative_to(PACKAGE).as_posix(): each["summary"]["percent_covered"]
        for name, each in files.items()
    }


def main() -> int:
    found = measured()
    low = 0
    for name, per_cent in sorted(found.items(), key=lambda each: each[1]):
        floor, why = FLOORS.get(name, (FLOOR, ""))
        if per_cent < floor:
            low += 1
            print(f"{name}: {per_cent:.0f} %, below its floor of {floor} %. {why}".strip())
    for name in FLOORS.keys() - found.keys():
        low += 1
        print(f"{name} has a floor and is no file")
    lowest = ", ".join(f"{name} {found[name]:.0f} %" for name in sorted(found, key=found.__getitem__)[:5])
    print(f"{len(found)} files, {low} below the floor; the lowest: {lowest}")
    return int(low > 0)


if __name__ == "__main__":
    sys.exit(main())
