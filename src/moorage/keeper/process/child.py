"""What a keeper's forked child does until it is its program.

Standard library only, from Python 3.9 on, and nothing of the package.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from moorage.keeper.process.beside import Forks
    from moorage.process.warden.program import Execute

if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.keeper.process import record
    from moorage.process.warden import confine, program
else:
    from warden import confine, program

    from keeper.process import record

if sys.platform == "linux":
    if TYPE_CHECKING or __name__.startswith("moorage."):
        from moorage.process.walls import inside
    else:
        from walls import inside

assert sys.platform != "win32", "keepers need Unix sockets and fork"

PR_SET_PDEATHSIG = 1


class Parent:
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


def fork(spec: dict[str, Any]) -> int:
    """Fork; behind walls, into namespaces.

    Raises:
        OSError: there is no room for another process.
    """
    if sys.platform == "linux" and spec.get("walls"):
        return inside.clone(spec["walls"])
    return os.fork()


def become(
    spec: dict[str, Any],
    stdout: int,
    report: int,
    fate: int,
    keeper: Parent,
    execute: Execute | None,
    forks: Forks | None,
) -> NoReturn:
    """In the forked child: turn into what ``spec`` says, or report which step failed.

    Args:
        spec: the message ``start``.
        stdout: descriptor for its stdout and stderr.
        report: of the report.
        fate: to what tends it behind walls, or from that.
        keeper: its parent.
        execute: how it becomes its program; None for execve(2).
        forks: what tends it behind walls, so that it can sleep; None where it ends with its program.
    """
    stage = "exec"
    try:
        os.setsid()
        keeper.end_with(report)
        _begin_anew(stdout)
        wanted = program.described(spec, report)
        if sys.platform == "linux" and spec.get("walls"):
            inside.enter(spec["walls"], keeper.ids)
        stage = "groups"
        confine.join(spec.get("groups", ()))
        os.umask(spec["umask"])
        stage = "chdir"
        os.chdir(wanted.cwd)
        if spec.get("process"):
            confine.enter(spec["process"], keeper.prctl)
            keeper.end_with(report)  # another user's process has lost it
        stage = "fork"
        if sys.platform == "linux" and spec.get("walls"):
            inside.close(spec["walls"])
            keeper.end_with(report)
            if forks is not None:
                forks.tend(spec["walls"]["warden"], fate, wanted, spec["env"][record.MARKER])
            inside.split(spec["walls"], fate)
        stage = "exec"
        (execute or _execute)(wanted.argv, wanted.env, report)
    except OSError as error:
        os.write(report, f"{getattr(error, 'stage', stage)} {error.errno}".encode())
    except BaseException:  # noqa: BLE001 - boundary: a forked child must never return; NUL bytes end here
        os.write(report, f"{stage} {errno.EINVAL}".encode())
    finally:
        os._exit(127)


def _begin_anew(stdout: int) -> None:
    """Have the streams and the signals of a new process."""
    null = os.open(os.devnull, os.O_RDONLY)
    for number, fd in ((0, null), (1, stdout), (2, stdout)):
        os.dup2(fd, number)
    signal.set_wakeup_fd(-1)
    for signum in signal.valid_signals():
        if signal.getsignal(signum) not in (signal.SIG_DFL, None):
            signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _execute(argv: list[bytes], env: dict[bytes, bytes], report: int) -> NoReturn:  # noqa: ARG001 - exec closes the report
    os.execvpe(argv[0], argv, env)  # noqa: S606 - a shell would only stand in the way
