"""What every rendezvous offers: a connection file to give the kernel, and the addresses agreed on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

from moorage.wire.connection import ConnectionInfo

Way = Literal["handshake", "self-bind", "hold", "ipc"]
LOOPBACK = "127.0.0.1"
"""Where a kernel listens by TCP, and where it registers, unless its place says otherwise."""
Choice = Literal["auto", "handshake", "self-bind", "hold", "ipc"]


class Rendezvous(Protocol):
    """One kernel's agreement on addresses, for as long as the kernel lives (restarts included).

    They are addresses as the kernel sees them; its place knows where they are found from here.
    """

    @property
    def way(self) -> Way:
        """Which of the four it is."""
        ...

    @property
    def connection_file(self) -> Path:
        """The file whose path the kernel is given."""
        ...

    def renew(self) -> None:
        """Prepare for a process of the kernel: called before each is started, when none of it lives.

        Raises:
            OSError, LaunchError: the file cannot be written.
        """
        ...

    def answered(self) -> None:
        """Take note that the kernel listens at its addresses: no other process is to get them."""
        ...

    async def addresses(self) -> ConnectionInfo:
        """Return the addresses, waiting for the kernel to choose them where it is the one to choose.

        They are the same after a restart, unless the kernel registers: then ask again.

        Cancelling is safe. The caller brings the deadline, and watches for the kernel's death.
        """
        ...

    def close(self) -> None:
        """Let go of what is held. Idempotent."""
        ...
