"""Launches in a template's socket: how many wait there, and taking one.

Loaded by the template by its path, without the package: standard library only, from Python 3.9 on.
"""

from __future__ import annotations

import fcntl
import select
import socket
import sys
import termios

assert sys.platform == "linux", "templates need the warden, and /proc"

ASKED = b"fork"
"""The packet that comes with a launch's descriptors."""
REPORT = 3
"""Which of these learns what became of the launch."""


def receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    """Return the next packet and its descriptors."""
    packet, ancillary, _, _ = channel.recvmsg(64, socket.CMSG_SPACE(4 * 4))
    fds = [
        int.from_bytes(data[at : at + 4], sys.byteorder)
        for level, kind, data in ancillary
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for at in range(0, len(data) - 3, 4)
    ]
    return packet, fds


def waiting(channel: socket.socket) -> int:
    """Return how many launches wait there to be taken."""
    told = fcntl.ioctl(channel, termios.FIONREAD, bytes(4))  # the bytes of all packets, see unix(7)
    return int.from_bytes(told, sys.byteorder) // len(ASKED)


def readable(source: socket.socket | int, milliseconds: int) -> bool:
    """Whether there is something to read, or the other end closed, within so many milliseconds."""
    poll = select.poll()
    poll.register(source, select.POLLIN)
    return bool(poll.poll(milliseconds))


def over(channel: socket.socket) -> bool:
    """Whether the other end is closed; a spare also ends when it is killed."""
    poll = select.poll()
    poll.register(channel, 0)
    return bool(poll.poll(0))
