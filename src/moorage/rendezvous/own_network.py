"""A kernel that has a network of its own: its ports need no holding.

Nothing but the kernel and what it starts is there, and the ports lie above what the system hands out by
itself. Clients are led in by Unix sockets, so for them the kernel is one of ipc.
"""

from __future__ import annotations

from pathlib import Path

from moorage.rendezvous.base import LOOPBACK
from moorage.rendezvous.told import ToldRendezvous

FIRST_PORT = 61_001
"""Above the ephemeral range of a new namespace, which ends at 60999."""


class OwnNetworkRendezvous(ToldRendezvous):
    """Addresses inside a network namespace.

    Attributes:
        ports: all five.
    """

    def __init__(self, directory: Path, key: bytes, kernel_name: str = "") -> None:
        """Write the connection file.

        Args:
            directory: an existing private directory, used by this kernel alone.
            key: signing key.
            kernel_name: recorded in the file for lists of running kernels.

        Raises:
            OSError: as the file system says.
        """
        self.ports = tuple(range(FIRST_PORT, FIRST_PORT + 5))
        super().__init__(directory, key, kernel_name, transport="tcp", ip=LOOPBACK, ports=self.ports)
