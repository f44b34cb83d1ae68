"""What a process hands down to its children: where it has changed, a warden started before is not used again.

Children of a warden have the limits, umask, control group, affinity and so on that moorage had when it
started its warden. A new warden would have today's.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

Surroundings = tuple[str, ...]

VARIABLES = ("XDG_RUNTIME_DIR", "TMPDIR", "JUPYTER_RUNTIME_DIR", "MOORAGE_LAUNCH", "MOORAGE_PORTABLE")
"""Read by the warden as it starts."""

_STATUS = frozenset(
    {
        *("Uid", "Gid", "Groups", "Umask", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"),
        *("NoNewPrivs", "Seccomp", "Cpus_allowed", "Mems_allowed"),
    }
)
_FILES = ("limits", "cgroup", "oom_score_adj")
_NAMESPACES = ("mnt", "net", "pid_for_children", "user", "ipc", "uts")


def surroundings() -> Surroundings:
    """Return what the calling thread would hand down now; of two that are equal one does for the other."""
    found = [sys.executable, *(f"{name}={os.environ.get(name)}" for name in VARIABLES)]
    if sys.platform == "linux":
        own = Path("/proc/thread-self")
        status = _text(own / "status").splitlines()
        found += [line for line in status if line.partition(":")[0] in _STATUS]
        found += [_text(own / name) for name in _FILES]
        found += [_target(own / "ns" / name) for name in _NAMESPACES]
        found += [str(os.getpriority(os.PRIO_PROCESS, 0)), str(os.sched_getscheduler(0))]
    return tuple(found)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # a kernel without it
        return ""


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
