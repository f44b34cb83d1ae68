"""ipc: Unix sockets in a private directory. No ports, guarded by file permissions, and the fastest.

libzmq's ipc bind unlinks whatever stands at its path, so the path must be unique: each kernel gets a
directory of its own (0700) under the warden's, which is removed when moorage ends, however it ends.
"""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

from moorage.errors import LaunchError
from moorage.rendezvous.base import Way
from moorage.rendezvous.files import write_again, write_connection_file
from moorage.wire.connection import ConnectionInfo

# sockaddr_un.sun_path is 108 bytes on Linux and 104 on macOS, with a terminating zero; "-5" is the suffix.
LONGEST_PREFIX = 100


class NoSockets(LaunchError):
    """No Unix socket can be bound in a private directory; another rendezvous needs none."""


class IpcRendezvous:
    """Addresses that are paths in a private directory."""

    way: Way = "ipc"

    def __init__(self, directory: Path, key: bytes, kernel_name: str = "") -> None:
        """Write the connection file.

        Args:
            directory: an existing private directory, used by this kernel alone.
            key: signing key.
            kernel_name: recorded in the file for lists of running kernels.

        Raises:
            NoSockets: the path is too long for a Unix socket, or the file system holds none.
        """
        prefix = str(directory / "k")
        if len(prefix.encode()) > LONGEST_PREFIX:
            raise NoSockets(
                f"the directory {directory} is too deep for Unix sockets",
                why=f"a socket path holds at most {LONGEST_PREFIX} bytes here",
                do="Set XDG_RUNTIME_DIR to a shorter path, or use --rendezvous hold",
            )
        _prove(Path(f"{prefix}-1"))
        self._info = ConnectionInfo(
            transport="ipc",
            ip=prefix,
            shell_port=1,
            iopub_port=2,
            stdin_port=3,
            control_port=4,
            hb_port=5,
            key=key,
            kernel_name=kernel_name,
        )
        self.connection_file = directory / "kernel.json"
        write_connection_file(self.connection_file, self._info.to_dict())

    def renew(self) -> None:
        """Write the file again should its directory have gone; the addresses stay as they are.

        Raises:
            LaunchError: it cannot be written any more.
        """
        write_again(self.connection_file, self._info.to_dict())

    def answered(self) -> None:
        """Nothing is to be done: no other process is given these addresses."""

    async def addresses(self) -> ConnectionInfo:
        """Return the addresses; they are known from the start."""
        return self._info

    def close(self) -> None:
        """Remove the kernel's sockets, which libzmq leaves behind when a kernel is killed."""
        for port in range(1, 6):
            Path(f"{self._info.ip}-{port}").unlink(missing_ok=True)
        self.connection_file.unlink(missing_ok=True)


def refused(output: str) -> bool:
    """Tell whether a kernel that died says that it could not bind its Unix sockets, as pyzmq puts it."""
    return "ipc://" in output or "ZMQError" in output


def _prove(path: Path) -> None:
    """Bind a Unix socket once: not every file system holds them (9p, some of FUSE, of NFS and of overlays).

    Raises:
        NoSockets: it cannot be bound.
    """
    if not hasattr(socket, "AF_UNIX"):
        return
    try:
        with closing(socket.socket(socket.AF_UNIX)) as probe:
            probe.bind(str(path))
        path.unlink()
    except OSError as error:
        raise NoSockets(
            f"no Unix socket can be bound in {path.parent}",
            why=error.strerror or str(error),
            do="Set XDG_RUNTIME_DIR to a folder of a local file system, or use --rendezvous hold",
        ) from error
