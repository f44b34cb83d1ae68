"""hold: five ports that stay bound, and never listen, until and while the kernel lives.

On Linux a port that is bound with SO_REUSEADDR and not listening can be bound once more by a socket that
also sets SO_REUSEADDR, as libzmq does, and is handed out by no ``bind(port 0)`` or
``connect``. So the ports are never let go of between choosing and using, nor across a restart.

Linux asks of two such sockets only that both set the option, not whose they are (``inet_csk_bind_conflict``):
a process of another user could take a held port and listen. So the option is set on the held socket only from
the start of a kernel's process until it answers; before and after nothing else can bind the port.
"""

from __future__ import annotations

import socket
from pathlib import Path

from moorage.errors import LaunchError
from moorage.rendezvous.base import LOOPBACK, Way
from moorage.rendezvous.told import ToldRendezvous


def hold_port(ip: str = LOOPBACK, port: int = 0) -> socket.socket:
    """Bind one port and keep it.

    Args:
        ip: the address.
        port: its number; 0 for one that the system picks.

    Returns:
        The bound socket, shared as :func:`share` has it. Close it to let go of the port. Children do not
        inherit it.

    Raises:
        OSError: no port is free, or this one is not.
    """
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        _bind(held, (ip, port))
    except BaseException:
        held.close()
        raise
    share(held, True)
    return held


def _bind(held: socket.socket, address: tuple[str, int]) -> None:
    if address[1]:
        share(held, True)  # connections of the port's last user may linger
    # A new port without the option: with it, Linux would remember of the port that all its sockets share it,
    # and never look at them again (``tb->fastreuse``).
    held.bind(address)


def share(held: socket.socket, shared: bool) -> None:  # noqa: FBT001 - as setsockopt has it
    """Say whether one more socket may be bound to a held port.

    Args:
        held: from :func:`hold_port`.
        shared: True while its kernel is to bind it.
    """
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(shared))


def port_of(held: socket.socket) -> int:
    """Return the number of a held port."""
    return int(held.getsockname()[1])


class HoldRendezvous(ToldRendezvous):
    """Addresses held for a kernel that takes its ports from its connection file."""

    way: Way = "hold"

    def __init__(self, directory: Path, key: bytes, kernel_name: str = "", ip: str = LOOPBACK) -> None:
        """Take five ports and write the connection file.

        Args:
            directory: an existing private directory, used by this kernel alone.
            key: signing key.
            kernel_name: recorded in the file for lists of running kernels.
            ip: the address to bind.

        Raises:
            LaunchError: the machine has no free ports left.
        """
        self._held: list[socket.socket] = []
        try:
            self._held.extend(hold_port(ip) for _ in range(5))
        except OSError as error:
            self._release()
            raise LaunchError(
                "no five free ports could be taken for the kernel",
                why=str(error),
                do="Run fewer kernels at once (-j), or use --rendezvous ipc, which needs no ports",
            ) from error
        try:
            ports = [port_of(held) for held in self._held]
            super().__init__(directory, key, kernel_name, transport="tcp", ip=ip, ports=ports)
        except OSError:
            self._release()
            raise

    def renew(self) -> None:
        """Let the kernel's next process bind the ports; the addresses stay as they are.

        The file is written again should its directory have gone.

        Raises:
            LaunchError: it cannot be written any more.
        """
        super().renew()
        for held in self._held:
            share(held, True)

    def answered(self) -> None:
        """Let no other process bind the ports, whatever becomes of the kernel that listens there."""
        for held in self._held:
            share(held, False)

    def close(self) -> None:
        """Let go of the ports and remove the connection file."""
        self._release()
        super().close()

    def _release(self) -> None:
        while self._held:
            self._held.pop().close()
