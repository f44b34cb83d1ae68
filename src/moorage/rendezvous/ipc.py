"""ipc: Unix sockets in a private directory. No ports, guarded by file permissions, and the fastest.

libzmq's ipc bind unlinks whatever stands at its path, so the path must be unique: each kernel gets a
directory of its own (0700) under the warden's, which is removed when moorage ends, however it ends.
"""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

from moorage.errors import LaunchError
from moorage.rendezvous.told import ToldRendezvous

# sockaddr_un.sun_path is 108 bytes on Linux and 104 on macOS, with a terminating zero; "-5" is the suffix.
LONGEST_PREFIX = 100
# What stands for ports: one of each socket.
_NUMBERS = (1, 2, 3, 4, 5)
# Devices of file systems that have held a socket. To bind one takes longer than the rest of an agreement.
_proven: set[int] = set()


class NoSockets(LaunchError):
    """No Unix socket can be bound in a private directory; another rendezvous needs none."""


class IpcRendezvous(ToldRendezvous):
    """Addresses that are paths in a private directory."""

    def __init__(
        self,
        directory: Path,
        key: bytes,
        kernel_name: str = "",
        *,
        mount: Path | None = None,
        bound: bool = False,
    ) -> None:
        """Write the connection file.

        Args:
            directory: an existing private directory, used by this kernel alone.
            key: signing key.
            kernel_name: recorded in the file for lists of running kernels.
            mount: the path by which the kernel sees the directory; None for the same.
            bound: the kernel's sockets are there already.

        Raises:
            NoSockets: the path is too long for a Unix socket, or the file system holds none.
        """
        self._prefix = _short_enough(directory) if bound else socket_prefix(directory)
        ip = self._prefix if mount is None else _short_enough(mount)
        super().__init__(directory, key, kernel_name, transport="ipc", ip=ip, ports=_NUMBERS)

    def close(self) -> None:
        """Remove the kernel's sockets, which libzmq leaves behind when a kernel is killed."""
        for port in _NUMBERS:
            Path(f"{self._prefix}-{port}").unlink(missing_ok=True)
        super().close()


def socket_prefix(directory: Path) -> str:
    """Return the path that ``-NUMBER`` is added to for each Unix socket in a private directory.

    Raises:
        NoSockets: none can be bound there.
    """
    prefix = _short_enough(directory)
    _prove(Path(f"{prefix}-1"))
    return prefix


def _short_enough(directory: Path) -> str:
    prefix = str(directory / "k")
    if len(prefix.encode()) > LONGEST_PREFIX:
        raise NoSockets(
            f"the directory {directory} is too deep for Unix sockets",
            why=f"a socket path holds at most {LONGEST_PREFIX} bytes here",
            do="Set XDG_RUNTIME_DIR to a shorter path, or use --rendezvous hold",
        )
    return prefix


def _prove(path: Path) -> None:
    """Bind a Unix socket, once on each file system: not every one holds them (9p, some FUSE, NFS, overlays).

    A file system that takes no socket any more, being full, is found by the kernel that cannot bind there.

    Raises:
        NoSockets: it cannot be bound.
    """
    if not hasattr(socket, "AF_UNIX"):
        return
    try:
        device = path.parent.stat().st_dev
        if device in _proven:
            return
        with closing(socket.socket(socket.AF_UNIX)) as probe:
            probe.bind(str(path))
        path.unlink()
        _proven.add(device)
    except OSError as error:
        raise NoSockets(
            f"no Unix socket can be bound in {path.parent}",
            why=error.strerror or str(error),
            do="Set XDG_RUNTIME_DIR to a folder of a local file system, or use --rendezvous hold",
        ) from error
