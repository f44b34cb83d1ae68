"""Addresses that the kernel is told: they are known before it starts, and stay as they are over restarts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from moorage.rendezvous.base import Way
from moorage.rendezvous.files import write_again, write_connection_file
from moorage.wire.connection import PORTS, ConnectionInfo, Transport


class ToldRendezvous:
    """What ipc, hold and a network of the kernel's own have in common.

    Attributes:
        connection_file: the file whose path the kernel is given.
    """

    way: Way = "ipc"

    def __init__(
        self,
        directory: Path,
        key: bytes,
        kernel_name: str,
        *,
        transport: Transport,
        ip: str,
        ports: Sequence[int],
    ) -> None:
        """Write the connection file.

        Args:
            directory: an existing private directory, used by this kernel alone.
            key: signing key.
            kernel_name: recorded in the file for lists of running kernels.
            transport: by which it listens.
            ip: where; for ipc the path that a number is added to.
            ports: for shell, iopub, stdin, control and heartbeat.

        Raises:
            OSError: as the file system says.
        """
        said = {"transport": transport, "ip": ip, "key": key, "kernel_name": kernel_name}
        self._info = ConnectionInfo.from_dict({**said, **dict(zip(PORTS, ports, strict=True))})
        self.connection_file = directory / "kernel.json"
        write_connection_file(self.connection_file, self._info.to_dict())

    def renew(self) -> None:
        """Write the file again should its directory have gone; the addresses stay as they are.

        Raises:
            LaunchError: it cannot be written any more.
        """
        write_again(self.connection_file, self._info.to_dict())

    def answered(self) -> None:
        """Nothing is to be done where no other process can have these addresses."""

    async def addresses(self) -> ConnectionInfo:
        """Return the addresses; they are known from the start."""
        return self._info

    def close(self) -> None:
        """Remove the file."""
        self.connection_file.unlink(missing_ok=True)
