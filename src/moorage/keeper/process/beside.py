"""The warden that a keeper may have beside its charge: the parent of what outlives the charge.

It is a fork of the keeper, so that it shares the keeper's memory; the charge finds its socket in the keeper's
directory. Standard library only, from Python 3.9 on, and nothing of the package.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, Protocol

    from moorage.process.warden.program import Program

    BecomeWarden = Callable[[int, str], NoReturn]
    """How a fork of the keeper becomes a warden: the descriptor of its listening socket, the keeper's id."""

    class Forks(Protocol):
        """What forks of a keeper can become."""

        def keep_kernels(self, door: int, marker: str) -> NoReturn:
            """Become the warden beside a charge, as :data:`BecomeWarden` says."""
            ...

        def tend(self, door: str, orders: int, program: Program, marker: str) -> NoReturn:
            """Become the warden that tends a charge behind walls.

            Args:
                door: path of the socket at which it is to listen.
                orders: descriptor of the socket to the keeper.
                program: the first charge.
                marker: the keeper's id.
            """
            ...


if TYPE_CHECKING or __name__.startswith("moorage."):
    from moorage.keeper.process import record
else:
    from keeper.process import record

assert sys.platform != "win32", "keepers need Unix sockets and fork"


def fork_warden(become: BecomeWarden, marker: str) -> int:
    """Fork a warden and return its process id.

    It listens itself, for the pid that a link is told is that of the process which called listen(2).

    Args:
        become: runs in the fork.
        marker: the keeper's id.

    Raises:
        OSError: no process, or no descriptors are left.
    """
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        door.bind(record.WARDEN)
        if pid := os.fork():
            return pid
        try:
            signal.set_wakeup_fd(-1)
            os.setsid()
            become(door.fileno(), marker)
        finally:
            os._exit(127)
    finally:
        door.close()
