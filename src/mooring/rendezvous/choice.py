"""Which rendezvous a kernel gets.

``auto``: ipykernel and the kernels built on its application class get ipc; everything else is held,
which any kernel on libzmq survives.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath

from mooring.errors import UsageError
from mooring.rendezvous.base import Choice, Rendezvous, Way
from mooring.rendezvous.hold import HoldRendezvous
from mooring.rendezvous.ipc import IpcRendezvous
from mooring.rendezvous.self_bind import SelfBindRendezvous

# Kernels that start ipykernel's application class from a module of another name.
IPYKERNEL_MODULES = frozenset(
    {
        "ipykernel",
        "ipykernel_launcher",
        "bash_kernel",
        "calysto_scheme",
        "metakernel_python",
        "octave_kernel",
        "gnuplot_kernel",
        "sage.repl.ipython_kernel",
    }
)


def is_ipykernel(argv: Sequence[str]) -> bool:
    """Tell whether a kernel's command starts ipykernel or a kernel built on it."""
    words = [PurePath(word).name for word in argv]
    return any(word in IPYKERNEL_MODULES or word.split(".")[0] == "ipykernel" for word in words)


def choose(argv: Sequence[str], wanted: Choice = "auto") -> Way:
    """Pick the rendezvous for a kernel's command.

    Args:
        argv: the kernelspec's command.
        wanted: ``auto``, or one that the caller insists on.

    Raises:
        UsageError: the one insisted on cannot work on this system or with this kernel.
    """
    if wanted == "auto":
        if is_ipykernel(argv):
            return "ipc" if os.name == "posix" else "self-bind"
        return "hold"
    if wanted == "handshake":
        raise UsageError(
            "this version of mooring cannot use the handshake rendezvous",
            why="Only ipc, self-bind and hold are there so far",
            do="Leave --rendezvous out, or choose one of those",
        )
    if wanted == "self-bind" and not is_ipykernel(argv):
        raise UsageError(
            f"{PurePath(argv[0]).name if argv else 'an empty command'} cannot use the self-bind rendezvous",
            why="Only ipykernel and kernels built on it write the ports they chose into their file",
            do="Use --rendezvous hold, or leave it out",
        )
    if wanted == "hold" and sys.platform != "linux":
        raise UsageError("the hold rendezvous is known to work on Linux only", do="Leave --rendezvous out")
    return wanted


def make(way: Way, directory: Path, key: bytes, kernel_name: str) -> Rendezvous:
    """Prepare the rendezvous for one kernel.

    Args:
        way: which.
        directory: an existing private directory for this kernel alone.
        key: signing key.
        kernel_name: recorded in the connection file.

    Raises:
        LaunchError: ports or paths cannot be had.
    """
    match way:
        case "ipc":
            return IpcRendezvous(directory, key, kernel_name)
        case "self-bind":
            return SelfBindRendezvous(directory, key, kernel_name)
        case "hold":
            return HoldRendezvous(directory, key, kernel_name)
        case "handshake":
            raise UsageError("this version of mooring cannot use the handshake rendezvous")
