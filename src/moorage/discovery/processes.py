"""Kernels and their processes, as Linux tells of them in /proc."""
# ruff: noqa: PTH115, PTH116, PTH118, PTH208 - done for every process of the machine, so it is to be cheap

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from moorage.launch import berth, listening, procfs

assert sys.platform == "linux", "other systems have no such /proc"


def private_files() -> Iterator[Path]:
    """Yield the JSON files of kernels that moorage launched, in its private directories."""
    for base in berth.bases():
        with suppress(OSError):
            yield from sorted(Path(base).glob(f"{berth.PREFIX}*/*/*.json"))


def is_private(path: Path) -> bool:
    """Tell whether a file lies where :func:`private_files` looks."""
    return path.parent.parent.name.startswith(berth.PREFIX)


def named_files() -> dict[Path, int]:
    """Return the JSON files on the command lines of this user's processes, each with the oldest process."""
    found: dict[Path, int] = {}
    own = os.getuid()
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):
        try:
            line = procfs.read(f"/proc/{pid}/cmdline", 1 << 16)
            if b".json" not in line or os.stat(f"/proc/{pid}").st_uid != own:
                continue
            words = [word.rpartition("=")[2] for word in os.fsdecode(line).split("\0")]
            for word in (word for word in words if word.endswith(".json")):
                folder = "" if word.startswith("/") else os.readlink(f"/proc/{pid}/cwd")
                found.setdefault(Path(os.path.normpath(os.path.join(folder, word))), pid)
        except OSError:
            continue  # it has ended meanwhile
    return found


def listener(transport: str, ip: str, port: int, named: int | None) -> int | None:
    """Return who listens at an address, which is the kernel; None where that cannot be known.

    Args:
        transport: ``tcp`` or ``ipc``.
        ip: the address, for ipc the path before ``-PORT``.
        port: its number.
        named: a process whose command names the connection file. It may be an editor or a wrapper, and
            counts where nothing better is known.
    """
    if transport == "ipc":
        return listening.at_path(f"{ip}-{port}").pid or named
    return listening.at_port(ip, port, () if named is None else (named,)).pid or named


def began(pid: int) -> float | None:
    """Return when a process began, in seconds since the epoch; None when it has ended."""
    row = procfs.look(pid)
    try:
        uptime = float(procfs.read("/proc/uptime").split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return None if row is None else time.time() - uptime + row.start / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> int | None:
    """Return the resident memory of a process and its descendants in bytes; None when it has ended."""
    return procfs.resident(pid)
