"""In a forked child: become another user, within limits, with the descriptors that were passed on.

Loaded by wardens and keepers by its path, without the package: standard library only, from Python 3.9 on.
What is asked for is described in :mod:`moorage.process.options`. Source: credentials(7), capabilities(7),
setreuid(2).
"""

from __future__ import annotations

import fcntl
import os
import sys

assert sys.platform != "win32", "it has no fork"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4


class ConfineRefused(OSError):
    """One step was refused.

    Attributes:
        stage: ``user``, ``rlimits`` or ``descriptors``.
    """

    def __init__(self, stage: str, number: int) -> None:
        super().__init__(number, os.strerror(number))
        self.stage = stage


def pass_on(numbers: Sequence[int], received: Sequence[int], report: int) -> int:
    """Give received descriptors the numbers they have in the launcher.

    Args:
        numbers: those numbers.
        received: the descriptors, in the same order.
        report: one that must not be in the way.

    Returns:
        The number that ``report`` has now.

    Raises:
        Refused: there are not so many.
    """
    if not numbers:
        return report
    try:
        above = max(numbers) + 1
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in received]
        report = fcntl.fcntl(report, fcntl.F_DUPFD_CLOEXEC, above)
        for number, fd in zip(numbers, moved):  # noqa: B905 - strict needs Python 3.10
            os.dup2(fd, number)
    except OSError as error:
        raise ConfineRefused("descriptors", error.errno or 0) from None
    return report


def enter(process: dict[str, Any], prctl: Any) -> None:
    """Take on limits, groups and user, for good: nothing that this process executes gets back what it had.

    Args:
        process: of the payload.
        prctl: the C library's; None where it has none.

    Raises:
        Refused: a step was refused.
    """
    limit(process["rlimits"])
    if process["umask"] is not None:
        os.umask(process["umask"])
    user, group, groups = process["user"], process["group"], process["groups"]
    if user is not None:
        # os.execvpe loads it to look at PATH, and the other user may not read this Python's library.
        import warnings  # noqa: F401, PLC0415 - few launches need it
    try:
        if groups is not None and set(groups) != set(os.getgroups()):
            os.setgroups(groups)
        if group is not None:
            os.setregid(group, group)  # the saved one, too
        if user is not None:
            os.setreuid(user, user)
            # What a launcher that is not root had may be in this set, and would survive exec.
            if prctl is not None:
                prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    except OSError as error:
        raise ConfineRefused("user", error.errno or 0) from None


def join(groups: Sequence[str]) -> None:
    """Go into control groups.

    Args:
        groups: their files ``cgroup.procs``.

    Raises:
        OSError: as the system says.
    """
    for path in groups:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"0")
        finally:
            os.close(fd)


def limit(rlimits: Sequence[Sequence[int]]) -> None:
    """Set limits, each given as its number, the soft and the hard one."""
    if not rlimits:
        return
    import errno  # noqa: PLC0415 - few launches need them
    import resource  # noqa: PLC0415 - as above

    for which, soft, hard in rlimits:
        try:
            resource.setrlimit(which, (soft, hard))
        except OSError as error:
            raise ConfineRefused("rlimits", error.errno or 0) from None
        except ValueError:  # a soft one above the hard one, or a hard one that is to be raised
            raise ConfineRefused("rlimits", errno.EINVAL) from None
