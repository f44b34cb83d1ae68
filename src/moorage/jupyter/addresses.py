"""Where a kernel manager's kernel listens: agreed on race-free, written into the manager, kept over restarts.

jupyter_client's manager is made to choose the addresses itself. So what a rendezvous has chosen is set as if
the manager's caller had requested it, and the manager writes its connection file, with all that it adds.
Where a kernel sees its addresses otherwise than its clients do, it is given a file of its own.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from jupyter_client.manager import KernelManager

from moorage.discovery.kernelspec import KernelSpec
from moorage.json_types import JsonObject
from moorage.jupyter.listening import accepts, greets, sockets, tried
from moorage.jupyter.requested import Requested, set_addresses
from moorage.kernel.deadline import Deadline
from moorage.kernel.portal import Portal
from moorage.places.base import Agreement, Place, Workspace, found_here
from moorage.places.here import Here
from moorage.process.environment import changed
from moorage.process.kernel_directory import Owner
from moorage.process.local import shared_warden
from moorage.rendezvous.base import LOOPBACK, Choice, Way
from moorage.rendezvous.files import write_connection_file
from moorage.rendezvous.hold import HoldRendezvous, hold_port
from moorage.wire.connection import PORTS, SOCKETS, ConnectionInfo, Endpoint

_PATIENCE = 60.0
"""Seconds that a place may take for what comes before a kernel's process."""


@dataclass(frozen=True)
class Asked:
    """What kernel is to be agreed with, where and how.

    Attributes:
        kernel: its kernel type.
        place: where it runs.
        way: how to agree.
        wanted: the configured rendezvous.
    """

    kernel: KernelSpec
    place: Place
    way: Way
    wanted: Choice


class Addresses:
    """The agreement between one manager and its kernel, from the first start to the last shutdown.

    Attributes:
        workspace: what the kernel has of its place.
        listens: ports inside it at which the kernel will listen, as far as a way has to be led to them.
    """

    def __init__(
        self,
        portal: Portal,
        requested: Requested,
        asked: Asked,
        block: AbstractAsyncContextManager[object],
        workspace: Workspace,
        agreement: Agreement | None,
    ) -> None:
        """Made by :func:`agree`."""
        self.workspace = workspace
        self.listens = () if agreement is None else agreement.listens
        self._owner = _owner(asked.place)
        self._portal = portal
        self._requested = requested
        self._asked = asked
        self._here = isinstance(asked.place, Here)
        self._block = block
        self._agreement = agreement
        self._inside: ConnectionInfo | None = None
        self._info: ConnectionInfo | None = None
        self._own_file: Path | None = None
        self._held: dict[int, socket.socket] = {}
        self._guarded: list[Path] = []

    @property
    def file(self) -> Path | None:
        """The connection file of a kernel that its manager's is not for, as the kernel sees it.

        None where the manager knows the addresses before the kernel starts, and the kernel reads the same
        file.
        """
        if self._agreement is None or (self._here and self._info is not None):
            return None
        return self._agreement.connection_file

    @property
    def settled(self) -> bool:
        """Whether the kernel is told where to listen, and does not tell it."""
        return self._info is not None or self._way in (None, "hold", "ipc")

    def obstacle(self, place: Place) -> str:
        """Return why they cannot be those of the kernel's next process, or an empty string.

        Args:
            place: where that is to run.
        """
        if not self.workspace.directory.is_dir():  # a warden that was killed takes it along
            return "its private directory is gone"
        return "" if _owner(place) == self._owner else "another user cannot use the former ones"

    def file_of_its_own(self, manager: KernelManager) -> Path | None:
        """Return the connection file for a kernel that cannot use the one its manager has written.

        That of another user cannot read it, and one in a network namespace has other addresses. None for
        every other kernel.

        Raises:
            OSError: it cannot be written.
        """
        if self._owner is None and self._inside == self._info:
            return None
        if self._own_file is None:  # once: from then on what is there is another user's doing
            file = self.workspace.directory / "kernel.json"
            content = json.loads(Path(manager.connection_file).read_bytes())
            if self._inside is not None:
                content |= {name: getattr(self._inside, name) for name in ("transport", "ip", *PORTS)}
            write_connection_file(file, content)
            self._own_file = file
        return self._own_file

    async def prepare(self, manager: KernelManager, given: Mapping[str, str] | None) -> Mapping[str, str]:
        """Prepare for a process, which may bind what is held, and return its environment.

        The manager's transport, address and ports are set; what it calls random ports are none.

        Args:
            manager: the kernel's.
            given: the environment that its caller wants, by what this process has; None for that.

        Raises:
            LaunchError, OSError: the kernel's file cannot be written any more.
            DeadlineExceeded: the place does not do its part.
        """
        work = self._prepared(given)
        # This machine has nothing that belongs to a loop; another place may have connections.
        around = await (work if self._here else self._portal.reach(work))
        if self._info is not None:
            ports = {name: getattr(self._info, name) for name in PORTS}
            set_addresses(manager, self._info.transport, self._info.ip, ports)
        # Else a restarter would ask for new ones and cut off every connected client.
        manager._random_port_names = []  # noqa: SLF001 - there is no other way to say so
        return around

    async def chosen(self) -> JsonObject:
        """Wait for the addresses a kernel chooses; returns the connection information that the manager takes.

        In the portal's loop. Cancelling is safe.

        Raises:
            LaunchError: no way leads to them.
        """
        assert self._agreement is not None
        named = {name: port for name, port in self._requested.ports.items() if port > 0}
        self._inside = replace(await self._agreement.rendezvous.addresses(), **named)  # type: ignore[arg-type]  # ports all
        self._info = info = await found_here(self.workspace, self._inside)
        self._hold(info, list(named.values()))
        ports = {name: getattr(info, name) for name in PORTS}
        key, scheme = info.key, info.signature_scheme
        return {"transport": info.transport, "ip": info.ip, "key": key, "signature_scheme": scheme, **ports}

    async def listening(self, manager: KernelManager) -> bool:
        """Wait until a process listens at every address. In the portal's loop; cancelling is safe."""
        ports = [int(getattr(manager, name)) for name in PORTS]
        if self._info is not None and (not self._here or self._info != self._inside):
            for name in SOCKETS:
                await tried(greets, self._info.endpoint(name))
        elif manager.transport == "ipc":
            await sockets([Path(f"{manager.ip}-{port}") for port in ports])
        else:
            ip = LOOPBACK if manager.ip == "0.0.0.0" else manager.ip  # noqa: S104 - asked for
            for port in ports:
                await tried(accepts, Endpoint("tcp", ip, port))
        if self._agreement is not None:
            self._agreement.rendezvous.answered()
        return True

    def hold(self) -> None:
        """Hold what the kernel itself had chosen, now that it is gone, for its next process."""
        if self._info is not None and self._way != "hold":
            self._hold(self._info, [getattr(self._info, name) for name in PORTS])

    @property
    def _way(self) -> Way | None:
        """The rendezvous; None where every address was requested."""
        return self._agreement.rendezvous.way if self._agreement else None

    async def _prepared(self, given: Mapping[str, str] | None) -> Mapping[str, str]:
        # One that has registered keeps its addresses: its next process is told them.
        if self._agreement is not None and self._way != "handshake":
            self._agreement.rendezvous.renew()
        # Elsewhere the way to them may be led only when the kernel has a process.
        if self._here and self._agreement is not None and self._info is None and self.settled:
            await self.chosen()
        base = changed(self.workspace.environment, _changes(given))
        async with _in_time(self._asked):
            return await self.workspace.enter(self._asked.kernel, base)

    def _hold(self, info: ConnectionInfo, ports: Sequence[int]) -> None:
        if not self._here or info.transport != "tcp":
            return
        for port in set(ports) - self._held.keys():
            # One that a child of the kernel or a faster process uses is reported by the next kernel.
            with suppress(OSError):
                self._held[port] = hold_port(info.ip, port)

    async def guard(self, manager: KernelManager) -> None:
        """Have the warden delete the manager's connection file should this process be killed.

        Called once the file is written; one in the private directory is deleted with that anyway.
        """
        path = Path(manager.connection_file or "")
        if path.is_file() and path not in self._guarded:  # noqa: ASYNC240 - one look, as the manager writes it
            self._guarded.append(path)
            await self._portal.reach(_guard(path, guarded=True))

    async def end(self, manager: KernelManager) -> None:
        """Release all addresses, end what is left in the workspace, and set the manager's as they were."""
        while self._guarded:
            await self._portal.reach(_guard(self._guarded.pop(), guarded=False))
        while self._held:
            self._held.popitem()[1].close()
        await self._portal.step_out(self._block)
        self._requested.restore(manager)


async def agree(portal: Portal, manager: KernelManager, requested: Requested, asked: Asked) -> Addresses:
    """Prepare the rendezvous of a manager's kernel.

    Args:
        portal: in its loop the kernel's workspace is open.
        manager: a jupyter_client.KernelManager.
        requested: what its caller requested.
        asked: the kernel, its place and how to agree.

    Raises:
        LaunchError: ports or paths cannot be had, or the place has no workspace to give.
        DeadlineExceeded: the place does not do its part.
    """
    block = _opened(requested, asked, manager.session.key)
    workspace, agreement = await portal.step_in(block)
    return Addresses(portal, requested, asked, block, workspace, agreement)


@asynccontextmanager
async def _opened(
    requested: Requested, asked: Asked, key: bytes
) -> AsyncIterator[tuple[Workspace, Agreement | None]]:
    """Own the kernel's workspace and the rendezvous in it."""
    async with AsyncExitStack() as stack:
        async with _in_time(asked):
            workspace = await stack.enter_async_context(asked.place.open())
            agreement = await _agreed(workspace, requested, asked, key)
        try:
            yield workspace, agreement
        finally:
            if agreement is not None:
                agreement.rendezvous.close()


def _owner(place: Place) -> Owner:
    return place.owner() if isinstance(place, Here) else None


async def _agreed(workspace: Workspace, requested: Requested, asked: Asked, key: bytes) -> Agreement | None:
    if requested.path:
        return None
    if isinstance(asked.place, Here) and asked.way == "hold" and requested.ip != LOOPBACK:
        held = HoldRendezvous(workspace.directory, key, asked.kernel.called, ip=requested.ip)
        return Agreement(held, held.connection_file)
    return await workspace.agree(asked.way, asked.kernel, asked.wanted, key)


def _in_time(asked: Asked) -> AbstractAsyncContextManager[None]:
    """Cancel what a place does in the block when it takes too long."""
    kernel = asked.kernel.kernel_type
    return Deadline(_PATIENCE, kernel).covering(
        f"{asked.place.name} was not ready for the kernel {kernel}",
        why="It neither did what was asked of it nor refused to",
        do="See whether it can be reached",
    )


def _changes(given: Mapping[str, str] | None) -> dict[str, str | None]:
    """Return by what an environment differs from this process's, but for the name of the kernel's parent."""
    if given is None:
        return {}
    gone: dict[str, str | None] = {name: None for name in os.environ if name not in given}
    found = gone | {name: value for name, value in given.items() if os.environ.get(name) != value}
    found.pop("JPY_PARENT_PID", None)
    return found


async def _guard(path: Path, *, guarded: bool) -> None:
    async with shared_warden() as warden:
        if guarded:
            warden.guard(path)
        else:
            warden.unguard(path)
