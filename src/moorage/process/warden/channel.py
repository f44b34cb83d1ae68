"""The warden's end of the link to moorage.

Loaded by the warden by its path, without the package.
"""

from __future__ import annotations

import json
import socket
import sys

assert sys.platform == "linux", "the warden needs subreapers and pidfds"

PACKET = 1 << 16
"""Longest packet in bytes; moorage sends anything longer in a memory file."""

MOST_DESCRIPTORS = 253
"""Descriptors that Linux takes with one packet, SCM_MAX_FD."""


class PacketChannel:
    """The link to moorage. Sending never blocks: what the socket does not take waits here."""

    def __init__(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        self.channel = channel
        self.waiting: list[bytes] = []
        self.closed = False

    def send(self, tell: str, **rest: object) -> None:
        """Tell moorage something, now or as soon as it reads."""
        self.waiting.append(json.dumps({"tell": tell, **rest}).encode())
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it."""
        while self.waiting:
            try:
                self.channel.send(self.waiting[0])
            except BlockingIOError:
                return
            except OSError:  # moorage is gone
                self.waiting.clear()
                return
            del self.waiting[0]

    def receive(self) -> list[tuple[bytes, list[int], bool]]:
        """Return what has arrived: packets, their descriptors, and whether any of either was cut off."""
        arrived: list[tuple[bytes, list[int], bool]] = []
        while not self.closed and len(arrived) < 64:
            try:
                packet, ancillary, flags, _ = self.channel.recvmsg(
                    PACKET, socket.CMSG_SPACE(4 * MOST_DESCRIPTORS), socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                break
            except ConnectionResetError:  # moorage died with packets of ours unread; its own still wait
                continue
            fds = [
                int.from_bytes(data[at : at + 4], sys.byteorder)
                for level, kind, data in ancillary
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
                for at in range(0, len(data) - 3, 4)
            ]
            self.closed = not packet
            if packet:
                arrived.append((packet, fds, bool(flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC))))
        return arrived
