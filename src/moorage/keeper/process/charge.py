"""A keeper's one child: forked, heard of, signalled, reaped.

Standard library only, from Python 3.9 on, and nothing of the package.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from moorage.keeper.process.beside import Forks
    from moorage.process.warden.program import Execute as Execute  # noqa: PLC0414 - of this module, too

if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.keeper.process import child, record
else:
    from keeper.process import child, record

if sys.platform == "linux":
    if TYPE_CHECKING or __name__.startswith("moorage."):
        from moorage.process import procfs
    else:
        import procfs

assert sys.platform != "win32", "keepers need Unix sockets and fork"

MOST_STATUS = 0xFFFF
"""Largest wait status."""
MOST_ERRNO = 4095
PR_SET_CHILD_SUBREAPER = 36


class StartRefused(Exception):
    """The charge cannot be started.

    Attributes:
        stage: the step that failed: ``descriptors``, ``fork``, or one of its child's.
        number: its errno.
    """

    def __init__(self, stage: str, number: int) -> None:
        super().__init__(stage, number)
        self.stage = stage
        self.number = number


def find_prctl() -> Callable[..., int] | None:
    """Return the C library's prctl(2), None where there is none."""
    try:
        import ctypes  # noqa: PLC0415 - some interpreters are built without

        found: Callable[..., int] = ctypes.CDLL(None, use_errno=True).prctl
    except (ImportError, OSError, AttributeError):
        return None
    return found


class Charge:
    """The process that is kept.

    Attributes:
        pid: its process id; it leads a session and a process group.
        start: its start time in clock ticks, which with ``pid`` names it for ever; None where /proc is not.
        started: when, in seconds since the epoch.
        report: read end of the pipe that closes on exec; -1 once it has.
        output: read end of its stdout and stderr; -1 once all its writers have gone.
        pipe: inode of that pipe, by which what holds it is found.
        ended: how it ended: ``code``, ``signal``, ``oom``, ``peak``; None while it lives.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        marker: str,
        prctl: Callable[..., int] | None,
        execute: Execute | None = None,
        pipe: tuple[int, int] | None = None,
        forks: Forks | None = None,
    ) -> None:
        """Fork it.

        Args:
            spec: the message ``start``.
            marker: the keeper's id, which its environment gets.
            prctl: the C library's; None where there is none.
            execute: how it becomes its program; None for execve(2).
            pipe: for its stdout and stderr, of the charge before it; None for a new one.
            forks: what tends it behind walls, so that it can sleep; None where it ends with its program.

        Raises:
            StartRefused: no process, or no descriptors are left.
        """
        self.ended: dict[str, Any] | None = None
        self._doomed = False
        self._oom_file, self._oom_before = _oom(os.getpid())
        spec["env"][record.MARKER] = marker
        opened = _pipes(pipe, tended=forks is not None)
        self.report, writer, self.output, stdout, self._fate, fate = opened
        for fd in (self.report, self.output, self._fate):
            os.set_blocking(fd, False)
        self.pipe = os.fstat(self.output).st_ino
        parent = child.Parent(prctl, self.report)
        # A signal for the child must wait until its handlers are the default ones again, not the keeper's.
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        try:
            self.started = time.time()
            self.pid = child.fork(spec)
            if self.pid == 0:
                child.become(spec, stdout, writer, fate, parent, execute, forks)
        except OSError as error:
            for fd in opened[::2]:
                os.close(fd)
            raise StartRefused("walls/fork" if spec.get("walls") else "fork", error.errno or 0) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            for fd in opened[1::2]:
                os.close(fd)
        self.start = start_time(self.pid)

    def hear(self) -> None:
        """Read what the report says: nothing, once its program runs.

        Raises:
            StartRefused: a step before that failed.
        """
        try:
            words = os.read(self.report, 100).decode(errors="replace").split()
        except BlockingIOError:  # it has ended, and what it has started holds the report
            words = []
        os.close(self.report)
        self.report = -1
        if words:  # behind walls another process of the visitor may have written them
            stage = words[0] if words[0].isascii() and words[0].replace("/", "").isalpha() else "exec"
            raise StartRefused(stage, told_number(words[-1], MOST_ERRNO) or errno.EINVAL)
        own, before = _oom(self.pid)
        if own is not None and own != self._oom_file:  # it was put into another group
            self._oom_file, self._oom_before = own, before

    def reap(self) -> bool:
        """Collect the dead, orphans among them; return whether the charge was one of them."""
        found = False
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return found
            if pid == 0:
                return found
            if pid == self.pid:
                found = True
                self._exited(status, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))

    def _exited(self, status: int, peak: int) -> None:
        """Take note of the end of the process that was forked."""
        try:
            words = os.read(self._fate, 20)  # behind walls the process that tended the program tells of it
        except BlockingIOError:
            words = b""
        told = told_number(words.decode(errors="replace"), MOST_STATUS)
        self.ended = self._how(status if told is None else told, peak)

    def _how(self, status: int, peak: int) -> dict[str, Any]:
        """Return how it ended.

        Args:
            status: its wait status.
            peak: its largest resident set in bytes.
        """
        try:
            code = os.waitstatus_to_exitcode(status)
        except ValueError:  # it is none: a visitor may have written it
            code = 1
        starved = (
            code == -signal.SIGKILL and not self._doomed and _oom_kills(self._oom_file) > self._oom_before
        )
        return {
            "code": code if code >= 0 else None,
            "signal": -code if code < 0 else None,
            "oom": starved,
            "peak": peak,
        }

    def pipe_for_next(self, stdout: int) -> tuple[int, int]:
        """Return the ends of the pipe of its output, for the charge in its place.

        Args:
            stdout: the end that is written to.

        Raises:
            OSError: no descriptors are left.
        """
        reader = os.dup(self.output)
        try:
            return reader, os.dup(stdout)
        except OSError:
            os.close(reader)
            raise

    def close(self) -> None:
        """Close the descriptors of what has ended, for another charge is in its place."""
        for fd in (self.report, self.output, self._fate):
            if fd >= 0:
                os.close(fd)
        self.report = self.output = self._fate = -1

    def _count_oom(self) -> None:
        """Count the oom kills of its control group from now on."""
        self._oom_file, self._oom_before = _oom(self.pid)

    def watched(self) -> list[int]:
        """Return the descriptors that tell of it."""
        return [fd for fd in (self.report, self.output) if fd >= 0]

    def doom(self, *, doomed: bool = True) -> None:
        """Take note that it is about to be killed: its death by SIGKILL is no lack of memory."""
        self._doomed = doomed

    def signal(self, signum: int) -> None:
        """Signal the group that it leads, and itself if it has joined another; nothing if it has ended."""
        if self.ended is not None:
            return
        self._doomed |= signum == signal.SIGKILL
        try:
            os.killpg(self.pid, signum)
            if os.getpgid(self.pid) != self.pid:
                os.kill(self.pid, signum)
        except ProcessLookupError:  # it leads no group: not yet, or no more
            os.kill(self.pid, signum)


def start_time(pid: int) -> int | None:
    """Return the start time of a process in clock ticks, None where /proc does not tell."""
    start = None
    if sys.platform == "linux" and (row := procfs.look(pid)) is not None:
        start = row.start
    return start


def _oom(pid: int) -> tuple[str | None, int]:
    """Return the file that counts the oom kills of a process's control group, and the count."""
    path = None
    if sys.platform == "linux":
        path = procfs.oom_file(pid)
    return path, _oom_kills(path)


def _oom_kills(path: str | None) -> int:
    count = 0
    if sys.platform == "linux":
        count = procfs.oom_kills(path)
    return count


def told_number(word: str, most: int) -> int | None:
    """Return a number that may be a visitor's word; None for what is none, or larger than ``most``."""
    found = int(word) if word.isdecimal() and word.isascii() and len(word) < 20 else most + 1
    return found if found <= most else None


def _pipes(output: tuple[int, int] | None, *, tended: bool) -> list[int]:
    """Return the ends of the pipes of report, output and fate, of each the one that reads first.

    Args:
        output: the pipe of the output, where there is one already.
        tended: whether the last is a pair of sockets, the keeper's first: orders go by it.
    """
    opened: list[int] = []
    try:
        opened += os.pipe()
        opened += output or os.pipe()
        opened += _orders() if tended else os.pipe()
    except OSError as error:
        for fd in opened:
            os.close(fd)
        raise StartRefused("descriptors", error.errno or 0) from None
    return opened


def _orders() -> tuple[int, int]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return ours.detach(), theirs.detach()
