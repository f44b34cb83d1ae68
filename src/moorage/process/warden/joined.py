"""The warden that this process's keeper has: it is not started but joined, and what it has started is found.

A server that may be put to sleep says where it is, before its first launch: :func:`join_at`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from moorage.process.base import ProcessId
from moorage.process.warden.client import Warden
from moorage.process.warden.launched import ChildLaunch
from moorage.process.warden.process import WardenProcess

_places: list[Path] = []


class JoinedProcess(subprocess.Popen[bytes]):
    """The names of a child's Popen, for a process that is another's child: it is never reaped, nor killed."""

    def __init__(self, pid: int) -> None:
        """Made by :func:`join`; no process is started."""
        self.pid = pid
        self.returncode = 0  # nothing is to be waited for

    def poll(self) -> int:
        """Return 0: its end is none of this process's affairs."""
        return 0

    def wait(self, timeout: float | None = None) -> int:  # noqa: ARG002 - the base's
        """Return 0 at once."""
        return 0

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it is one that ends it; nothing happens when it has ended."""
        if sys.platform != "win32" and sig == signal.SIGCONT:
            with suppress(OSError):
                os.kill(self.pid, sig)

    def kill(self) -> None:
        """Leave it alone: its keeper ends it."""


class JoinedWarden(Warden):
    """A warden that lives on when its link is closed, with all that it has started."""

    def found(self, name: ProcessId) -> ChildLaunch | None:
        """Return what a launch of an earlier link has come to; None where nothing of it is known any more."""
        launched = self._launches.get(name)
        if launched is not None:
            launched.lasting = False
        return launched

    def end_others(self) -> None:
        """SIGKILL what earlier links have left and was not asked for by :meth:`found`."""
        for name in [name for name, one in self._launches.items() if one.lasting]:
            self.kill(name)

    def _told(self, message: dict[str, Any]) -> None:
        if message["tell"] == "started" and message["id"] not in self._launches:
            name = ProcessId(message["id"])
            launched = self._launches[name] = ChildLaunch(name, lambda: None)
            launched.lasting = True  # until it is asked for
        super()._told(message)

    def _tidy(self) -> None:
        if self.link.lost:  # else it has only been left
            super()._tidy()


def join_at(path: Path) -> None:
    """Have all launches of this process go to the warden that listens there, as long as it does.

    Args:
        path: of its socket.
    """
    _places[:] = [path]


def join() -> WardenProcess | None:
    """Connect to that warden; None where there is none, or where it has a link already."""
    if sys.platform != "linux" or not _places:
        return None
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        channel.connect(str(_places[0]))
        credentials = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        errors = os.memfd_create("warden")
    except OSError:
        channel.close()
        return None
    channel.setblocking(False)
    pid = int.from_bytes(credentials[:4], sys.byteorder)
    return WardenProcess(JoinedProcess(pid), channel, errors, -1)
