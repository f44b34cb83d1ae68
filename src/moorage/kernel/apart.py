"""A kernel in a network namespace of its own, and its clients outside: how they meet.

Unix sockets with a path cross network namespaces, TCP does not. So ipykernel and the kernels built on it get
ipc as ever. Every other kernel listens on TCP inside, at ports that nobody else can have taken: the namespace
is new and they lie above what the system hands out. A relay leads from Unix sockets to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from moorage.errors import UsageError
from moorage.kinds import kind_of
from moorage.process.base import Isolate, Launcher
from moorage.process.kernel_directory import Owner
from moorage.process.netns.launcher import IsolatedLauncher, Relay
from moorage.rendezvous.base import Choice, Rendezvous, Way
from moorage.rendezvous.files import write_connection_file
from moorage.wire.connection import PORTS

FIRST_PORT = 61_001
"""Above the ephemeral range of a new namespace, which ends at 60999."""


def meeting_by(wanted: Choice, isolate: Isolate) -> Choice:
    """Return the rendezvous to ask for: what is wanted, but ipc where there is isolation.

    Raises:
        UsageError: the one wanted cannot cross: its addresses would mean nothing outside.
    """
    if isolate == "none":
        return wanted
    if wanted not in ("auto", "ipc"):
        raise UsageError(
            f"the {wanted} rendezvous cannot be used with isolation",
            why="TCP does not lead into a network namespace, Unix sockets do",
            do="Leave --rendezvous out, or choose ipc",
        )
    return "ipc"


def for_owner(owner: Owner, tries: tuple[Way, ...], wanted: Choice) -> tuple[Way, ...]:
    """Return the ways to agree with a kernel of another user: those in which nothing is read from its files.

    Args:
        owner: that user; None where the kernel is ours.
        tries: the ways that suit the kernel.
        wanted: what the caller insists on.

    Raises:
        UsageError: the one insisted on is none of them.
    """
    if owner is None:
        return tries
    if wanted in ("self-bind", "handshake"):
        raise UsageError(
            f"the {wanted} rendezvous cannot be used for a kernel of another user",
            do="Leave --rendezvous out, or choose ipc or hold",
        )
    return (tries[-1] if tries[-1] in ("ipc", "hold") else "hold",)


async def settled(
    isolate: Isolate, launcher: Launcher, argv: Sequence[str], wanted: Choice, meeting: Rendezvous
) -> tuple[Launcher, Path]:
    """Return who launches a kernel, and the connection file it is to be given.

    Args:
        isolate: whether it gets a namespace.
        launcher: starts processes on this machine.
        argv: the kernelspec's command.
        wanted: ``ipc`` gives any kernel Unix sockets, ``auto`` those that are known to take them.
        meeting: by ipc, where there is isolation.
    """
    file = meeting.connection_file
    if isolate == "none":
        return launcher, file
    if wanted == "ipc" or kind_of(argv).application:
        return IsolatedLauncher(launcher), file
    outside = await meeting.addresses()
    ports = {name: FIRST_PORT + number for number, name in enumerate(PORTS)}
    relay = Relay({Path(f"{outside.ip}-{getattr(outside, name)}"): ports[name] for name in PORTS})
    inside = file.with_name("inside.json")
    write_connection_file(inside, {**outside.to_dict(), **ports, "transport": "tcp", "ip": "127.0.0.1"})
    return IsolatedLauncher(launcher, relay), inside
