"""A network namespace with few ports, and a thief of ports in it: the weather in which the drills sail.

A drill calls itself anew in namespaces of its own (as root, or in a user namespace) with :func:`namespaced`;
the part that runs there calls :func:`prepare` and works inside :func:`thief`.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import HERE

FIRST_PORT = 40000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


@dataclass
class Loot:
    """What the thief says at its end."""

    told: str = ""


def namespaced(module: str, arguments: Sequence[str]) -> list[str]:
    """Return the command that runs ``module`` in namespaces of its own, whose end ends all in them."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return [
        *("unshare", *user, "--net", "--pid", "--mount-proc", "--fork", "--kill-child"),
        *(sys.executable, "-m", module, *arguments),
    ]


def prepare(width: int) -> None:
    """Raise the loopback of this namespace and narrow its range of ports."""
    with socket.socket() as control:
        request = array.array("b", struct.pack("16sh22x", b"lo", 0))
        fcntl.ioctl(control, SIOCGIFFLAGS, request)
        flags = struct.unpack_from("16sh", request)[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | IFF_UP))
    ports = Path("/proc/sys/net/ipv4/ip_local_port_range")
    ports.write_text(f"{FIRST_PORT} {FIRST_PORT + width - 1}\n")


@contextmanager
def thief(held: int = 40, pause: float = 0.001) -> Iterator[Loot]:
    """Let somebody bind port 0 in a loop: up to ``held`` ports at once, ``pause`` seconds between two."""
    command = [sys.executable, str(HERE / "thief.py"), str(held), str(pause)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    loot = Loot()
    try:
        yield loot
    finally:
        process.terminate()
        loot.told = process.communicate()[0].strip()
