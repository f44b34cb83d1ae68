"""Which rendezvous a kernel gets.

``auto`` takes the first line that fits:

=====================================================  ======================================
the kernelspec                                         rendezvous
=====================================================  ======================================
``metadata.moorage.rendezvous`` names one              that one
``metadata.handshake`` is true                         handshake
it is ark                                              handshake, posit dialect
``kernel_protocol_version`` is 5.6 or newer            handshake, docs dialect
it is xeus-python or xeus-r                            handshake, docs dialect
it is ipykernel or built on its application class      ipc, or self-bind where there is none
anything else on libzmq                                hold
=====================================================  ======================================

Which kind a kernel is, :mod:`moorage.kinds` knows by its program or module: what the command itself starts.
``docker run``, ``ssh`` and ``conda run`` with ``-m ipykernel_launcher`` among their arguments are something
else on libzmq.

``metadata.handshake: false`` rules the handshake out, and ``metadata.moorage.dialect`` names the dialect. A
kernel that was to register and did not is started once more by what fits it otherwise, and remembered.
Where Unix sockets cannot be used, ports are held instead. Where the kernel runs, whose it is and what its
clients expect can rule a way out (:data:`EXCLUDED`). :func:`decide` puts all of it together.

5.6, not 5.5 as in JEP 66: ipykernel 7.2 has 5.5 and does not register.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any, Literal, Protocol, get_args

from moorage.errors import LaunchError, UsageError
from moorage.json_types import JsonMapping
from moorage.kinds import Kind
from moorage.rendezvous.base import LOOPBACK, Choice, Rendezvous, Way
from moorage.rendezvous.hold import HoldRendezvous
from moorage.rendezvous.ipc import IpcRendezvous
from moorage.rendezvous.memory import memory
from moorage.rendezvous.self_bind import SelfBindRendezvous
from moorage.wire.registration import Dialect

Condition = Literal["own network", "another user", "fixed addresses", "ports alone", "sockets alone"]
"""What bears on the choice beside the kernel itself:

- ``own network``: it has a network of its own, and TCP does not lead there;
- ``another user``: it is that user's, so nothing is read from what it writes;
- ``fixed addresses``: they are to be known before it starts: some were named, or what is said is encrypted;
- ``ports alone``: its clients expect TCP;
- ``sockets alone``: the path of its Unix sockets was named.
"""

EXCLUDED: Mapping[Condition, frozenset[Way]] = {
    "own network": frozenset({"handshake", "self-bind", "hold"}),
    "another user": frozenset({"handshake", "self-bind"}),
    "fixed addresses": frozenset({"handshake", "self-bind"}),
    "ports alone": frozenset({"ipc"}),
    "sockets alone": frozenset({"handshake", "self-bind", "hold"}),
}
"""Which ways each rules out. What is left of those that suit a kernel is taken; else ports are held."""

_REFUSED: Mapping[Condition, tuple[str, str, str]] = {
    "own network": (
        "with isolation",
        "TCP does not lead into a network namespace, Unix sockets do",
        "Leave --rendezvous out, or choose ipc",
    ),
    "another user": ("for a kernel of another user", "", "Leave --rendezvous out, or choose ipc or hold"),
    "fixed addresses": (
        "with the address this kernel was given",
        "",
        "Leave out MoorageProvisioner.rendezvous, or the address, or the encryption",
    ),
}


class DescribedKernel(Protocol):
    """What is looked at: a kernelspec."""

    @property
    def argv(self) -> Sequence[str]:
        """Its command."""
        ...

    @property
    def display_name(self) -> str:
        """What it is called."""
        ...

    @property
    def kind(self) -> Kind:
        """What is known about kernels of its kind."""
        ...

    @property
    def metadata(self) -> JsonMapping:
        """What else its author has written."""
        ...

    @property
    def protocol_version(self) -> str:
        """The version of Jupyter's protocol that it names; empty where it names none."""
        ...

    @property
    def resource_dir(self) -> Path | None:
        """The folder of its kernel.json, where there is one."""
        ...


def dialect_of(kernel: DescribedKernel) -> Dialect:
    """Return the dialect in which a kernel registers, if it does."""
    named = _ours(kernel).get("dialect")
    if named in ("docs", "posit"):
        return "posit" if named == "posit" else "docs"
    return kernel.kind.dialect


def decide(
    kernel: DescribedKernel, wanted: Choice = "auto", given: Collection[Condition] = ()
) -> tuple[Way, ...]:
    """Return how to agree with a kernel: the first way, and what to try should that one fail.

    The second is tried where the first was a handshake and the kernel does not register after all, or ipc and
    no Unix sockets can be had.

    Args:
        kernel: its kernelspec.
        wanted: ``auto``, or one that the caller insists on.
        given: what else bears on it.

    Raises:
        UsageError: the one insisted on cannot work here, with this kernel or under these conditions.
    """
    if "sockets alone" in given:
        return ("ipc",)
    if wanted != "auto":
        insist(wanted, kernel.kind, given, PurePath(kernel.argv[0]).name if kernel.argv else "")
        return (wanted,)
    named: Any = _ours(kernel).get("rendezvous")
    named = named if named in get_args(Way) else None
    suits = _suits(kernel) if named is None else (named,)
    excluded = frozenset[Way]().union(*(EXCLUDED[each] for each in given))
    kept = tuple(way for way in suits if way not in excluded)
    if not kept or "ipc" in excluded.intersection(suits):
        kept += ("ipc" if "hold" in excluded else "hold",)
    # A second try would write where the other user has been let in.
    spare = named is None and sys.platform == "linux" and "another user" not in given
    return (*kept, "hold") if spare and kept[-1] == "ipc" and "hold" not in excluded else kept


def insist(wanted: Choice, kind: Kind, given: Collection[Condition] = (), program: str = "") -> None:
    """Make sure that a rendezvous which the caller insists on can work.

    Args:
        wanted: it; nothing is insisted on by ``auto``.
        kind: of the kernel.
        given: what else bears on it. ``ports alone`` does not: the caller knows its clients.
        program: what the kernel's command starts, for the message.

    Raises:
        UsageError: it cannot work on this system, with this kernel or under these conditions.
    """
    if wanted == "self-bind" and not kind.application:
        raise UsageError(
            f"{program or 'an empty command'} cannot use the self-bind rendezvous",
            why="Only ipykernel and kernels built on it write the ports they chose into their file",
            do="Use --rendezvous hold, or leave it out",
        )
    if wanted == "ipc" and kind.short_addresses:
        raise UsageError(
            f"{program} cannot use the ipc rendezvous",
            why="xeus reads its own address back into 31 bytes, and the private directory's is longer",
            do="Leave --rendezvous out",
        )
    if wanted == "hold" and sys.platform != "linux":
        raise UsageError("the hold rendezvous is known to work on Linux only", do="Leave --rendezvous out")
    for condition, (with_what, why, do) in _REFUSED.items():
        if condition in given and wanted in EXCLUDED[condition]:
            raise UsageError(f"the {wanted} rendezvous cannot be used {with_what}", why=why, do=do)


def _suits(kernel: DescribedKernel) -> tuple[Way, ...]:
    """Return what suits a kernel where nothing else bears on it."""
    otherwise: Way = "hold"
    if kernel.kind.application:
        otherwise = "ipc" if os.name == "posix" else "self-bind"
    if not registers(kernel):
        return (otherwise,)
    match memory().recall(known_as(kernel)):
        case "registers":
            return ("handshake",)
        case "does not register":
            return (otherwise,)
        case "unknown":
            return ("handshake", otherwise)


def known_as(kernel: DescribedKernel) -> tuple[str, ...]:
    """Return the words by which it is remembered what became of a handshake with a kernel.

    Its command is among them and its kernel.json, with the time of its last change: one that was mended is
    tried anew.
    """
    changed = ""
    if kernel.resource_dir is not None:
        with suppress(OSError):
            status = (Path(kernel.resource_dir) / "kernel.json").stat()
            changed = f"{status.st_mtime_ns} {status.st_size}"
    said = json.dumps(kernel.metadata, sort_keys=True, default=repr)
    return (*kernel.argv, kernel.protocol_version, said, changed)


def registers(kernel: DescribedKernel) -> bool:
    """Tell whether a kernelspec says, or its program is known for it, that the kernel registers."""
    said = kernel.metadata.get("handshake")
    if isinstance(said, bool):
        return said
    known = kernel.kind.registers
    return known or _version(kernel.protocol_version) >= (5, 6)


def make(
    way: Way,
    directory: Path,
    key: bytes,
    kernel_name: str,
    kernel: DescribedKernel | None = None,
    *,
    ip: str = LOOPBACK,
    registration_ip: str | None = None,
    mount: Path | None = None,
) -> Rendezvous:
    """Prepare the rendezvous for one kernel, in a running loop.

    Args:
        way: which.
        directory: an existing private directory for this kernel alone.
        key: signing key.
        kernel_name: recorded in the connection file.
        kernel: its kernelspec, for what is particular to it.
        ip: the address at which the kernel listens by TCP.
        registration_ip: the address of this machine at which it registers; None for the same.
        mount: the path by which it sees the directory; None for the same.

    Raises:
        LaunchError: ports or paths cannot be had.
    """
    try:
        if way == "ipc":
            return IpcRendezvous(directory, key, kernel_name, mount=mount)
        if way == "handshake":
            from moorage.rendezvous.handshake import HandshakeRendezvous  # noqa: PLC0415 - few kernels need it

            dialect = "docs" if kernel is None else dialect_of(kernel)
            return HandshakeRendezvous(
                directory, key, kernel_name, dialect=dialect, ip=ip, registration_ip=registration_ip
            )
        made = HoldRendezvous if way == "hold" else SelfBindRendezvous
        return made(directory, key, kernel_name, ip)
    except OSError as error:
        raise LaunchError(
            f"no connection file can be written in {directory}",
            why=error.strerror or str(error),
            do="Make room there, or set XDG_RUNTIME_DIR or TMPDIR to another folder of yours",
        ) from error


def _ours(kernel: DescribedKernel) -> JsonMapping:
    found = kernel.metadata.get("moorage")
    return found if isinstance(found, Mapping) else {}


def _version(text: str) -> tuple[int, ...]:
    """Read ``5.6`` or ``5.6.0``; () for what is no version."""
    return tuple(int(part) for part in re.findall(r"\d{1,9}", text.partition("+")[0].partition("-")[0]))
