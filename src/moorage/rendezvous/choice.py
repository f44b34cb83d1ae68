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
Where Unix sockets cannot be used, ports are held instead (:func:`spare`).

5.6, not 5.5 as in JEP 66: ipykernel 7.2 has 5.5 and does not register.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any, Protocol, get_args

from moorage.errors import LaunchError, UsageError
from moorage.json_types import JsonMapping
from moorage.kinds import kind_of
from moorage.rendezvous.base import LOOPBACK, Choice, Rendezvous, Way
from moorage.rendezvous.hold import HoldRendezvous
from moorage.rendezvous.ipc import IpcRendezvous
from moorage.rendezvous.memory import memory
from moorage.rendezvous.self_bind import SelfBindRendezvous
from moorage.wire.registration import Dialect


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
    return kind_of(kernel.argv, kernel.display_name).dialect


def ways(kernel: DescribedKernel, wanted: Choice = "auto") -> tuple[Way, ...]:
    """Return how to agree with a kernel: the first, and what to try should it not register after all.

    Args:
        kernel: its kernelspec.
        wanted: ``auto``, or one that the caller insists on, which :func:`check` has found possible.
    """
    if wanted != "auto":
        return (wanted,)
    named: Any = _ours(kernel).get("rendezvous")
    if named in get_args(Way):
        return ways(kernel, named)
    otherwise: Way = "hold"
    if kind_of(kernel.argv).application:
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


def spare(kernel: DescribedKernel, wanted: Choice, tries: Sequence[Way]) -> tuple[Way, ...]:
    """Return what to try where Unix sockets cannot be used: held ports, unless ipc was requested.

    Args:
        kernel: its kernelspec.
        wanted: as for :func:`ways`.
        tries: what is tried before.
    """
    asked = wanted != "auto" or _ours(kernel).get("rendezvous") in get_args(Way)
    return ("hold",) if sys.platform == "linux" and not asked and tries[-1] == "ipc" else ()


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


def choose(kernel: DescribedKernel, wanted: Choice = "auto") -> Way:
    """Return how to agree with a kernel at first; see :func:`ways`.

    Raises:
        UsageError: the one insisted on cannot work on this system or with this kernel.
    """
    check(kernel.argv, wanted)
    return ways(kernel, wanted)[0]


def registers(kernel: DescribedKernel) -> bool:
    """Tell whether a kernelspec says, or its program is known for it, that the kernel registers."""
    said = kernel.metadata.get("handshake")
    if isinstance(said, bool):
        return said
    known = kind_of(kernel.argv, kernel.display_name).registers
    return known or _version(kernel.protocol_version) >= (5, 6)


def check(argv: Sequence[str], wanted: Choice) -> None:
    """Make sure that a required rendezvous can work.

    Raises:
        UsageError: it cannot work on this system or with this kernel.
    """
    if wanted == "self-bind" and not kind_of(argv).application:
        raise UsageError(
            f"{PurePath(argv[0]).name if argv else 'an empty command'} cannot use the self-bind rendezvous",
            why="Only ipykernel and kernels built on it write the ports they chose into their file",
            do="Use --rendezvous hold, or leave it out",
        )
    if wanted == "ipc" and kind_of(argv).short_addresses:
        raise UsageError(
            f"{PurePath(argv[0]).name} cannot use the ipc rendezvous",
            why="xeus reads its own address back into 31 bytes, and the private directory's is longer",
            do="Leave --rendezvous out",
        )
    if wanted == "hold" and sys.platform != "linux":
        raise UsageError("the hold rendezvous is known to work on Linux only", do="Leave --rendezvous out")


def make(
    way: Way,
    directory: Path,
    key: bytes,
    kernel_name: str,
    kernel: DescribedKernel | None = None,
    *,
    ip: str = LOOPBACK,
) -> Rendezvous:
    """Prepare the rendezvous for one kernel, in a running loop.

    Args:
        way: which.
        directory: an existing private directory for this kernel alone.
        key: signing key.
        kernel_name: recorded in the connection file.
        kernel: its kernelspec, for what is particular to it.
        ip: the address at which kernel and clients meet by TCP.

    Raises:
        LaunchError: ports or paths cannot be had.
    """
    try:
        return _made(way, directory, key, kernel_name, kernel, ip)
    except OSError as error:
        raise LaunchError(
            f"no connection file can be written in {directory}",
            why=error.strerror or str(error),
            do="Make room there, or set XDG_RUNTIME_DIR or TMPDIR to another folder of yours",
        ) from error


def _made(
    way: Way, directory: Path, key: bytes, kernel_name: str, kernel: DescribedKernel | None, ip: str
) -> Rendezvous:
    match way:
        case "ipc":
            return IpcRendezvous(directory, key, kernel_name)
        case "self-bind":
            return SelfBindRendezvous(directory, key, kernel_name, ip)
        case "hold":
            return HoldRendezvous(directory, key, kernel_name, ip)
        case "handshake":
            from moorage.rendezvous.handshake import HandshakeRendezvous  # noqa: PLC0415 - few kernels need it

            dialect = "docs" if kernel is None else dialect_of(kernel)
            return HandshakeRendezvous(directory, key, kernel_name, dialect=dialect, ip=ip)


def _ours(kernel: DescribedKernel) -> JsonMapping:
    found = kernel.metadata.get("moorage")
    return found if isinstance(found, Mapping) else {}


def _version(text: str) -> tuple[int, ...]:
    """Read ``5.6`` or ``5.6.0``; () for what is no version."""
    return tuple(int(part) for part in re.findall(r"\d{1,9}", text.partition("+")[0].partition("-")[0]))
