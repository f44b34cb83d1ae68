"""Which process listens at an address of this machine, as Linux tells it.

Asked for a socket of another process: a path is asked itself (SO_PEERCRED), a port by way of
/proc/net/tcp and the descriptors of the processes that may be looked at.
"""
# ruff: noqa: PTH115, PTH208 - thousands of links are read at a time, and pathlib costs more than the reading

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple

from moorage.process import procfs

assert sys.platform == "linux", "other systems have no such /proc"

# The table is handed over page by page: while sockets come and go, one may be passed over.
_LOOKS = 3
_LISTEN = "0A"  # TCP_LISTEN in include/net/tcp_states.h


@dataclass(frozen=True)
class ListeningProcess:
    """What is known of an address.

    Attributes:
        here: it is one of this machine's, so that more could be known if there were more.
        listening: a process listens there; False too when that cannot be known.
        pid: which, as far as that may be looked at; of several that share the socket the oldest.
    """

    here: bool
    listening: bool
    pid: int | None = None


def at_path(path: str) -> ListeningProcess:
    """Tell which process listens at a Unix socket. It sees a connection that ends at once."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)
        try:
            asking.connect(path)
            pid, _, _ = struct.unpack("3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        except BlockingIOError:  # its queue is full: a process is there
            return ListeningProcess(here=True, listening=True)
        except OSError:
            return ListeningProcess(here=True, listening=False)
    # 0 when it lives in a process namespace that is not ours.
    return ListeningProcess(here=True, listening=True, pid=pid or None)


def at_port(ip: str, port: int, likely: Iterable[int] = ()) -> ListeningProcess:
    """Tell which process listens at a TCP port.

    Args:
        ip: an address or a host's name.
        port: 1 to 65535.
        likely: pids to look at before all others.
    """
    if not (wanted := _addresses(ip, port)):
        return ListeningProcess(here=False, listening=False)
    for _ in range(_LOOKS):
        inodes = {each.inode for each in _listening() if each.port == port and each.is_at(wanted)}
        if inodes:
            return ListeningProcess(here=True, listening=True, pid=_holder(inodes, likely))
    return ListeningProcess(here=True, listening=False)


def users_at(transport: str, ip: str, port: int) -> set[int]:
    """Return the users whose processes listen at an address, also those that may not be looked at.

    Args:
        transport: ``tcp`` or ``ipc``.
        ip: an address or a host's name; for ipc the path before ``-PORT``.
        port: its number.

    Returns:
        Their uids; empty where none listens, or where the address is not of this machine.
    """
    if transport == "ipc":
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.setblocking(False)
            try:
                asking.connect(f"{ip}-{port}")
                return {struct.unpack("3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]}
            except OSError:
                return set()
    wanted = _addresses(ip, port)
    for _ in range(_LOOKS if wanted else 0):
        if users := {each.uid for each in _listening() if each.port == port and each.is_at(wanted)}:
            return users
    return set()


def _addresses(ip: str, port: int) -> set[str]:
    """Return the addresses behind a host's name, if this machine has one of them."""
    try:
        found = {str(each[4][0]) for each in socket.getaddrinfo(ip, port, type=socket.SOCK_STREAM)}
    except OSError:
        return set()
    return found if any(map(_is_ours, found)) else set()


def _is_ours(address: str) -> bool:
    found = ip_address(address.partition("%")[0])
    if found.is_loopback or found.is_unspecified:
        return True
    family = socket.AF_INET if found.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as asking, suppress(OSError):
        asking.bind((address, 0))  # nothing is sent, and no port is kept
        return True
    return False


class _Socket(NamedTuple):
    """A TCP socket that listens."""

    address: str
    port: int
    uid: int
    inode: int

    def is_at(self, wanted: set[str]) -> bool:
        """Tell whether it takes connections to one of these addresses."""
        return self.address in wanted or ip_address(self.address).is_unspecified


def _listening() -> Iterator[_Socket]:
    """Yield every TCP socket that listens in this network namespace."""
    for family, name in ((socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6")):
        try:
            lines = procfs.read(f"/proc/self/net/{name}", 64 << 20).decode().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if len(words) > 9 and words[3] == _LISTEN:
                address, _, port = words[1].partition(":")
                # Words of 32 bits, each in this machine's byte order.
                raw = bytes.fromhex(address)
                swapped = b"".join(
                    struct.pack(">I", word) for word in struct.unpack(f"={len(raw) // 4}I", raw)
                )
                yield _Socket(socket.inet_ntop(family, swapped), int(port, 16), int(words[7]), int(words[9]))


def _holder(inodes: set[int], likely: Iterable[int]) -> int | None:
    links = {f"socket:[{inode}]" for inode in inodes}
    first = [pid for pid in likely if _holds(pid, links)]
    pids = first or [
        pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if _holds(pid, links)
    ]
    rows = [row for row in map(procfs.look, pids) if row is not None]
    # Children that were forked hold their parent's sockets too.
    return min(rows, key=lambda row: row.start).pid if rows else None


def _holds(pid: int, links: set[str]) -> bool:
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:
        return False  # another user's, or just gone
    for name in names:
        with suppress(OSError):
            if os.readlink(f"{folder}/{name}") in links:
                return True
    return False
