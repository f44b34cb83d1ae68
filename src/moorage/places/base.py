"""WHERE a kernel runs: what a place gives to each kernel, and how the kernel is reached from here.

``moorage.launch(kernel_type, place=...)`` knows nothing of this machine: a place says which rendezvous can be
used with it, and opens a workspace for each kernel. A rendezvous writes its files into the workspace's
directory, and the workspace starts the kernel's processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from moorage.process.base import Launcher, LaunchSpec
from moorage.rendezvous.base import Choice, Rendezvous, Way
from moorage.rendezvous.choice import DescribedKernel


class Route(NamedTuple):
    """How a kernel is started by one rendezvous.

    Attributes:
        launcher: starts the process.
        connection_file: path of the file that the kernel is given, as the kernel sees it.
    """

    launcher: Launcher
    connection_file: Path


class Workspace(Protocol):
    """What one kernel has of a place, from its first start to its end, restarts included."""

    @property
    def directory(self) -> Path:
        """A private directory on this machine, for the files and sockets of a rendezvous."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of a process there, before anything is added to it. It may hold secrets."""
        ...

    @property
    def ip(self) -> str:
        """The address at which the kernel and its clients here meet by TCP."""
        ...

    def process(self, cwd: str | Path | None, env: Mapping[str, str]) -> LaunchSpec:
        """Describe the kernel's process but for its command.

        Args:
            cwd: its working directory; None for the place's own.
            env: its whole environment.
        """
        ...

    async def route(self, kernel: DescribedKernel, wanted: Choice, rendezvous: Rendezvous) -> Route:
        """Prepare the starts of the kernel by one rendezvous.

        Args:
            kernel: its kernelspec.
            wanted: the rendezvous that was asked for.
            rendezvous: the one that is tried now; its file is written.

        Raises:
            OSError: a file cannot be written or handed over.
        """
        ...


class Place(Protocol):
    """Where kernels run."""

    def ways(self, kernel: DescribedKernel, wanted: Choice) -> tuple[Way, ...]:
        """Return how to agree with a kernel there on addresses: the first way, and what to try after it.

        Args:
            kernel: its kernelspec.
            wanted: ``auto``, or the one that the caller insists on.

        Raises:
            UsageError: the one insisted on cannot be used with this kernel or this place.
        """
        ...

    def open(self) -> AbstractAsyncContextManager[Workspace]:
        """Open a workspace for one kernel; leaving the block ends what is left of the kernel there.

        Raises:
            LaunchError, WardenLost: the place has none to give.
        """
        ...
