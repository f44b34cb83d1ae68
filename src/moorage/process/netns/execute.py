"""Any command in a network namespace of its own, executed in this process's place."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import sys
from collections.abc import Sequence
from typing import NoReturn

from moorage.process.netns import probe

if sys.platform == "linux":
    from moorage.process.netns import enter


def enter_namespace(ports: tuple[int, int] | None = None) -> None:
    """Put this process, which must have one thread, into a network namespace of its own.

    Args:
        ports: the first and the last port that the system hands out inside; None for its default.

    Raises:
        IsolationError: this machine gives none.
    """
    if sys.platform == "linux":
        locks = probe.locks()  # seen from half-way in they look different
        try:
            enter.enter(ports)
        except enter.EnterRefused as error:
            raise probe.explain(error.stage, error.errno or 0, locks) from None
    elif (error := probe.obstacle()) is not None:
        raise error


def execute(command: Sequence[str]) -> NoReturn:
    """Execute a command in this process's place, with everything as this process found it.

    Args:
        command: program and arguments; the program is looked up on PATH.

    Raises:
        OSError: it cannot be executed.
    """
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores them, and exec would pass that on
        if (signum := getattr(signal, name, None)) is not None:
            signal.signal(signum, signal.SIG_DFL)
    environment = _environment()
    _close_ways_out()
    try:
        os.execvpe(command[0], list(command), environment)  # noqa: S606 - a shell would only stand in the way
    except OSError as error:
        script = shutil.which(command[0])
        if error.errno != errno.ENOEXEC or script is None:
            raise
        # A script without a #! line is the shell's, as execvp(3) has it.
        os.execve("/bin/sh", ["sh", script, *command[1:]], environment)  # noqa: S606 - it is the shell this time


def _close_ways_out() -> None:
    """Close the descriptors that were handed down and lead out: sockets, tunnels and rings of io_uring.

    Pipes and files stay, as shells and make hand them down; so do the three standard streams.
    """
    try:
        descriptors = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - numbers, not paths
    except OSError:
        descriptors = list(range(3, 1024))
    for descriptor in descriptors:
        try:
            if descriptor > 2 and os.get_inheritable(descriptor) and _leads_out(descriptor):
                os.close(descriptor)
        except OSError:  # the one that the folder was read by
            continue


def _leads_out(descriptor: int) -> bool:
    if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return True
    opened = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - no path either
    return opened.startswith(("/dev/net/", "/dev/vhost", "anon_inode:[io_uring]"))


def _environment() -> dict[bytes, bytes]:
    """Return the environment this process was started with: Python adds LC_CTYPE to that of the C locale."""
    try:
        with open("/proc/self/environ", "rb") as file:  # noqa: PTH123 - nothing here needs pathlib
            entries = file.read().split(b"\0")
    except OSError:
        return {os.fsencode(name): os.fsencode(value) for name, value in os.environ.items()}
    return {name: value for name, is_one, value in (each.partition(b"=") for each in entries) if is_one}
