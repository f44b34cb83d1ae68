"""Fails for a file of src/moorage whose coverage by the unit tests is below its floor.

``make coverage`` runs it behind the tests, which measure their own processes. What runs in another one (a
kernel, a template, the warden) is measured in part or not at all: those files have a floor of their own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import coverage

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "moorage"
FLOOR = 75
"""Per cent of the lines and branches of a file."""

IN_OTHER_PROCESSES: dict[str, int] = {
    "__main__.py": 0,
    "cli/proxy_acceptor.py": 0,
    "cli/proxy_run.py": 0,
    "cli/temp_acceptor.py": 0,
    "cli/temp_admin.py": 40,
    "cli/temp_invite_run.py": 55,
    "cli/temp_load_run.py": 40,
    "cli/temp_run.py": 65,
    "jupyter/ipykernel.py": 0,
    "jupyter/adapter.py": 40,
    "keeper/process/begin.py": 0,
    "keeper/process/beside.py": 65,
    "keeper/process/charge.py": 60,
    "keeper/process/child.py": 25,
    "keeper/process/main.py": 0,
    "keeper/process/server.py": 0,
    "keeper/process/starting.py": 50,
    "keeper/process/tended.py": 20,
    "notebooks/cache/watch.py": 35,
    "notebooks/output/export_worker.py": 45,
    "notebooks/signals.py": 60,
    "process/ipykernel_patches/events.py": 0,
    "process/ipykernel_patches/forked.py": 70,
    "process/ipykernel_patches/spawned.py": 0,
    "process/netns/enter.py": 25,
    "process/netns/execute.py": 20,
    "process/netns/relay.py": 0,
    "process/template/after_fork.py": 15,
    "process/template/entry/moorage_template.py": 25,
    "process/template/main.py": 20,
    "process/template/preloaded.py": 65,
    "process/template/startup_code.py": 55,
    "process/template/startup_watch.py": 0,
    "process/walls/inside.py": 15,
    "process/walls/landlock.py": 45,
    "process/walls/stage.py": 60,
    "process/walls/trial.py": 0,
    "process/walls/view.py": 20,
    "process/warden/children.py": 10,
    "process/warden/confine.py": 15,
    "process/warden/kept.py": 15,
    "process/warden/main.py": 0,
    "process/warden/program.py": 60,
    "process/warden/tending.py": 20,
    "temp/template/become.py": 25,
    "temp/template/main.py": 0,
    "temp/template/preloaded.py": 25,
    "testing/pytest_plugin.py": 0,
    "testing/storm.py": 55,
}
"""Floors of files that other processes run, whose tests look at these: commands, kernels, keepers, templates,
the warden, and what is behind walls."""

BY_REAL_TESTS: dict[str, int] = {
    "blocking.py": 0,
    "cli/doctor.py": 30,
    "cli/isolate.py": 60,
    "cli/kernels_list.py": 65,
    "cli/run_session.py": 40,
    "doctor/kernels.py": 65,
    "jupyter/kernels.py": 60,
    "jupyter/provisioner.py": 20,
    "jupyter/resuming.py": 35,
    "notebooks/documents/libraries.py": 45,
    "temp/container_lease.py": 50,
    "temp/sleeping.py": 40,
    "testing/kernel.py": 25,
    "testing/talk.py": 20,
}
"""Floors of files whose tests need real kernels and are marked ``real``, which these unit tests are not."""

FLOORS = IN_OTHER_PROCESSES | BY_REAL_TESTS


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
        floor = FLOORS.get(name, FLOOR)
        if per_cent < floor:
            low += 1
            print(f"{name}: {per_cent:.0f} %, below its floor of {floor} %")
    for name in FLOORS.keys() - found.keys():
        low += 1
        print(f"{name} has a floor and is no file")
    lowest = ", ".join(f"{name} {found[name]:.0f} %" for name in sorted(found, key=found.__getitem__)[:5])
    print(f"{len(found)} files, {low} below the floor; the lowest: {lowest}")
    return int(low > 0)


if __name__ == "__main__":
    sys.exit(main())
