"""The warden that is process 1 behind walls: it keeps kernels, and starts and ends their server by order.

It is a fork of a keeper, which gives orders by a SOCK_SEQPACKET socket:

    start N  + descriptors: a payload (:mod:`moorage.process.warden.program`), and the report's write end
    sleep    kill all but what it was asked for by its own link

and hears ``ended N STATUS PEAK`` (wait status; largest resident set in bytes) of each program once, and
``asleep LEFT`` (how many processes could not be killed). When the socket ends, so does this process, and with
it all that is behind the walls. docs/design/0021-walls.md says what the keeper makes of what it hears.
"""

# ruff: noqa: E402 - what it imports is Linux's

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, NoReturn

assert sys.platform == "linux", "the warden needs subreapers and pidfds"

from moorage.process.warden import private_directory
from moorage.process.warden.kept import KeptWarden
from moorage.process.warden.program import unpacked

if TYPE_CHECKING:
    from moorage.process.warden.program import Execute, Program

ORDER = 64
"""Bytes of an order."""
NO_LAUNCH = ""
"""Name of what belongs to no launch: a server, and what that has started."""


class TendingWarden(KeptWarden):
    """A warden with a server.

    Args:
        door: a bound socket, at which it will listen.
        orders: the socket to the keeper.
        execute: how a fork becomes the server.
    """

    def __init__(self, door: socket.socket, orders: socket.socket, execute: Execute) -> None:
        super().__init__(door)
        # Nothing sends signals to process 1 but what is within, and the keeper, which means the server.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._parent = os.getppid()  # 0: the end of the orders tells that the keeper is gone
        self._orders = orders
        self._execute = execute
        self._running: dict[int, int] = {}  # numbers of programs by process id
        self._sleeping = False
        orders.setblocking(False)

    def start(self, number: int, program: Program) -> None:
        """Fork a server, or report that there is no room for it.

        Args:
            number: by which its end is told.
            program: its report is closed here.
        """
        try:
            pid = os.fork()
        except OSError as error:
            os.write(program.report, f"fork {error.errno}".encode())
        else:
            if pid == 0:
                self._become(program)
            self._running[pid] = number
            self._children.awaited[pid] = None
        os.close(program.report)

    def _become(self, program: Program) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            for signum in signal.valid_signals():
                if signal.getsignal(signum) not in (signal.SIG_DFL, None):
                    signal.signal(signum, signal.SIG_DFL)
        finally:
            program.become(self._execute)

    def step(self) -> None:
        """Do what follows, and tell the keeper of a server that has ended."""
        super().step()
        self._tell_ends()

    def _tell_ends(self) -> None:
        for pid, found in list(self._children.awaited.items()):
            if found is not None:
                del self._children.awaited[pid]
                status, usage = found
                self._tell_keeper(f"ended {self._running.pop(pid)} {status} {usage.ru_maxrss * 1024}")

    def watch(self, poll: select.poll) -> None:
        """Wait for orders, too."""
        super().watch(poll)
        poll.register(self._orders, select.POLLIN)

    def look_at_link(self) -> None:
        """Take a new link, and orders."""
        super().look_at_link()
        while True:
            try:
                order, fds, _, _ = socket.recv_fds(self._orders, ORDER, 2)
            except BlockingIOError:
                return
            except OSError:
                order, fds = b"", []
            if not order:
                os._exit(1)  # the keeper is gone
            try:
                for fd in fds:
                    os.set_inheritable(fd, False)
                self._do(order.split(), fds)
            finally:
                for fd in fds[:1]:
                    os.close(fd)

    def _do(self, words: list[bytes], fds: list[int]) -> None:
        if words[0] == b"sleep":
            self._sleeping = True
            self._kill(NO_LAUNCH)
        else:
            self.start(int(words[1]), unpacked(*fds))

    def tell(self, what: str, **rest: Any) -> None:
        """Tell the link, or the keeper where all that belongs to no launch is gone."""
        if what == "gone" and rest["id"] == NO_LAUNCH:
            if self._sleeping:
                self._sleeping = False
                self._children.reap()
                self._tell_ends()
                self._tell_keeper(f"asleep {rest['left']}")
        else:
            super().tell(what, **rest)

    def _tell_keeper(self, said: str) -> None:
        self._orders.setblocking(True)  # it reads all
        try:
            self._orders.send(said.encode())
        except OSError:
            os._exit(1)
        finally:
            self._orders.setblocking(False)


def main(door: socket.socket, orders: int, execute: Execute, program: Program) -> NoReturn:
    """Run the warden in this fork of a keeper, which is process 1.

    Args:
        door: a bound socket.
        orders: descriptor of the socket to the keeper.
        execute: how a fork becomes a server.
        program: the first one.
    """
    os.chdir("/")
    try:
        warden = TendingWarden(door, socket.socket(fileno=orders), execute)
    except private_directory.NoPlace as error:
        os.write(program.report, f"warden {error.errno}".encode())
        os._exit(1)
    warden.start(1, program)
    warden.run()
    os._exit(1)
