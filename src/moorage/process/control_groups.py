"""Control groups of this machine: tried, made and removed. No other group than those made here is touched."""
# ruff: noqa: E402 - users with numbers are not there on Windows

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

assert sys.platform != "win32", "control groups are Linux's"

from moorage.plan.backoff import pause
from moorage.plan.brake import Measured
from moorage.plan.control_groups import (
    BOUNDING,
    SERVICE,
    WEIGHT,
    WEIGHTS,
    GroupsGiven,
    ParentGroup,
    parents,
    settings,
)
from moorage.plan.walls import Share
from moorage.tasks import in_thread, reaped, to_its_end

PATIENCE = 10.0
"""Seconds for which a group may be in use after the last of its processes was reaped."""
PROCESSES = "cgroup.procs"
"""File of a group: a process that writes 0 to it is in the group then."""
_PROC = Path("/proc/self")
_JOIN = 'echo 0 > "$0"'
_USE = (
    ("taken", "memory.usage_in_bytes", ""),
    ("taken", "memory.current", ""),
    ("given back", "memory.stat", "total_inactive_file"),
    ("given back", "memory.stat", "inactive_file"),
    ("kills", "memory.oom_control", "oom_kill"),
    ("kills", "memory.events", "oom_kill"),
    ("processes", "pids.current", ""),
)
"""What is told, in which file, behind which word: first in version 1, then in version 2."""


class NotOurs(OSError):
    """The group that this process is in belongs to others, too."""


async def given(share: Share, proc: Path = _PROC) -> GroupsGiven:
    """Try to bound a process by a group, and tell where that can be done; 20 ms.

    In version 2 this process goes into a group of its own below the one that it is in, for good, where that
    was given to it alone.

    Args:
        share: what processes are to be bounded by.
        proc: of this process.

    Cancelling leaves no group.
    """
    if sys.platform != "linux":
        return GroupsGiven(why=f"Only Linux has them, and this is {sys.platform}")
    try:
        found = parents((proc / "cgroup").read_text(), (proc / "mountinfo").read_text())
    except OSError as error:
        return GroupsGiven(why=f"The system tells of none: {error}")
    name = f"moorage-trial-{os.getpid()}"
    bounds = replace(share, memory=share.memory or 1 << 30, cpus=share.cpus or 0.01)
    trying = in_thread(lambda: _given(found, name, bounds), name="try control groups")
    try:
        await reaped(trying)
    finally:
        await to_its_end(_forget([folder_of(each, name) for each in found]), name="remove control groups")
    return trying.result()


def make(there: Iterable[ParentGroup], name: str, share: Share) -> None:
    """Make a group of a name in each group of some.

    Args:
        there: where.
        name: which no group has there.
        share: what its processes may take together.

    Raises:
        OSError: one cannot be made; none is left then.
    """
    made = []
    try:
        for parent in there:
            folder = Path(folder_of(parent, name))
            folder.mkdir()
            made.append(folder)
            for each in settings(parent, share):
                if each.needed or (folder / each.file).exists():
                    _write(folder / each.file, each.text)
    except OSError:
        for folder in made:
            folder.rmdir()
        raise


@dataclass(frozen=True)
class GroupUse:
    """What is in a group now; None for what none of its controllers counts.

    Args:
        memory: bytes that its processes and files in memory take; what the system has of other files there,
            and gives back, is left out.
        processes: and threads.
        kills: how many processes the system has ended, for want of memory, since the group was made.
    """

    memory: int | None = None
    processes: int | None = None
    kills: int | None = None


def use(folders: Iterable[str]) -> GroupUse:
    """Return what the groups of a server tell together, each of what it counts; some 0.1 ms.

    Args:
        folders: of the groups; of what is not there nothing is told.
    """
    found: dict[str, int] = {}
    for folder in folders:
        for name, file, word in _USE:
            if name not in found and (number := _number(f"{folder}/{file}", word)) is not None:
                found[name] = number
    taken = found.get("taken")
    memory = None if taken is None else max(0, taken - found.get("given back", 0))
    return GroupUse(memory, found.get("processes"), found.get("kills"))


def _number(path: str, word: str) -> int | None:
    """Return the number behind a word that begins a line of a file, or the only one; None without any."""
    try:
        text = Path(path).read_text()
    except OSError:
        return None
    if not word:
        return int(text) if text.strip().isdecimal() else None
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{word} ")), None)


def processor_time(folders: Iterable[str]) -> Measured | None:
    """Return the processors' time of all that was ever in the groups of a server; some ms for 500 threads.

    What threads that have ended had waited for is not counted.

    Args:
        folders: of the groups.

    Returns:
        None where none of them counts it.
    """
    used, threads = None, ""
    for folder in map(Path, folders):
        if (nanoseconds := _number(f"{folder}/cpuacct.usage", "")) is not None:
            used = nanoseconds / 1e9
        elif (microseconds := _number(f"{folder}/cpu.stat", "usage_usec")) is not None:
            used = microseconds / 1e6
        else:
            continue
        threads = _text(folder / "tasks") or _text(folder / "cgroup.threads")
    return None if used is None else Measured(used, sum(map(_waited, threads.split())))


def _waited(thread: str) -> float:
    """Return for how many seconds a thread could run and had no processor: sched-stats(5)."""
    words = _text(Path(f"/proc/{thread}/schedstat")).split()
    return int(words[1]) / 1e9 if len(words) > 1 else 0.0


def _text(path: Path) -> str:
    """Return what a file says; nothing where it is not there, or not any more."""
    try:
        return path.read_text()
    except OSError:
        return ""


def lower_share(folders: Iterable[str], *, lowered: bool) -> None:
    """Lower the share of the processors of a server's groups, or give the whole one back.

    Args:
        folders: of the groups.
        lowered: whether it is to be lowered.

    Raises:
        OSError: it cannot be changed.
    """
    for path, weights in _weights(folders):
        _write(path, f"{weights[lowered]}\n")


def has_lowered_share(folders: Iterable[str]) -> bool:
    """Tell whether the share of the processors of a server's groups is lowered."""
    return any(_number(str(path), "") == weights[True] for path, weights in _weights(folders))


def _weights(folders: Iterable[str]) -> list[tuple[Path, tuple[int, int]]]:
    found = [(Path(folder, name), weights) for folder in folders for name, weights in WEIGHTS.items()]
    return [(path, weights) for path, weights in found if path.exists()]


async def remove(folders: Iterable[str], patience: float = PATIENCE) -> list[str]:
    """Remove groups once no process is in them, and return those that could not be.

    Args:
        folders: of the groups; what is not there is well.
        patience: seconds for which they may be in use.

    Cancelling leaves the others.
    """
    until, left = time.monotonic() + patience, []
    for folder in folders:
        failures = 0
        while (number := _removed(folder)) == errno.EBUSY and time.monotonic() < until:
            failures += 1
            await asyncio.sleep(pause(0.005, 0.5, failures))
        left += [folder] if number else []
    return left


def folder_of(parent: ParentGroup, name: str) -> str:
    """Return where a group of a name is."""
    return f"{parent.folder}/{name}"


def _removed(folder: str) -> int:
    """Remove a group; return the errno that it was refused with, or 0."""
    try:
        Path(folder).rmdir()
    except FileNotFoundError:
        return 0
    except OSError as error:
        return error.errno or errno.EIO
    return 0


async def _forget(folders: list[str]) -> None:
    await remove(folders)


def _given(found: Iterable[ParentGroup], name: str, share: Share) -> GroupsGiven:
    good, why, do = [], "", ""
    for parent in found:
        try:
            has = _tried(_opened(parent) if parent.unified else parent, name, share)
        except OSError as error:
            why = why or f"None can be made in {parent.folder}: {error.strerror}"
            do = do or _do(error.errno or 0, unified=parent.unified)
            continue
        good.append(has)
        if lacks := sorted(parent.controllers - has.controllers):
            why = why or f"{parent.folder} was not given {' and '.join(lacks)}"
            do = do or _do(0, unified=True)
    result = GroupsGiven(tuple(good))
    if result.on >= BOUNDING:
        return result
    return replace(result, why=why or "The system has none mounted", do=do or "Mount them at /sys/fs/cgroup")


def _tried(parent: ParentGroup, name: str, share: Share) -> ParentGroup:
    """Have a process go into a bounded group.

    Raises:
        OSError: as the system says.
    """
    make([parent], name, share)
    file = f"{folder_of(parent, name)}/{PROCESSES}"
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", _JOIN, file], capture_output=True, text=True, check=False, timeout=30
        )
    except subprocess.TimeoutExpired:
        raise OSError(errno.EBUSY, "A process that is to be in a group does not end") from None
    if done.returncode:
        raise OSError(errno.EPERM, done.stderr.strip().rpartition("\n")[2])
    return parent


def _opened(parent: ParentGroup) -> ParentGroup:
    """Have groups of version 2 be bounded; return what they can be bounded by.

    Raises:
        OSError: as the system says.
    """
    offered = frozenset(Path(parent.folder, "cgroup.controllers").read_text().split())
    has = replace(parent, controllers=frozenset(each for each in parent.controllers if each in offered))
    if not has.controllers:
        raise OSError(errno.ENOTSUP, "That group was given no controllers")
    service = f"{parent.folder}/{SERVICE}"
    if parent.own != service:
        _check_own(parent.folder)
        Path(service).mkdir(exist_ok=True)
        _write(Path(service, PROCESSES), "0")
    active = Path(parent.folder, "cgroup.subtree_control").read_text().split()
    if wanted := [f"+{each}" for each in sorted(has.controllers - {*active})]:
        _write(Path(parent.folder, "cgroup.subtree_control"), " ".join(wanted))
    if (weight := Path(service, "cpu.weight")).exists():
        _write(weight, str(WEIGHT))
    return has


def _check_own(folder: str) -> None:
    """Check that a group was given to this process, and to no other one.

    Raises:
        NotOurs: it was not.
    """
    if not (os.geteuid() or _delegated(folder) or "0::/\n" in (_PROC / "cgroup").read_text()):
        raise NotOurs(errno.EPERM, "That group is the system's (no Delegate=)")
    if {*Path(folder, PROCESSES).read_text().split()} != {str(os.getpid())}:
        raise NotOurs(errno.EBUSY, "Other processes are in that group, too")


def _delegated(folder: str) -> bool:
    """Tell whether systemd has marked a group as another's to divide."""
    if sys.platform == "linux":
        for name in ("user.delegate", "trusted.delegate"):
            try:
                if os.getxattr(folder, name) == b"1":
                    return True
            except OSError:
                continue  # not marked, or an older systemd
    return False


def _do(number: int, *, unified: bool) -> str:
    if number == errno.EROFS:
        return "Have /sys/fs/cgroup mounted for writing"
    if number == errno.EINVAL:
        return "Ask for less: it may be more than this process has itself"
    if not unified:
        return "Run it as root"
    return f"Start it by `systemd-run {'' if os.geteuid() == 0 else '--user '}--scope -p Delegate=yes`"


def _write(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
