"""What Linux tells in /proc and in control groups: which process descends from which, memory, oom kills.

Used on both sides of the warden's link. The warden loads this file by its path, without the package, so
it may import nothing but the cheapest standard modules.
"""
# ruff: noqa: PTH110, PTH118, PTH208 - pathlib would double the warden's start-up time

from __future__ import annotations

import os
import select
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator

assert sys.platform == "linux", "other systems have no such /proc"

MARKER = "MOORAGE_LAUNCH"
OUTLIVES = "MOORAGE_OUTLIVES"
"""Environment variable that names the launch a process descends from."""

_PAGE = os.sysconf("SC_PAGE_SIZE")
_PF_EXITING = 4
"""Of a process's flags; ``include/linux/sched.h``."""


class Process:
    """One row of the process table.

    Attributes:
        pid: process id.
        ppid: its parent now (the warden for orphans).
        session: id of its session.
        start: start time in clock ticks; with ``pid`` it names the process for ever.
        dead: True for a zombie none of whose threads runs any more.
        ending: True once its last thread is ending: its environment may have gone, and its files not yet.
    """

    __slots__ = ("dead", "ending", "pid", "ppid", "session", "start")

    def __init__(self, pid: int, stat: bytes) -> None:
        # proc(5): the command stands in parentheses and may itself hold blanks and parentheses.
        fields = stat[stat.rindex(b")") + 2 :].split()
        self.pid = pid
        self.ppid = int(fields[1])
        self.session = int(fields[3])
        self.start = int(fields[19])
        self.dead = fields[0] in b"ZX" and int(fields[17]) <= 1
        self.ending = bool(int(fields[6]) & _PF_EXITING) and int(fields[17]) <= 1


def read(path: str, limit: int = 1 << 20) -> bytes:
    """Return what a small file holds, at most ``limit`` bytes.

    Raises:
        OSError: it cannot be opened or read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while limit > 0 and (part := os.read(fd, min(limit, 1 << 16))):
            parts.append(part)
            limit -= len(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def look(pid: int) -> Process | None:
    """Return the process table's row for ``pid``, or None when there is no such process."""
    try:
        return Process(pid, read(f"/proc/{pid}/stat"))
    except (OSError, ValueError, IndexError):
        return None


def table() -> dict[int, Process]:
    """Return all processes that can be seen, by pid.

    The table is not atomic: what is forked while it is read may be missing.
    """
    rows = (look(int(name)) for name in os.listdir("/proc") if name.isdecimal())
    return {row.pid: row for row in rows if row is not None}


def roots(processes: dict[int, Process], ancestor: int) -> dict[int, int]:
    """Map every descendant of ``ancestor`` to the child of ``ancestor`` that it descends from."""
    found: dict[int, int] = {}
    for pid in processes:
        chain = []
        step = pid
        while step not in found and (row := processes.get(step)) is not None and row.ppid != ancestor:
            chain.append(step)
            step = row.ppid
            if step in chain:  # a torn table: pids were reused while it was read
                break
        if step in found:
            root = found[step]
        elif step in processes and processes[step].ppid == ancestor:
            root = found[step] = step
        else:
            continue
        found.update(dict.fromkeys(chain, root))
    return found


def variables(pid: int, *names: str) -> list[str]:
    """Return what the environment of ``pid`` says of variables; an empty string for what it lacks."""
    entries = _environment(pid)
    found = []
    for name in names:
        prefix = name.encode() + b"="
        words = (entry[len(prefix) :] for entry in entries if entry.startswith(prefix))
        found.append(next(words, b"").decode(errors="replace"))
    return found


def _environment(pid: int) -> list[bytes]:
    """Return the entries; none where it may not be read, or is no more."""
    try:
        return read(f"/proc/{pid}/environ", 4 << 20).split(b"\0")
    except ProcessLookupError:  # its first thread has ended: others may go on
        pass
    except OSError:
        return []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    for thread in threads:
        try:
            return read(f"/proc/{pid}/task/{thread}/environ", 4 << 20).split(b"\0")
        except OSError:
            continue
    return []


def marker(pid: int) -> str:
    """Return the launch that the environment of ``pid`` names, or an empty string."""
    return variables(pid, MARKER)[0]


def send(process: Process, signum: int) -> bool:
    """Send a signal to exactly this process, never to another that got its pid since.

    Returns:
        False when the signal is not permitted (a set-user-id program); True otherwise, also when the
        process has ended.
    """
    try:
        try:
            fd = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return True
        except OSError:  # a kernel before 5.3, or no descriptor left: the pid must do
            fd = -1
        try:
            now = look(process.pid)
            if now is None or now.start != process.start:
                return True
            if fd < 0:
                os.kill(process.pid, signum)
            else:
                signal.pidfd_send_signal(fd, signum)
        finally:
            if fd >= 0:
                os.close(fd)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return True


def outwait(process: Process, seconds: float) -> None:
    """Wait until another program's process has ended, or the time is over."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        now = look(process.pid)
        if now is not None and now.start == process.start:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            poll.poll(seconds * 1000)
    finally:
        os.close(fd)


def kill_marked(launches: Container[str]) -> None:
    """SIGKILL whatever descends from launches whose warden is dead; returns when nothing of them is left.

    Args:
        launches: names of wardens' directories.
    """
    own = os.getpid()
    for _ in range(50):
        found = [
            process
            for process in table().values()
            if process.pid != own
            and not process.dead
            and any(name.partition(".")[0] in launches for name in marker(process.pid).split("/"))
        ]
        refused = [process for process in found if not send(process, signal.SIGKILL)]
        if len(refused) == len(found):
            return
        for process in found:
            outwait(process, 0.1)


def family(pid: int) -> Iterator[int]:
    """Yield a process and its descendants.

    Children are followed through /proc/PID/task/TID/children: a few files for a small family, where a scan
    of the whole process table would cost milliseconds.
    """
    left = [pid]
    while left:
        yield (one := left.pop())
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                left.extend(map(int, read(f"/proc/{one}/task/{task}/children").split()))
        except (OSError, ValueError):
            continue  # it has ended meanwhile


def resident(pid: int) -> int | None:
    """Return the resident memory of a process and its descendants in bytes, None when it is gone."""
    total = 0
    known = False
    for one in family(pid):
        try:
            total += int(read(f"/proc/{one}/statm").split()[1]) * _PAGE
            known = True
        except (OSError, IndexError, ValueError):
            continue
    return total if known else None


def proportional(pid: int) -> int | None:
    """Return the memory of a process and its descendants in bytes, None when it is gone.

    What several processes share is divided among them (``Pss`` of ``/proc/PID/smaps_rollup``, proc(5)): the
    sum over all processes is what they take together. Reading it takes a millisecond or so for each process.
    """
    total = 0
    known = False
    for one in family(pid):
        try:
            told = read(f"/proc/{one}/smaps_rollup")
            total += int(told[told.index(b"\nPss:") + 5 :].split(None, 1)[0]) * 1024
            known = True
        except (OSError, IndexError, ValueError):
            continue  # it has ended meanwhile, or belongs to another user
    return total if known else None


def oom_file(pid: int) -> str | None:
    """Return the file that counts the oom kills of the control group ``pid`` is in, None without one.

    Version 2 has ``memory.events``, version 1 ``memory.oom_control``; both hold a line ``oom_kill N``.
    https://docs.kernel.org/admin-guide/cgroup-v2.html, .../cgroup-v1/memory.html
    """
    try:
        groups = read(f"/proc/{pid}/cgroup").decode(errors="surrogateescape").splitlines()
        mounts = read("/proc/self/mountinfo").decode(errors="surrogateescape").splitlines()
    except OSError:
        return None
    split = [line.split(":", 2) for line in groups if line.count(":") >= 2]
    old = [group for _, controllers, group in split if "memory" in controllers.split(",")]
    new = [group for _, controllers, group in split if not controllers]
    for group, kind, name in [(g, "cgroup", "memory.oom_control") for g in old] + [
        (g, "cgroup2", "memory.events") for g in new
    ]:
        for mount in mounts:
            where, _, what = mount.partition(" - ")
            root, point = where.split()[3:5]
            if what.split()[0] != kind or (kind == "cgroup" and "memory" not in what.split()[2].split(",")):
                continue
            below = root.rstrip("/") + "/"
            if (group + "/").startswith(below):
                path = os.path.join(point, group[len(below) :], name)
                if os.path.exists(path):
                    return path
    return None


def oom_kills(path: str | None) -> int:
    """Return the count in a file found by :func:`oom_file`; 0 when it cannot be read."""
    try:
        for line in read(path).splitlines() if path else ():
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0
