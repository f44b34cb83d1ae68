"""A process of another program: watched by a pidfd, signalled with care, never ended unasked."""
# ruff: noqa: PTH116, PTH118, PTH119 - done for every process of the machine, so it is to be cheap

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from moorage.process import procfs, standstill
from moorage.process.base import ExitStatus, ProcessId
from moorage.tasks import result_of

assert sys.platform == "linux", "other systems have no pidfds"

# Since Linux 6.15: _IOWR(0xFF, 11, struct pidfd_info) and the bit that asks for the exit status.
# https://man7.org/linux/man-pages/man2/PIDFD_GET_INFO.2const.html
_GET_INFO, _INFO_EXIT, _INFO_SIZE, _INFO_EXIT_AT = 0xC040FF0B, 1 << 3, 64, 60


def named_by(path: Path) -> list[int]:
    """Return the processes that have ``path`` among their arguments, oldest first; not this one."""
    wanted = os.path.realpath(path)
    own = os.getpid()
    found = [pid for pid in procfs.table() if pid != own and names(pid, wanted)]
    rows = [row for row in map(procfs.look, found) if row is not None and not row.dead]
    return [row.pid for row in sorted(rows, key=lambda row: row.start)]


def names(pid: int, path: str) -> bool:
    """Tell whether an argument of ``pid`` (``PATH`` or ``--flag=PATH``) is the file ``path``, a real path."""
    try:
        words = os.fsdecode(procfs.read(f"/proc/{pid}/cmdline")).split("\0")
    except OSError:
        return False
    name = os.path.basename(path)
    for given in (part for word in words for part in {word, word.rpartition("=")[2]}):
        if os.path.basename(given) != name:
            continue
        with suppress(OSError):
            if os.path.realpath(os.path.join(f"/proc/{pid}/cwd", given)) == path:
                return True
    return False


class ObservedProcess:
    """A process of another program; the names are those of :class:`moorage.process.base.Handle`.

    Its output is out of sight. How it ended is known where Linux tells: to its user until its parent takes
    its exit status, and since Linux 6.15 afterwards too.
    """

    def __init__(self, process: procfs.Process, descriptor: int, path: Path) -> None:
        """Made by :func:`watching`."""
        self.id = ProcessId(f"{process.pid}@{process.start}")
        self.pid = process.pid
        self._process = process
        self._descriptor = descriptor
        self._path = os.path.realpath(path)
        self.is_named = names(process.pid, self._path)
        """Whether its command names the file: then it is what the file was written for, no go-between."""
        self._own = os.stat(f"/proc/{process.pid}").st_uid == os.geteuid()
        self._oom_file = procfs.oom_file(process.pid)
        self._oom_kills = procfs.oom_kills(self._oom_file)
        self._ended: asyncio.Future[ExitStatus] = asyncio.get_running_loop().create_future()

    @property
    def exit_status(self) -> ExitStatus | None:
        """How it ended, as far as that can be known; None while it lives."""
        return self._ended.result() if self._ended.done() and not self._ended.cancelled() else None

    async def wait(self) -> ExitStatus:
        """Wait for its end. Any number of tasks may wait; cancelling one disturbs no other."""
        return await result_of(self._ended)

    def send_signal(self, signum: int) -> None:
        """Send a signal as :meth:`try_signal` does, and do not ask whether it may be."""
        self.try_signal(signum)

    def try_signal(self, signum: int) -> bool:
        """Send a signal to the process, and to its group where that was made for it.

        A group is its own when it leads it, or when the leader's command names the file too (``sh -c``). Any
        other group may be a terminal's, with more in it.

        Returns:
            False when it may not be signalled; True otherwise, also when it has ended.
        """
        if self._ended.done():
            return True
        try:
            group = os.getpgid(self.pid)
            if group == self.pid or names(group, self._path):
                os.killpg(group, signum)
                return True
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return procfs.send(self._process, signum)

    async def kill(self) -> ExitStatus:
        """SIGKILL the process and its group, and wait until it is gone. What it started may live on."""
        self.send_signal(signal.SIGKILL)
        return await self.wait()

    def output(self) -> str:
        """Return nothing: what it writes goes to the program that started it."""
        return ""

    def memory(self) -> int | None:
        """Return the resident memory of the process and its descendants now, in bytes; None when it ended."""
        return None if self._ended.done() else procfs.resident(self.pid)

    def standstill(self) -> str:
        """Return what holds it still, in words; empty where it runs, or has ended."""
        return "" if self._ended.done() else standstill.look(self.pid)

    def ended(self) -> None:
        """Take note of the end, which the pidfd has told of."""
        if not self._ended.done():
            asyncio.get_running_loop().remove_reader(self._descriptor)
            self._ended.set_result(self._exit_status())

    def _exit_status(self) -> ExitStatus:
        status = _of_zombie(self._process) if self._own else None
        if status is None:
            status = _of_pidfd(self._descriptor)
        if status is None:
            return ExitStatus()
        code = os.waitstatus_to_exitcode(status & 0xFFFF)
        if code >= 0:
            return ExitStatus(code=code)
        # As with our own: only what the control group counted is called out of memory.
        starved = code == -signal.SIGKILL and procfs.oom_kills(self._oom_file) > self._oom_kills
        return ExitStatus(signal=-code, out_of_memory=starved)


@contextmanager
def watching(pid: int, path: Path) -> Iterator[ObservedProcess | None]:
    """Watch a process for as long as the block lasts, in the running loop.

    Args:
        pid: which.
        path: the file whose presence in a command tells that the process was started for it.

    Yields:
        The process; None when there is none of that pid any more.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        yield None
        return
    loop = asyncio.get_running_loop()
    try:
        process = procfs.look(pid)
        if process is None:
            yield None
            return
        observed = ObservedProcess(process, descriptor, path)
        loop.add_reader(descriptor, observed.ended)
        try:
            yield observed
        finally:
            loop.remove_reader(descriptor)
    finally:
        os.close(descriptor)


def _of_zombie(process: procfs.Process) -> int | None:
    """Return the wait status of a process whose parent has not asked for it yet."""
    try:
        stat = procfs.read(f"/proc/{process.pid}/stat")
    except OSError:
        return None
    now = procfs.Process(process.pid, stat)
    # proc(5): field 52, where the state is field 3.
    return int(stat[stat.rindex(b")") + 2 :].split()[49]) if now.dead and now.start == process.start else None


def _of_pidfd(descriptor: int) -> int | None:
    """Return the wait status of a process that is gone, from a Linux that keeps it."""
    info = bytearray(_INFO_SIZE)
    struct.pack_into("=Q", info, 0, _INFO_EXIT)
    try:
        fcntl.ioctl(descriptor, _GET_INFO, info)
    except OSError:
        return None
    told: int = struct.unpack_from("=Q", info)[0]
    return int(struct.unpack_from("=i", info, _INFO_EXIT_AT)[0]) if told & _INFO_EXIT else None
