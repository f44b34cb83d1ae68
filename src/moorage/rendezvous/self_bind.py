"""self-bind: the kernel is given a file without ports, binds what it likes and writes the ports into it.

ipykernel and everything built on its application class does this. Its heartbeat alone picks a port by
bind-and-close, so that one port is held for it (see ``hold``).
"""

from __future__ import annotations

from pathlib import Path

from moorage.errors import LaunchError
from moorage.rendezvous.base import LOOPBACK, Way
from moorage.rendezvous.files import check_directory, read_connection_file, write_connection_file
from moorage.rendezvous.hold import hold_port, port_of, share
from moorage.rendezvous.watch import DirectoryWatch
from moorage.wire.connection import ConnectionInfo


class SelfBindRendezvous:
    """Addresses the kernel chooses."""

    way: Way = "self-bind"

    def __init__(self, directory: Path, key: bytes, kernel_name: str = "", ip: str = LOOPBACK) -> None:
        """Write the connection file without ports.

        Args:
            directory: an existing private directory, used by this kernel alone.
            key: signing key.
            kernel_name: recorded in the file for lists of running kernels.
            ip: the address the kernel shall bind.

        Raises:
            LaunchError: the machine has no free port left for the heartbeat.
        """
        try:
            self._heartbeat = hold_port(ip)
        except OSError as error:
            raise LaunchError(
                "no port could be taken for the kernel's heartbeat",
                why=str(error),
                do="Run fewer kernels at once (-j), or use --rendezvous ipc, which needs no ports",
            ) from error
        self.connection_file = directory / "kernel.json"
        try:
            write_connection_file(
                self.connection_file,
                {
                    "transport": "tcp",
                    "ip": ip,
                    "shell_port": 0,
                    "iopub_port": 0,
                    "stdin_port": 0,
                    "control_port": 0,
                    "hb_port": port_of(self._heartbeat),
                    "key": key.decode(),
                    "signature_scheme": "hmac-sha256",
                    "kernel_name": kernel_name,
                },
            )
        except OSError:
            self.close()
            raise

    def renew(self) -> None:
        """Let the kernel's next process bind the heartbeat's port; the addresses stay as they are.

        Raises:
            LaunchError: the file has gone, and its directory too.
        """
        check_directory(self.connection_file)
        share(self._heartbeat, True)

    def answered(self) -> None:
        """Let no other process bind the heartbeat's port."""
        share(self._heartbeat, False)

    async def addresses(self) -> ConnectionInfo:
        """Wait until the kernel has written all five ports into its file, and return them."""
        async with DirectoryWatch(self.connection_file.parent) as watch:
            while (info := read_connection_file(self.connection_file)) is None:
                await watch.changed()
        return info

    def close(self) -> None:
        """Let go of the heartbeat's port and remove the connection file."""
        self._heartbeat.close()
        self.connection_file.unlink(missing_ok=True)
