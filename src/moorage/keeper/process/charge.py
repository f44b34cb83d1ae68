"""A keeper's one child: forked, heard of, signalled, reaped.

Standard library only, from Python 3.9 on, and nothing of the package.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    Execute = Callable[[list[bytes], dict[bytes, bytes], int], NoReturn]
    """How a charge becomes its program: arguments, environment, and the descriptor of the report, which is
    closed when it has. An OSError tells what was refused."""

if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.keeper.process import record
    from moorage.process.warden import confine
else:
    from warden import confine

    from keeper.process import record

if sys.platform == "linux":
    if TYPE_CHECKING or __name__.startswith("moorage."):
        from moorage.process import procfs
        from moorage.process.walls import inside
    else:
        import procfs
        from walls import inside

assert sys.platform != "win32", "keepers need Unix sockets and fork"

PR_SET_PDEATHSIG = 1
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
    ) -> None:
        """Fork it.

        Args:
            spec: the message ``start``.
            marker: the keeper's id, which its environment gets.
            prctl: the C library's; None where there is none.
            execute: how it becomes its program; None for execve(2).
            pipe: for its stdout and stderr, of the charge before it; None for a new one.

        Raises:
            StartRefused: no process, or no descriptors are left.
        """
        self.ended: dict[str, Any] | None = None
        self._doomed = False
        self._oom_file, self._oom_before = _oom(os.getpid())
        spec["env"][record.MARKER] = marker
        opened = _pipes(pipe)
        self.report, writer, self.output, stdout, self._fate, fate = opened
        for fd in (self.output, self._fate):
            os.set_blocking(fd, False)
        self.pipe = os.fstat(self.output).st_ino
        parent = _Parent(prctl, self.report)
        # A signal for the child must wait until its handlers are the default ones again, not the keeper's.
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        try:
            self.started = time.time()
            self.pid = _fork(spec)
            if self.pid == 0:
                _become(spec, stdout, writer, fate, parent, execute or _execute)
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
        words = os.read(self.report, 100).decode().split()
        os.close(self.report)
        self.report = -1
        if words:
            raise StartRefused(words[0], int(words[1]))
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
                self.ended = self._how(
                    self._told(status), usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
                )

    def _told(self, status: int) -> int:
        """Return the wait status of the program: behind walls it is told of by the process that tended it."""
        try:
            words = os.read(self._fate, 20)
        except BlockingIOError:
            words = b""
        return int(words or status)

    def _how(self, status: int, peak: int) -> dict[str, Any]:
        code = os.waitstatus_to_exitcode(status)
        starved = (
            code == -signal.SIGKILL and not self._doomed and _oom_kills(self._oom_file) > self._oom_before
        )
        return {
            "code": code if code >= 0 else None,
            "signal": -code if code < 0 else None,
            "oom": starved,
            "peak": peak,
        }

    def doom(self) -> None:
        """Take note that it is about to be killed: its death by SIGKILL is no lack of memory."""
        self._doomed = True

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


def _raw(text: str) -> bytes:
    """Return the bytes that were meant: paths and variables need not be text."""
    return text.encode("utf-8", "surrogateescape")


def _execute(argv: list[bytes], env: dict[bytes, bytes], report: int) -> NoReturn:  # noqa: ARG001 - exec closes the report
    os.execvpe(argv[0], argv, env)  # noqa: S606 - a shell would only stand in the way


def _pipes(output: tuple[int, int] | None) -> list[int]:
    """Return the ends of the pipes of report, output and fate, of each the one that reads first.

    Args:
        output: the pipe of the output, where there is one already.
    """
    opened: list[int] = []
    try:
        opened += os.pipe()
        opened += output or os.pipe()
        opened += os.pipe()
    except OSError as error:
        for fd in opened:
            os.close(fd)
        raise StartRefused("descriptors", error.errno or 0) from None
    return opened


class _Parent:
    """The keeper, as its forked child knows it.

    Attributes:
        ids: its effective user and group.
        prctl: the C library's; None where there is none.

    Args:
        prctl: as above.
        report: read end of the report, which the keeper alone is to have.
    """

    def __init__(self, prctl: Callable[..., int] | None, report: int) -> None:
        self._pid = os.getpid()
        self.ids = os.geteuid(), os.getegid()
        self.prctl = prctl
        self._report = report

    def end_with(self, report: int) -> None:
        """Have the system kill this process when the keeper dies.

        Args:
            report: write end of the report.
        """
        if self.prctl is not None:
            self.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if self._report >= 0:
            os.close(self._report)
            self._report = -1
        # It may have died before its death could be watched. In another process namespace it has no number.
        poll = select.poll()
        poll.register(report, 0)
        if os.getppid() not in (0, self._pid) or poll.poll(0):
            os._exit(127)


def _fork(spec: dict[str, Any]) -> int:
    """Fork; behind walls, into namespaces."""
    if sys.platform == "linux" and spec.get("walls"):
        return inside.clone(spec["walls"])
    return os.fork()


def _become(
    spec: dict[str, Any], stdout: int, report: int, fate: int, keeper: _Parent, execute: Execute
) -> NoReturn:
    """In the forked child: turn into what ``spec`` says, or report which step failed."""
    stage = "exec"
    try:
        os.setsid()
        keeper.end_with(report)
        null = os.open(os.devnull, os.O_RDONLY)
        for number, fd in ((0, null), (1, stdout), (2, stdout)):
            os.dup2(fd, number)
        signal.set_wakeup_fd(-1)
        for signum in signal.valid_signals():
            if signal.getsignal(signum) not in (signal.SIG_DFL, None):
                signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        argv = [_raw(part) for part in spec["argv"]]
        env = {_raw(name): _raw(value) for name, value in spec["env"].items()}
        if sys.platform == "linux" and spec.get("walls"):
            inside.enter(spec["walls"], keeper.ids)
        os.umask(spec["umask"])
        stage = "chdir"
        os.chdir(_raw(spec["cwd"]))
        if spec.get("process"):
            confine.enter(spec["process"], keeper.prctl)
            keeper.end_with(report)  # another user's process has lost it
        stage = "fork"
        if sys.platform == "linux" and spec.get("walls"):
            inside.close(spec["walls"])
            keeper.end_with(report)
            inside.split(spec["walls"], fate)
        stage = "exec"
        execute(argv, env, report)
    except OSError as error:
        os.write(report, f"{getattr(error, 'stage', stage)} {error.errno}".encode())
    except BaseException:  # noqa: BLE001 - boundary: a forked child must never return; NUL bytes end here
        os.write(report, f"{stage} {errno.EINVAL}".encode())
    finally:
        os._exit(127)
