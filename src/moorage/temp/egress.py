"""The network of servers behind walls: a port of each one's own loopback is a proxy to the hosts of a list.

The port is a socket that was made in there and is answered here (:mod:`moorage.process.netns.listener`). So
nothing of it runs or lies within reach of a visitor, and what comes by it is one visitor's. It ends with this
process; the service that takes a server over makes it anew. docs/design/0026-egress.md.
"""
# ruff: noqa: E402 - keepers, which servers need, are not there on Windows

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

assert sys.platform != "win32", "walls need namespaces"

from moorage.errors import LaunchError
from moorage.plan.egress import NOWHERE, PROXY_PORT, ROOM_PART, EgressList, may_open
from moorage.plan.visits import OfferName, ServerId
from moorage.process import netns
from moorage.proxy.forwarding import Forwarder
from moorage.proxy.limits import DescriptorBudget
from moorage.tasks import in_thread, reaped, result_of
from moorage.wire.temp_admin import ServerEgress

log = logging.getLogger("moorage.temp")

LISTENER = Path(netns.__path__[0]) / "listener.py"
_PATIENCE = 30.0
"""Seconds that making a socket may take; 0.1 is much."""
_TOLD = 10
"""Hosts whose refusal is in the log, for each server; the others are counted."""


class Egress:
    """Leads the servers of one service to hosts.

    Args:
        budget: of the descriptors of this process.
        tasks: where each server has a task.

    Attributes:
        allowed: which hosts the servers of each offer may reach; what it says holds at once.
    """

    def __init__(self, budget: DescriptorBudget, tasks: asyncio.TaskGroup) -> None:
        self.allowed: Mapping[OfferName, EgressList] = {}
        self._budget, self._tasks = budget, tasks
        self._doors: dict[ServerId, tuple[_Door, asyncio.Task[None]]] = {}
        self._change = asyncio.Event()

    @property
    def wanted(self) -> bool:
        """Whether there are servers that may reach hosts, or there will be."""
        return bool(self._doors) or any(self.allowed.values())

    @property
    def left(self) -> int:
        """How many descriptors their connections may take beside those that they have."""
        return max(0, 2 * self._free) if self.wanted else 0

    @property
    def _free(self) -> int:
        return self._budget.limit // ROOM_PART - self._budget.kinds["forward"] // 2

    async def begin(self, server: ServerId, offer: OfferName, pid: int | None) -> None:
        """Have a server reach the hosts of its offer, where there are any; return when it does, or cannot.

        Args:
            server: its name.
            offer: that it is of.
            pid: of a process behind its walls; None where it has none.

        Cancelling leaves what :meth:`gone` ends.
        """
        if pid is None or not self.allowed.get(offer):
            return
        door = _Door(server, Forwarder(lambda: self.allowed.get(offer, NOWHERE)))
        door.forwarder.refused = door.tell
        self._doors[server] = door, self._tasks.create_task(self._run(door, pid))
        await door.tried.wait()

    def gone(self, server: ServerId) -> None:
        """End what a server that has ended has open."""
        if (found := self._doors.pop(server, None)) is not None:
            found[1].cancel()

    def use(self, server: ServerId) -> ServerEgress | None:
        """Return what the connections of a server have done; None where it may reach nothing."""
        if (found := self._doors.get(server)) is None:
            return None
        door, use = found[0], found[0].forwarder.use
        return ServerEgress(door.open, use.opened, use.refused, use.sent, use.received)

    def look(self) -> None:
        """Look again at what waits for room."""
        self._change.set()
        self._change = asyncio.Event()

    async def _run(self, door: _Door, pid: int) -> None:
        """Answer what connects to a server's port, for as long as the server runs."""
        try:
            with await listening_inside(pid) as listener:
                door.tried.set()
                async with asyncio.TaskGroup() as tasks:
                    await self._accept(door, listener, tasks)
        except LaunchError as error:
            log.warning("Server %s reaches no network: %s", door.server, error.why)
        except Exception:
            log.exception("Server %s reaches no network any more", door.server)
        finally:
            door.tried.set()

    async def _accept(self, door: _Door, listener: socket.socket, tasks: asyncio.TaskGroup) -> None:
        """Take one connection more when there is room for it: what else comes waits in the system."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:  # none are left, or it has gone: the next look finds out
                log.warning("Server %s waits for a connection to a host: %s", door.server, error)
                await self._change.wait()
                continue
            try:
                connection.setblocking(False)
                while not (may_open(door.open, self._free) and self._budget.has_room(2, pages=True)):
                    await self._change.wait()
            except BaseException:
                connection.close()
                raise
            self._count(door, 1)
            tasks.create_task(self._forward(door, connection)).add_done_callback(
                lambda _: self._count(door, -1)
            )

    async def _forward(self, door: _Door, connection: socket.socket) -> None:
        try:
            with connection:
                await door.forwarder.forward(connection)
        except Exception:
            log.exception("A connection of server %s to a host failed unexpectedly", door.server)

    def _count(self, door: _Door, connections: int) -> None:
        door.open += connections
        self._budget.kinds["forward"] += 2 * connections
        self.look()


class _Door:
    """The port of one server.

    Attributes:
        open: how many connections there are.
        tried: whether it is there, or cannot be.
    """

    def __init__(self, server: ServerId, forwarder: Forwarder) -> None:
        self.server, self.forwarder = server, forwarder
        self.open = 0
        self.tried = asyncio.Event()
        self._told: set[str] = set()

    def tell(self, refusal: str) -> None:
        """Write down what was refused, each host once, and not for ever: a visitor says what they are."""
        if len(self._told) < _TOLD and refusal not in self._told:
            self._told.add(refusal)
            rest = ", and the log is silent on others that it asks for" if len(self._told) == _TOLD else ""
            log.info("Server %s is refused: %s%s", self.server, refusal, rest)


async def listening_inside(pid: int, port: int = PROXY_PORT) -> socket.socket:
    """Return a socket, not blocking, that listens on a port of another process's own loopback.

    Args:
        pid: of the process.
        port: of its network namespace.

    Raises:
        LaunchError: the process has no network of its own, has ended, or the port is taken.

    Cancelling waits until what has been made is closed.
    """
    making = in_thread(partial(_made_inside, pid, port), name="listen behind walls")
    try:
        return await result_of(making)
    except asyncio.CancelledError:
        try:
            await reaped(making)
        finally:
            if making.exception() is None:
                making.result().close()
        raise


def _made_inside(pid: int, port: int) -> socket.socket:
    what = f"no proxy listens at port {port} behind walls"
    words = [sys.executable, "-I", "-S", "-E", str(LISTENER), str(pid), str(port)]
    try:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            done = subprocess.run(
                words, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                timeout=_PATIENCE, check=False, env={"PATH": os.defpath}, cwd="/",
            )  # fmt: skip
            theirs.close()
            _, sent, _, _ = socket.recv_fds(ours, 64, 1)
    except (OSError, subprocess.SubprocessError) as error:
        raise LaunchError(what, why=str(error)) from error
    if not sent:
        raise LaunchError(what, why=done.stderr.strip().rpartition("\n")[2] or "It ended without a word")
    made = socket.socket(fileno=sent[0])
    made.setblocking(False)
    return made
