"""What addresses the caller of a kernel manager requested, and which of them its kernel's place can give."""

from __future__ import annotations

from dataclasses import dataclass

from jupyter_client.manager import KernelManager
from jupyter_client.multikernelmanager import MultiKernelManager

from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import UsageError
from moorage.places.base import Place
from moorage.places.here import Here
from moorage.rendezvous.base import LOOPBACK, Choice, Way
from moorage.rendezvous.choice import EXCLUDED, Condition, decide
from moorage.wire.connection import PORTS

_SCHEME = "hmac-sha256"


@dataclass(frozen=True)
class Requested:
    """What a manager's caller requested, before any address is chosen.

    Attributes:
        transport, ip: as the manager has them.
        ports: by trait name; 0 for those that moorage chooses.
        said: a transport, an address or a port was requested.
        tcp: ports were requested, or other clients will expect them.
        path: the path of its Unix sockets was requested.
    """

    transport: str
    ip: str
    ports: dict[str, int]
    said: bool
    tcp: bool
    path: bool

    @classmethod
    def of(cls, manager: KernelManager) -> Requested:
        """Read it off a manager that has not started its kernel yet."""
        section = manager._find_my_config(manager.config)  # noqa: SLF001 - whether it was configured
        ports = {name: int(getattr(manager, name)) for name in PORTS}
        ip_default = manager._ip_default()  # noqa: SLF001 - likewise
        named = manager.ip != ip_default or any(port > 0 for port in ports.values())
        said = named or manager.transport != "tcp" or "transport" in section or "ip" in section
        # A server's kernels are what others attach to, some of them through tunnels: they stay where
        # the server shows them. A tool's own kernel has no other client.
        served = isinstance(manager.parent, MultiKernelManager)
        return cls(
            transport=manager.transport,
            ip=manager.ip,
            ports=ports,
            said=said,
            tcp=manager.transport == "tcp" and (said or served),
            path=manager.transport == "ipc" and (named or "ip" in section),
        )

    def restore(self, manager: KernelManager) -> None:
        """Set the manager's addresses as they were."""
        set_addresses(manager, self.transport, self.ip, self.ports)

    def ways(
        self, manager: KernelManager, kernel: KernelSpec, wanted: Choice, place: Place
    ) -> tuple[Way, ...]:
        """Return how to agree with the kernel: the first way, and what to try should that one fail.

        Args:
            manager: the kernel's.
            kernel: its kernel type.
            wanted: the configured rendezvous.
            place: where it runs.

        Raises:
            UsageError: the configured rendezvous cannot work, or what was requested cannot be had there.
        """
        if self.said and (not isinstance(place, Here) or (place.isolate == "net" and self.tcp)):
            raise UsageError(
                f"the kernel type {kernel.kernel_type} cannot listen where its manager says",
                why=f"It runs on {place.name}, and is led to from here",
                do="Leave out the manager's transport, ip and ports",
            )
        if not isinstance(place, Here):
            return self._ways_elsewhere(manager, kernel, wanted, place)
        given: dict[Condition, bool] = {
            "sockets alone": self.transport == "ipc",
            "ports alone": self.tcp,
            "fixed addresses": not self._may_choose(manager),
        }
        return decide(kernel, wanted, {name for name, true in given.items() if true} | place.conditions())

    def _ways_elsewhere(
        self, manager: KernelManager, kernel: KernelSpec, wanted: Choice, place: Place
    ) -> tuple[Way, ...]:
        """Return those of a place's ways in which a kernel keeps its addresses over restarts, if it has any.

        A manager's clients do not move with its kernel.
        """
        if _encrypted(manager):
            raise UsageError(
                f"the messages of the kernel type {kernel.kernel_type} cannot be encrypted",
                why=f"It runs on {place.name}, where it does not read its manager's connection file",
                do="Leave transport_encryption out",
            )
        unwanted = EXCLUDED["fixed addresses"] | (EXCLUDED["ports alone"] if self.tcp else frozenset())
        ways = place.ways(kernel, wanted)
        return tuple(way for way in ways if way not in unwanted) or ways

    def _may_choose(self, manager: KernelManager) -> bool:
        """Whether nothing was requested that a kernel which chooses its own ports cannot have."""
        return (
            self.ip == LOOPBACK
            and not any(self.ports.values())
            and manager.session.signature_scheme == _SCHEME
            and bool(manager.session.key)
            and getattr(manager, "transport_encryption", "disabled") == "disabled"
        )


def set_addresses(manager: KernelManager, transport: str, ip: str, ports: dict[str, int]) -> None:
    """Set a manager's addresses as if its caller had requested them."""
    manager.transport, manager.ip = transport, ip
    for name, port in ports.items():
        setattr(manager, name, port)


def _encrypted(manager: KernelManager) -> bool:
    policy = getattr(manager, "transport_encryption", "disabled")
    return policy == "required" or (policy == "auto" and manager._kernel_supports_curve_encryption())  # noqa: SLF001 - its own answer
