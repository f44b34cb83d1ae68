"""What this process may use of the machine: cores and memory, control groups of both versions counted.

Sources: https://docs.kernel.org/admin-guide/cgroup-v2.html and
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from moorage.regular import read_text

_PROC, _SYS = Path("/proc"), Path("/sys")


def usable_cores(*, proc: Path = _PROC, sys: Path = _SYS) -> int:
    """Return how many cores this process may keep busy, at least 1.

    Counted are its CPU affinity (which cpusets narrow) and the CPU quotas of its control groups; a quota of
    one and a half cores is two.

    Args:
        proc: where procfs is mounted.
        sys: where sysfs is mounted.
    """
    cores = float(_affinity())
    for folder in _groups("cpu", proc, sys):
        # Version 2 says "150000 100000" or "max 100000"; version 1 has two files and -1 for no quota.
        quota, _, period = _read(folder / "cpu.max").partition(" ")
        if not quota:
            quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal() and int(period):
            cores = min(cores, int(quota) / int(period))
    return max(1, math.ceil(cores))


def available_memory(*, proc: Path = _PROC, sys: Path = _SYS) -> int | None:
    """Return how many bytes are left before the machine swaps or a control group kills.

    None where the system does not tell. File caches that would be dropped under pressure count as available.

    Args:
        proc: where procfs is mounted.
        sys: where sysfs is mounted.
    """
    figures = []
    for line in _read(proc / "meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            figures.append(int(rest.split()[0]) * 1024)
    for folder in _groups("memory", proc, sys):
        for limit_name, usage_name, cache_name in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit, usage = _read(folder / limit_name), _read(folder / usage_name)
            if limit.isdecimal() and usage.isdecimal():
                used = int(usage) - _statistic(folder / "memory.stat", cache_name)
                figures.append(max(0, int(limit) - max(0, used)))
    return min(figures, default=None)


def _affinity() -> int:
    if sys.platform == "linux":
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return cores


def _read(path: Path) -> str:
    try:
        return read_text(path).strip()
    except OSError:
        return ""


def _statistic(path: Path, name: str) -> int:
    for line in _read(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdecimal():
            return int(value)
    return 0


def _groups(controller: str, proc: Path, sys: Path) -> Iterator[Path]:
    """Yield the folders of this process's control groups for a controller, from its own up to the root.

    In a container /proc/self/cgroup may name a path that only exists outside; the root of the mount is then
    the container's own group, and the only one of these folders that is there.
    """
    mounts = sys / "fs/cgroup"
    for line in _read(proc / "self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:  # version 2; beside version 1 it is mounted as "unified"
            top = mounts if (mounts / "cgroup.controllers").exists() else mounts / "unified"
        elif controller in controllers.split(","):
            top = mounts / controllers if (mounts / controllers).is_dir() else mounts / controller
        else:
            continue
        group = top / path.lstrip("/")
        if not group.is_relative_to(top) or ".." in path:
            group = top
        yield from (
            folder for folder in (group, *group.parents) if folder.is_relative_to(top) and folder.is_dir()
        )
