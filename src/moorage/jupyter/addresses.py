"""Where a kernel manager's kernel listens: agreed on race-free, written into the manager, kept over restarts.

jupyter_client's manager is made to choose the addresses itself. So what a rendezvous has chosen is set as if
the manager's caller had requested it, and the manager writes its connection file, with all that it adds.
"""

from __future__ import annotations

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from jupyter_client.manager import KernelManager
from jupyter_client.multikernelmanager import MultiKernelManager

from moorage.errors import UsageError
from moorage.json_types import JsonObject
from moorage.kernel.portal import Portal
from moorage.places.here import ways_for
from moorage.process.kernel_directory import Owner, hand_over, private_directory
from moorage.process.local import shared_warden
from moorage.rendezvous.base import Choice, Rendezvous, Way
from moorage.rendezvous.choice import DescribedKernel, check, make, spare, ways
from moorage.rendezvous.files import write_connection_file
from moorage.rendezvous.hold import HoldRendezvous, hold_port
from moorage.rendezvous.watch import DirectoryWatch
from moorage.wire.connection import PORTS, ConnectionInfo

# Seconds between two tries to connect to a kernel at the ports in its file, at first and at most.
_SOON, _LATER = 0.005, 0.1
_SCHEME = "hmac-sha256"


@dataclass(frozen=True)
class Requested:
    """What a manager's caller requested, before any address is chosen.

    Attributes:
        transport, ip: as the manager has them.
        ports: by trait name; 0 for those that moorage chooses.
        tcp: ports were requested, or other clients will expect them.
        path: the path of its Unix sockets was requested.
    """

    transport: str
    ip: str
    ports: dict[str, int]
    tcp: bool
    path: bool

    @classmethod
    def of(cls, manager: KernelManager) -> Requested:
        """Read it off a manager that has not started its kernel yet."""
        section = manager._find_my_config(manager.config)  # noqa: SLF001 - whether it was configured
        ports = {name: int(getattr(manager, name)) for name in PORTS}
        ip_default = manager._ip_default()  # noqa: SLF001 - likewise
        named = manager.ip != ip_default or any(port > 0 for port in ports.values())
        # A server's kernels are what others attach to, some of them through tunnels: they stay where
        # the server shows them. A tool's own kernel has no other client.
        served = isinstance(manager.parent, MultiKernelManager)
        return cls(
            transport=manager.transport,
            ip=manager.ip,
            ports=ports,
            tcp=manager.transport == "tcp" and (named or served or "transport" in section or "ip" in section),
            path=manager.transport == "ipc" and (named or "ip" in section),
        )

    def restore(self, manager: KernelManager) -> None:
        """Set the manager's addresses as they were."""
        _set(manager, self.transport, self.ip, self.ports)

    def choices(
        self, manager: KernelManager, kernel: DescribedKernel, wanted: Choice, owner: Owner
    ) -> tuple[Way, ...]:
        """Return how to agree with the kernel: the first, and what to try should it not register after all.

        Args:
            manager: the kernel's.
            kernel: its kernelspec.
            wanted: the configured rendezvous.
            owner: the user whose kernel it is; None where it is ours.

        Raises:
            UsageError: the configured rendezvous cannot work.
        """
        if self.transport == "ipc":
            return ("ipc",)
        check(kernel.argv, wanted)
        found = ways(kernel, wanted)
        if wanted != "auto" and not self._may_choose(manager, found):
            raise UsageError(
                f"the {wanted} rendezvous cannot be used with the address this kernel was given",
                do="Leave out MoorageProvisioner.rendezvous, or the address, or the encryption",
            )
        if wanted == "auto":
            kept = tuple(way for way in found if way == "hold" or self._may_choose(manager, (way,)))
            kept = tuple(way for way in kept if way != "ipc" or not self.tcp) or ("hold",)
            return ways_for(owner, kept, wanted)
        return ways_for(owner, found, wanted)

    def fallback(self, kernel: DescribedKernel, wanted: Choice, tries: Sequence[Way]) -> tuple[Way, ...]:
        """Return how to agree where Unix sockets cannot be used; nothing where they were requested."""
        return () if self.transport == "ipc" else spare(kernel, wanted, tries)

    def _may_choose(self, manager: KernelManager, found: Sequence[Way]) -> bool:
        """Whether nothing was requested that a kernel which chooses its own ports cannot have."""
        if not set(found) & {"handshake", "self-bind"}:
            return True
        return (
            self.ip == "127.0.0.1"
            and not any(self.ports.values())
            and manager.session.signature_scheme == _SCHEME
            and bool(manager.session.key)
            and getattr(manager, "transport_encryption", "disabled") == "disabled"
        )


class Addresses:
    """The agreement between one manager and its kernel, from the first start to the last shutdown."""

    def __init__(
        self,
        portal: Portal,
        requested: Requested,
        block: AbstractAsyncContextManager[object],
        directory: Path,
        chosen: Rendezvous | None,
        owner: Owner,
    ) -> None:
        """Made by :func:`agree`."""
        self._portal = portal
        self._requested = requested
        self._block = block
        self.owner = owner
        self._directory, self._chosen = directory, chosen
        self._handed_over = False
        self._info: ConnectionInfo | None = None
        self._held: dict[int, socket.socket] = {}
        self._guarded: list[Path] = []

    @property
    def file(self) -> Path | None:
        """The connection file of a kernel that has yet to choose; None when the addresses are known."""
        return self._chosen.connection_file if self._chosen and self._info is None else None

    @property
    def way(self) -> Way | None:
        """The rendezvous; None where every address was requested."""
        return self._chosen.way if self._chosen else None

    @property
    def usable(self) -> bool:
        """Whether the addresses still exist: a warden that was killed takes its directory along."""
        return self._chosen is None or self._directory.is_dir()

    def file_for_owner(self, manager: KernelManager) -> Path:
        """Return the connection file for a kernel of another user, which cannot read the manager's.

        Raises:
            OSError: the files cannot be given away; only root may.
        """
        file = self._directory / "kernel.json"
        if not self._handed_over:  # once: from then on what is there is that user's doing
            write_connection_file(file, json.loads(Path(manager.connection_file).read_bytes()))
            hand_over(self._directory, self.owner)
            self._handed_over = True
        return file

    def write_into(self, manager: KernelManager) -> None:
        """Set the manager's transport, address and ports; what it calls random ports are none.

        A process is about to be started: it may bind what is held.
        """
        if self._chosen is not None and self.way != "handshake":  # there the next process keeps its addresses
            self._chosen.renew()
        if self._info is not None:
            ports = {name: getattr(self._info, name) for name in PORTS}
            _set(manager, self._info.transport, self._info.ip, ports)
        # Else a restarter would ask for new ones and cut off every connected client.
        manager._random_port_names = []  # noqa: SLF001 - there is no other way to say so

    async def chosen(self) -> JsonObject:
        """Wait for the addresses a kernel chooses; returns the connection information that the manager takes.

        In the portal's loop. Cancelling is safe.
        """
        assert self._chosen is not None
        named = {name: port for name, port in self._requested.ports.items() if port > 0}
        self._info = info = replace(await self._chosen.addresses(), **named)  # type: ignore[arg-type]  # ports all
        self._hold(info.ip, list(named.values()))
        ports = {name: getattr(info, name) for name in PORTS}
        key, scheme = info.key, info.signature_scheme
        return {"transport": info.transport, "ip": info.ip, "key": key, "signature_scheme": scheme, **ports}

    async def listening(self, manager: KernelManager) -> bool:
        """Wait until a process listens at every address. In the portal's loop; cancelling is safe."""
        ports = [int(getattr(manager, name)) for name in PORTS]
        if manager.transport == "ipc":
            await _sockets([Path(f"{manager.ip}-{port}") for port in ports])
        else:
            for port in ports:
                await _accepting("127.0.0.1" if manager.ip == "0.0.0.0" else manager.ip, port)  # noqa: S104 - asked for
        if self._chosen is not None:
            self._chosen.answered()
        return True

    def hold(self) -> None:
        """Hold what the kernel itself had chosen, now that it is gone, for its next process."""
        if self._info is None or self._info.transport != "tcp" or self.way == "hold":
            return
        self._hold(self._info.ip, [getattr(self._info, name) for name in PORTS])

    def _hold(self, ip: str, ports: Sequence[int]) -> None:
        for port in set(ports) - self._held.keys():
            # One that a child of the kernel or a faster process uses is reported by the next kernel.
            with suppress(OSError):
                self._held[port] = hold_port(ip, port)

    async def guard(self, manager: KernelManager) -> None:
        """Have the warden delete the manager's connection file should this process be killed.

        Called once the file is written; one in the private directory is deleted with that anyway.
        """
        path = Path(manager.connection_file or "")
        if path.is_file() and path not in self._guarded:  # noqa: ASYNC240 - one look, as the manager writes it
            self._guarded.append(path)
            await self._portal.reach(_guard(path, guarded=True))

    async def end(self, manager: KernelManager) -> None:
        """Release all addresses, and set the manager's as they were."""
        while self._guarded:
            await self._portal.reach(_guard(self._guarded.pop(), guarded=False))
        while self._held:
            self._held.popitem()[1].close()
        await self._portal.step_out(self._block)
        self._requested.restore(manager)


async def agree(
    portal: Portal,
    manager: KernelManager,
    requested: Requested,
    way: Way,
    kernel: DescribedKernel,
    owner: Owner = None,
) -> Addresses:
    """Prepare the rendezvous of a manager's kernel.

    Args:
        portal: in its loop the rendezvous is prepared.
        manager: a jupyter_client.KernelManager.
        requested: what its caller requested.
        way: how to agree.
        kernel: its kernelspec.
        owner: the user whose kernel it is; None where it is ours.

    Raises:
        LaunchError: ports or paths cannot be had.
    """
    key, name = manager.session.key, manager.kernel_name

    def prepare(directory: Path) -> Rendezvous | None:
        if requested.path:
            return None
        if way == "hold":
            return HoldRendezvous(directory, key, name, ip=requested.ip)
        return make(way, directory, key, name, kernel)

    block = _private_rendezvous(prepare, owner)
    directory, chosen = await portal.step_in(block)
    agreement = Addresses(portal, requested, block, directory, chosen, owner)
    if way in ("hold", "ipc") and chosen is not None:
        await portal.reach(agreement.chosen())
    return agreement


@asynccontextmanager
async def _private_rendezvous(
    prepare: Callable[[Path], Rendezvous | None], owner: Owner
) -> AsyncIterator[tuple[Path, Rendezvous | None]]:
    """Own the private directory and the rendezvous in it."""
    async with shared_warden() as warden:
        with private_directory(warden, owner) as directory:
            chosen = prepare(directory)
            try:
                yield directory, chosen
            finally:
                if chosen is not None:
                    chosen.close()


async def _guard(path: Path, *, guarded: bool) -> None:
    async with shared_warden() as warden:
        if guarded:
            warden.guard(path)
        else:
            warden.unguard(path)


async def _sockets(paths: Sequence[Path]) -> None:
    async with DirectoryWatch(paths[0].parent) as watch:
        while not all(_is_socket(path) for path in paths):
            await watch.changed()


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


async def _accepting(ip: str, port: int) -> None:
    """Wait until connections are accepted, which no event announces: try, and try again less often."""
    pause = _SOON
    while not await _accepts(ip, port):
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await asyncio.Event().wait()
        pause = min(pause * 1.5, _LATER)


async def _accepts(ip: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(probe, (ip, port))
        except OSError:
            return False
        return True


def _set(manager: KernelManager, transport: str, ip: str, ports: dict[str, int]) -> None:
    manager.transport, manager.ip = transport, ip
    for name, port in ports.items():
        setattr(manager, name, port)
