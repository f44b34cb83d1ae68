"""What this process may use of the machine: cores and memory, control groups of both versions counted.

Sources: https://docs.kernel.org/admin-guide/cgroup-v2.html and
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from moorage.errors import UsageError
from moorage.regular import read_text

if sys.platform != "win32":
    import resource

_PROC, _SYS = Path("/proc"), Path("/sys")

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "JULIA_NUM_THREADS",
)
"""Variables by which numerical libraries learn how many threads to start."""


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


PER_KERNEL = 17
"""Descriptors of ours for one kernel: pipes, ZeroMQ's sockets and connections, five ports with ``hold``."""
_APART = 24  # ZeroMQ's threads (8), the process that makes pages, files that are read and written
_FEWEST = 64  # ipykernel holds 62 itself, and hangs with 56


def notebooks_at_once(notebooks: int) -> int:
    """Return how many of ``notebooks`` at once the limit on open files carries, at least 1.

    This process's limit is raised as far as that takes and the system lets it. Whatever runs already keeps
    its own: the warden and with it the kernels.

    Raises:
        UsageError: the limit is too low for a single kernel.
    """
    limit, most = _file_limits()
    apart = _APART + _open_descriptors()
    # Twice: when a notebook begins, the kernel of the one before it may still be ending.
    wanted = apart + 2 * PER_KERNEL * notebooks
    if _below(limit, wanted):
        higher = most if _below(most, wanted) else wanted
        with suppress(OSError, ValueError):  # macOS has a lower limit that it does not tell
            _limit_files(higher, most)
            limit = higher
    _check(limit, wanted)
    return max(1, (limit - apart) // (2 * PER_KERNEL)) if _below(limit, wanted) else notebooks


def check_open_files() -> None:
    """Refuse a limit on open files that is too low for a kernel started by this process.

    Raises:
        UsageError: it is.
    """
    _check(_file_limits()[0], _APART + _open_descriptors() + 2 * PER_KERNEL)


def _check(limit: int, wanted: int) -> None:
    if _below(limit, _FEWEST):
        raise UsageError(
            "no kernel can run here",
            why=f"A process may open {limit} files, and a kernel needs about {_FEWEST}",
            do=f"Raise the limit: ulimit -n {max(wanted, _FEWEST)}",
        )


if sys.platform == "win32":

    def _file_limits() -> tuple[int, int]:
        return -1, -1

    def _limit_files(limit: int, most: int) -> None:
        pass
else:

    def _file_limits() -> tuple[int, int]:
        return resource.getrlimit(resource.RLIMIT_NOFILE)

    def _limit_files(limit: int, most: int) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))


def _below(limit: int, number: int) -> bool:
    return 0 <= limit < number  # no limit is -1, or larger than all numbers


def _open_descriptors() -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            return len(os.listdir(folder))  # noqa: PTH208 - the names alone
    return 0


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


def thread_environment(jobs: int, cores: int, *, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep ``jobs`` kernels from starting more threads than there are cores.

    Args:
        jobs: how many kernels run at once.
        cores: how many cores there are for them.
        environ: the user's environment: what is set there is left as it is.
    """
    threads = str(max(1, cores // max(1, jobs)))
    return {name: threads for name in THREAD_VARIABLES if name not in environ}


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
