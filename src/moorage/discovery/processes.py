"""Kernels and their processes, as Linux shows them in /proc."""
# ruff: noqa: PTH115, PTH116, PTH118, PTH208 - done for every process of the machine, so it is to be cheap

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from moorage.process import listening, procfs, standstill
from moorage.process.warden import private_directory

assert sys.platform == "linux", "other systems have no such /proc"


def private_files() -> Iterator[Path]:
    """Yield the JSON files of kernels that moorage launched, in its private directories."""
    for base in private_directory.bases():
        for place in _own_folders(base, private_directory.PREFIX):
            for folder in _own_folders(place):
                with suppress(OSError), os.scandir(folder) as entries:
                    names = sorted(entry.name for entry in entries if _is_own_file(entry))
                    yield from (Path(folder, name) for name in names if name.endswith(".json"))


def _own_folders(folder: str, prefix: str = "") -> list[str]:
    """Return the folders in a folder that are this user's: /tmp holds what any user puts there, links too."""
    own = os.getuid()
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # it has gone meanwhile
                if (
                    entry.name.startswith(prefix)
                    and entry.is_dir(follow_symlinks=False)
                    and entry.stat(follow_symlinks=False).st_uid == own
                ):
                    found.append(entry.path)
    return sorted(found)


def _is_own_file(entry: os.DirEntry[str]) -> bool:
    try:
        return (
            entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.getuid()
        )
    except OSError:
        return False


def is_private(path: Path) -> bool:
    """Tell whether a file lies where :func:`private_files` looks."""
    return path.parent.parent.name.startswith(private_directory.PREFIX)


def named_files() -> dict[Path, int]:
    """Return the JSON files on the command lines of this user's processes, each with the oldest process."""
    found: dict[Path, int] = {}
    own = os.getuid()
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):
        try:
            if os.stat(f"/proc/{pid}").st_uid != own:
                continue
            for path in files_of(pid):
                found.setdefault(path, pid)
        except OSError:
            continue  # it has ended meanwhile
    return found


def files_of(pid: int) -> list[Path]:
    """Return the JSON files on the command line of a process.

    Raises:
        OSError: it has ended, or may not be looked at.
    """
    line = procfs.read(f"/proc/{pid}/cmdline", 1 << 16)
    if b".json" not in line:
        return []
    words = [word.rpartition("=")[2] for word in os.fsdecode(line).split("\0")]
    found = []
    for word in (word for word in words if word.endswith(".json")):
        folder = "" if word.startswith("/") else os.readlink(f"/proc/{pid}/cwd")
        found.append(Path(os.path.normpath(os.path.join(folder, word))))
    return found


def is_kernel_of(pid: int, path: Path, transport: str) -> bool:
    """Tell whether a process that listens at the address in a connection file is that file's kernel.

    Ports are used again: where a kernel left its file behind, what listens at its port may be anything.

    Args:
        pid: what listens there.
        path: the connection file.
        transport: ``tcp`` or ``ipc``, whose sockets have a path of their own.

    Returns:
        True for a process of this user whose command names the file, or after which the file is named as
        ipykernel does it (``kernel-PID.json``), written after the process began.
    """
    try:
        if os.stat(f"/proc/{pid}").st_uid != os.getuid():
            return False
        if transport == "ipc" or os.path.realpath(path) in map(os.path.realpath, files_of(pid)):
            return True
        start = began(pid)
        # The clocks of /proc count in hundredths of a second.
        return path.stem == f"kernel-{pid}" and start is not None and start - 0.1 <= path.stat().st_mtime
    except OSError:
        return False


def listener(transport: str, ip: str, port: int, named: int | None) -> int | None:
    """Return the pid that listens at an address, which is the kernel's; None where that cannot be known.

    Args:
        transport: ``tcp`` or ``ipc``.
        ip: the address, for ipc the path before ``-PORT``.
        port: its number.
        named: a process whose command names the connection file. It may be an editor or a wrapper, and
            counts where nothing better is known.
    """
    return listener_alone(transport, ip, port, named) or named


def listener_alone(transport: str, ip: str, port: int, likely: int | None = None) -> int | None:
    """Do what :func:`listener` does, for what is seen to listen and nothing else.

    Args:
        transport: as there.
        ip: as there.
        port: as there.
        likely: a process to look at before all others.
    """
    if transport == "ipc":
        return listening.at_path(f"{ip}-{port}").pid
    return listening.at_port(ip, port, () if likely is None else (likely,)).pid


def is_another_users(transport: str, ip: str, port: int, path: Path, pid: int | None) -> bool:
    """Tell whether what listens at the address in a connection file belongs to other users alone.

    A kernel of this user may run as another one: then its command names the file.

    Args:
        transport: ``tcp`` or ``ipc``.
        ip: the address, for ipc the path before ``-PORT``.
        port: its number.
        path: the connection file.
        pid: the process that listens, where it may be looked at.
    """
    users = listening.users_at(transport, ip, port)
    if not users or os.getuid() in users:
        return False
    with suppress(OSError):
        return pid is None or os.path.realpath(path) not in map(os.path.realpath, files_of(pid))
    return True


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


def held(pid: int) -> str:
    """Return what holds a process still, in words; empty where nothing does."""
    return standstill.look(pid)
