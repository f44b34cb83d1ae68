"""In a forked child: become another user, within limits, with the descriptors that were passed on.

Loaded by the warden by its path, without the package. What is asked for is described in
:mod:`moorage.process.options`. Source: credentials(7), capabilities(7).
"""

from __future__ import annotations

import fcntl
import os
import sys

assert sys.platform == "linux", "the warden needs subreapers and pidfds"

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
        for number, fd in zip(numbers, moved, strict=True):
            os.dup2(fd, number)
    except OSError as error:
        raise ConfineRefused("descriptors", error.errno or 0) from None
    return report


def enter(options: dict[str, Any], prctl: Any) -> None:
    """Take on limits, groups and user, for good: nothing that this process executes gets back what it had.

    Args:
        options: of the payload.
        prctl: the C library's.

    Raises:
        Refused: a step was refused.
    """
    limit(options["rlimits"])
    if options["umask"] is not None:
        os.umask(options["umask"])
    user, group, groups = options["user"], options["group"], options["groups"]
    try:
        if groups is not None and set(groups) != set(os.getgroups()):
            os.setgroups(groups)
        if group is not None:
            os.setresgid(group, group, group)
        if user is not None:
            os.setresuid(user, user, user)
            # What a launcher that is not root had may be in this set, and would survive exec.
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    except OSError as error:
        raise ConfineRefused("user", error.errno or 0) from None


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
