"""The warden's children: forked, heard of, signalled, reaped.

Loaded by the warden by its path, without the package.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import select
import signal
import sys

TYPE_CHECKING = False  # typing costs a quarter of the warden's start-up time; type checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.process import procfs
    from moorage.process.netns import enter
    from moorage.process.warden import confine
else:
    import procfs
    from netns import enter
    from warden import confine

assert sys.platform == "linux", "the warden needs subreapers and pidfds"

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
prctl = ctypes.CDLL(None, use_errno=True).prctl
MOST_STRAYS = 100
ENDING = "?"
"""What owns an orphan that is just ending and tells no more of which launch it was."""


class Child:
    """One child: its name, and what must be known to say how it ended."""

    __slots__ = ("alive", "doomed", "id", "oom_before", "oom_file", "pid", "report")

    def __init__(self, name: str, pid: int, report: int) -> None:
        self.id = name
        self.pid = pid
        self.report = report  # read end of the pipe that closes on exec; -1 once it has
        self.alive = True
        self.doomed = False  # moorage itself sent SIGKILL: that is no lack of memory
        self.oom_file = procfs.oom_file(os.getpid())
        self.oom_before = procfs.oom_kills(self.oom_file)


class Children:
    """All that was launched and not yet declared gone.

    Args:
        tell: takes the name of a message and its fields.

    Made after the warden's own signal handlers are in place: children get the default ones back.
    """

    def __init__(self, tell: Callable[..., None]) -> None:
        self.known: dict[str, Child] = {}
        self.reports: dict[int, Child] = {}
        self.awaited: dict[int, tuple[int, Any] | None] = {}  # no launches: how each ended, once it has
        self._tell = tell
        self._pid = os.getpid()
        self.kernels: dict[str, str] = {}  # by launch, those of launches that are gone included
        self._outer = os.environ.get(procfs.MARKER, "")
        self._alive: dict[int, Child] = {}
        self._sessions: dict[int, str] = {}
        self._seen: dict[tuple[int, int], str] = {}
        self._blamed: dict[str | None, int] = {}
        self._strays: dict[int, tuple[int, Any]] = {}  # reaped before anything was heard of them
        # What the warden ignores or handles; exec would pass ignoring on. Resetting all 64 costs 0.5 ms.
        self._unusual = [one for one in signal.valid_signals() if signal.getsignal(one) != signal.SIG_DFL]

    def spawn(self, name: str, fds: list[int]) -> None:
        """Fork one child; ``fds`` are payload, stdout, stderr and perhaps stdin."""
        try:
            spec = json.loads(os.pread(fds[0], os.fstat(fds[0]).st_size, 0))
            spec["env"][procfs.MARKER] = f"{self._outer}/{name}" if self._outer else name
            report, write_report = os.pipe()
        except OSError as error:
            self._tell("failed", id=name, stage="descriptors", errno=error.errno)
            return
        child = Child(name, 0, report)
        # A signal for the child must wait until its handlers are the default ones again, not the warden's.
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        try:
            child.pid = os.fork()
            if child.pid == 0:
                become(spec, fds, write_report, self._pid, self._unusual)
        except OSError as error:
            os.close(report)
            self._tell("failed", id=name, stage="fork", errno=error.errno)
            return
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            os.close(write_report)
        self.known[name] = self._alive[child.pid] = self.reports[report] = child
        self._sessions[child.pid] = name  # pids come round again: the newest owner counts

    def expect(self, name: str, report: int) -> None:
        """Take charge of a child that a template forks; it says through ``report`` its process id."""
        child = self.known[name] = self.reports[report] = Child(name, 0, report)
        child.alive = False  # not born yet

    def abandon(self, name: str) -> None:
        """Listen no more to a child not born yet: it ends when it finds its report closed.

        One that reports at this very moment is found by its marker, which it shows before: that finds it.
        """
        self.hear()
        child = self.known.get(name)
        if child is not None and not child.pid and child.report >= 0:
            del self.reports[child.report]
            os.close(child.report)
            child.report = -1

    def hear(self) -> None:
        """Tell of those whose exec, or whose birth, has succeeded or failed since."""
        for fd, child in list(self.reports.items()):
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            if poll.poll(0):
                self._hear(child)

    def _hear(self, child: Child) -> None:
        words = os.read(child.report, 100).decode().split()
        del self.reports[child.report]
        os.close(child.report)
        child.report = -1
        if words[:1] == ["pid"]:
            child.pid = int(words[1])
            self._sessions[child.pid] = child.id
            stray = self._strays.pop(child.pid, None)
            row = procfs.look(child.pid)
            child.alive = stray is None or (row is not None and row.ppid == self._pid)  # another of this pid
            if stray is not None and not child.alive:
                self._tell("started", id=child.id, pid=child.pid)
                self._tell_end(child, *stray)
                return
            self._alive[child.pid] = child
        elif words or not child.pid:
            stage, number = words or ("template", "0")
            self._tell("failed", id=child.id, stage=stage, errno=int(number))
            del self.known[child.id]
            self.kernels.pop(child.id, None)
            return
        own = procfs.oom_file(child.pid)
        if own is not None and own != child.oom_file:  # it was put into another group
            child.oom_file, child.oom_before = own, procfs.oom_kills(own)
        self._tell("started", id=child.id, pid=child.pid)

    def reap(self) -> bool:
        """Collect the dead, orphans among them; return whether any child is left."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid not in self._alive:  # a fork that has ended may not have been heard of yet
                self.hear()
            child = self._alive.pop(pid, None)
            if child is None and pid in self.awaited:
                self.awaited[pid] = status, usage
                continue
            if child is None:  # an orphan, or a fork whose order has not arrived yet
                self._strays[pid] = status, usage
                if len(self._strays) > MOST_STRAYS:
                    del self._strays[next(iter(self._strays))]
                continue
            child.alive = False
            if child.report >= 0:
                self._hear(child)
            if child.id in self.known:
                self._tell_end(child, status, usage)

    def _tell_end(self, child: Child, status: int, usage: Any) -> None:
        code = os.waitstatus_to_exitcode(status)
        self._tell(
            "exited",
            id=child.id,
            code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            maxrss=usage.ru_maxrss * 1024,
            oom=code == -signal.SIGKILL and self._out_of_memory(child),
        )

    def _out_of_memory(self, child: Child) -> bool:
        """Whether the group's counter rose for this death: one count explains one death only."""
        before = max(child.oom_before, self._blamed.get(child.oom_file, 0))
        if child.doomed or procfs.oom_kills(child.oom_file) <= before:
            return False
        self._blamed[child.oom_file] = before + 1
        return True

    def signal(self, name: str, signum: int) -> None:
        """Signal the group a child leads, and the child itself if it has joined another."""
        child = self.known.get(name)
        if child is None or not child.alive:
            return
        child.doomed |= signum == signal.SIGKILL
        try:
            os.killpg(child.pid, signum)
        except ProcessLookupError:  # it leads no group: not yet, or no more
            os.kill(child.pid, signum)
            return
        if os.getpgid(child.pid) != child.pid:
            os.kill(child.pid, signum)

    def families(self) -> dict[str, list[procfs.Process]]:
        """Return what lives below the warden, by launch or by kernel.

        Where neither can be told it is under "", and under :data:`ENDING` if it is just ending.
        """
        table = procfs.table()
        owners: dict[int, str] = {}
        found: dict[str, list[procfs.Process]] = {}
        for pid, root in procfs.roots(table, self._pid).items():
            if not table[pid].dead:
                if root not in owners:
                    owners[root] = self._owner(table[root]) or (ENDING if table[root].ending else "")
                found.setdefault(owners[root], []).append(table[pid])
        owned = found.keys() - {"", ENDING}
        self._seen = {(one.pid, one.start): name for name in owned for one in found[name]}
        return found

    def _owner(self, root: procfs.Process) -> str:
        if root.pid in self._alive:
            return self._alive[root.pid].id
        # An orphan: its environment tells, and that of a fork tells of the newest launch. It cannot
        # be read of one that is just ending, but the last look may have seen where that came from. Where it
        # was wiped, the session may tell.
        marker, outlives = procfs.variables(root.pid, procfs.MARKER, procfs.OUTLIVES)
        names = marker.split("/")
        if outlives == "restart" and (kernels := [self.kernels[one] for one in names if one in self.kernels]):
            return kernels[-1]
        named = [name for name in names if name in self.known]
        if named:
            return named[-1]
        return self._seen.get((root.pid, root.start)) or self._sessions.get(root.session, "")

    def forget(self, name: str) -> bool:
        """Drop what is known of a launch that has ended; return False while its process lives."""
        child = self.known.get(name)
        if child is None:
            # Of a kernel that has ended for good.
            self.kernels = {launch: kernel for launch, kernel in self.kernels.items() if kernel != name}
            return True
        if child.alive:
            return False
        del self.known[name]
        if self._sessions.get(child.pid) == name:
            del self._sessions[child.pid]
        return True


def raw(text: str) -> bytes:
    """Return the bytes that moorage meant: paths and variables need not be text."""
    return text.encode("utf-8", "surrogateescape")


def become(
    spec: dict[str, Any], fds: list[int], report: int, warden: int, unusual: Sequence[int]
) -> NoReturn:
    """In the forked child: turn into what ``spec`` says, or report which step failed."""
    stage = "exec"
    try:
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != warden:  # it died before its death could be watched
            os._exit(127)
        process = spec.get("process")
        passed = process["pass_fds"] if process else []
        streams = len(fds) - len(passed)
        for number, fd in zip((1, 2, 0), fds[1:streams], strict=False):
            os.dup2(fd, number)
        report = confine.pass_on(passed, fds[streams:], report)
        signal.set_wakeup_fd(-1)
        for signum in unusual:
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        argv = [raw(part) for part in spec["argv"]]
        env = {raw(name): raw(value) for name, value in spec["env"].items()}
        stage = "chdir"
        os.chdir(raw(spec["cwd"]))
        if spec.get("isolate") == "net":
            enter.enter()
        if process:
            confine.enter(process, prctl)
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # another user's process has lost it
            if os.getppid() != warden:
                os._exit(127)
        stage = "exec"
        os.execvpe(argv[0], argv, env)  # noqa: S606 - a shell would only stand in the way
    except OSError as error:
        os.write(report, f"{getattr(error, 'stage', stage)} {error.errno}".encode())
    except BaseException:  # noqa: BLE001 - boundary: a forked child must never return; NUL bytes end here
        os.write(report, f"{stage} {errno.EINVAL}".encode())
    finally:
        os._exit(127)
