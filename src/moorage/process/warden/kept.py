"""The warden beside a keeper's charge: it outlives its link, and the next program that connects finds all.

It differs from other wardens in whose end is its own: its keeper's. It listens at a Unix socket; one link at
a time. Each link hears ``hello`` with ``count``, by which names of launches go on, and then of each child
``started`` and, where it has ended meanwhile, ``exited``.
"""

# ruff: noqa: E402 - what it imports is Linux's

from __future__ import annotations

import os
import select
import socket
import sys
from typing import Any, NoReturn

assert sys.platform == "linux", "the warden needs subreapers and pidfds"

from moorage.process.warden import private_directory
from moorage.process.warden.channel import PacketChannel
from moorage.process.warden.main import WardenServer


class KeptWarden(WardenServer):
    """A warden with a door.

    Args:
        door: a bound socket, at which it will listen.
    """

    def __init__(self, door: socket.socket) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.close()
        super().__init__(ours, os.getppid())
        door.setblocking(False)
        door.listen(4)
        self._door = door
        self._ends: dict[str, dict[str, Any]] = {}  # of those that have ended, how

    def run(self) -> None:
        """Serve one link after another until the keeper is gone or SIGTERM arrives."""
        self.sweep()
        while not self._ending:
            self.step()

    def watch(self, poll: select.poll) -> None:
        """Wait for links, too."""
        if not self._ending:
            poll.register(self._door, select.POLLIN)

    def look_at_link(self) -> None:
        """Take a new link where there is none; one that asks while there is one is turned away."""
        if self._packets.closed and self._packets.channel.fileno() >= 0:
            self._packets.channel.close()
        try:
            link, _ = self._door.accept()
        except OSError:  # none asks, or there is no descriptor left
            return
        if not self._packets.closed:
            link.close()
            return
        link.set_inheritable(False)
        self._packets = PacketChannel(link)
        known = self._children.known.values()
        counts = [int(name.rpartition(".")[2]) for name in self._children.known]
        self._count = max([self._count, *counts])
        self._packets.send("hello", directory=self._directory.path, count=self._count)
        for child in known:
            if child.pid:
                self._packets.send("started", id=child.id, pid=child.pid)
            if child.id in self._ends:
                self._packets.send("exited", **self._ends[child.id])

    def tell(self, what: str, **rest: Any) -> None:
        """Tell the link, and keep how a child ended for the next one."""
        if what == "exited":
            self._ends[rest["id"]] = rest
        elif what == "gone":
            self._ends.pop(rest["id"], None)
        if not self._packets.closed:
            self._packets.send(what, **rest)

    def stay(self, what: str, message: dict[str, str]) -> None:  # noqa: ARG002 - the base's
        """Answer; it never rests, for what it keeps is not its link's."""
        if what == "ping":
            self._packets.send("pong")


def main(door: int) -> NoReturn:
    """Run the warden in this fork of a keeper.

    Args:
        door: descriptor of the listening socket.
    """
    os.chdir("/")
    try:
        warden = KeptWarden(socket.socket(fileno=door))
    except private_directory.NoPlace as error:
        sys.exit(error.strerror)
    try:
        warden.run()
    finally:
        warden.end()
    os._exit(0)
