"""Sockets that listen: bound before anything starts, so that what is wrong with one is said in a sentence."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

from moorage.errors import UsageError

UNIX: int = getattr(socket, "AF_UNIX", -1)
"""The family of Unix sockets; -1 where Python has none, as on Windows."""
BACKLOG = 1024
KEEPALIVE_SECONDS = 60
"""After so long without a byte the system asks whether a visitor's machine is still there."""


def bind(host: str, port: int) -> list[socket.socket]:
    """Return sockets that are bound to an address, ready to listen.

    Args:
        host: name or address; "" or "*" is every interface.
        port: 0 lets the system choose.

    Raises:
        UsageError: there is no such address, or it is taken.
    """
    name = None if host in {"", "*"} else host
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UsageError(f"{host} is no address to listen on", why=error.strerror or str(error)) from None
    sockets: list[socket.socket] = []
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            sockets.append(_bound(family, (address[0], _port(sockets, port))))
        except OSError as error:
            if family == socket.AF_INET6 and name is None and sockets:
                continue  # a machine without IPv6 listens on IPv4
            for each in sockets:
                each.close()
            raise UsageError(
                f"cannot listen on {host or '*'}:{port}",
                why=error.strerror or str(error),
                do="Choose another port",
            ) from None
    return sockets


def bind_unix(path: str) -> socket.socket:
    """Return a socket bound to a path; a socket file that no program listens on is replaced.

    Raises:
        UsageError: the path is taken, or cannot be written.
    """
    if UNIX < 0:
        why = "Python has no Unix sockets on this system"
        raise UsageError(f"cannot listen on {path}", why=why, do="Use --ip and --port")
    bound = socket.socket(UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        bound.bind(path)
    except OSError as error:
        bound.close()
        raise UsageError(f"cannot listen on {path}", why=error.strerror or str(error)) from None
    return bound


def remove_socket_file(path: str) -> None:
    """Remove the file of a socket that is closed."""
    Path(path).unlink(missing_ok=True)


def _port(sockets: list[socket.socket], port: int) -> int:
    """Return the port for the next family: where the system chose one, the same."""
    return port or (int(sockets[0].getsockname()[1]) if sockets else 0)


def _bound(family: int, address: tuple[str | int, int]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # accepted sockets inherit it
        if hasattr(socket, "TCP_KEEPIDLE"):
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(Path(path).lstat().st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
