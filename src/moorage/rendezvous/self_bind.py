"""self-bind: the kernel is given a file without ports, binds what it likes and writes the ports into it.

ipykernel and everything built on its application class does this. Its heartbeat alone picks a port by
bind-and-close, so that one port is held for it (see ``hold``).
"""

from __future__ import annotations

import socket
from pathlib import Path

from moorage.errors import LaunchError
from moorage.rendezvous.base import LOOPBACK, Way
from moorage.rendezvous.files import check_directory, read_connection_file, write_connection_file
from moorage.rendezvous.hold import hold_port, port_of, share
from moorage.rendezvous.watch import DirectoryWatch
from moorage.wire.connection import ConnectionInfo

_CHOSEN = ("shell_port", "iopub_port", "stdin_port", "control_port")
"""Ports that the kernel chooses."""


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
        self._held: list[socket.socket] = []
        self._info: ConnectionInfo | None = None
        self._unchosen = {
            "transport": "tcp",
            "ip": ip,
            **dict.fromkeys(_CHOSEN, 0),
            "hb_port": port_of(self._heartbeat),
            "key": key.decode(),
            "signature_scheme": "hmac-sha256",
            "kernel_name": kernel_name,
        }
        try:
            write_connection_file(self.connection_file, self._unchosen)
        except OSError:
            self.close()
            raise

    def renew(self) -> None:
        """Let the kernel's next process bind the ports; the addresses stay as they are.

        Those that an earlier process chose are held from now on. Where another program has taken one
        meanwhile, the next process chooses anew.

        Raises:
            LaunchError: the file has gone, and its directory too.
            OSError: the file cannot be written.
        """
        check_directory(self.connection_file)
        if self._info is not None and not self._held:
            try:
                for name in _CHOSEN:
                    self._held.append(hold_port(self._info.ip, getattr(self._info, name)))
            except OSError:
                self._release()
                self._info = None
                write_connection_file(self.connection_file, self._unchosen)
        for held in (self._heartbeat, *self._held):
            share(held, True)

    def answered(self) -> None:
        """Let no other process bind the ports that are held."""
        for held in (self._heartbeat, *self._held):
            share(held, False)

    async def addresses(self) -> ConnectionInfo:
        """Wait until the kernel has written all five ports into its file, and return them."""
        async with DirectoryWatch(self.connection_file.parent) as watch:
            while (info := read_connection_file(self.connection_file)) is None:
                await watch.changed()
        self._info = info
        return info

    def close(self) -> None:
        """Let go of the ports and remove the connection file."""
        self._heartbeat.close()
        self._release()
        self.connection_file.unlink(missing_ok=True)

    def _release(self) -> None:
        while self._held:
            self._held.pop().close()
