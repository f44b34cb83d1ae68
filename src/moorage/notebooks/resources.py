"""What kernels need of this process: descriptors, and variables that bound their threads."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress

from moorage.errors import UsageError

if sys.platform != "win32":
    import resource

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


def thread_environment(jobs: int, cores: int, *, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep ``jobs`` kernels from starting more threads than there are cores.

    Args:
        jobs: how many kernels run at once.
        cores: how many cores there are for them.
        environ: the user's environment: what is set there is left as it is.
    """
    threads = str(max(1, cores // max(1, jobs)))
    return {name: threads for name in THREAD_VARIABLES if name not in environ}
