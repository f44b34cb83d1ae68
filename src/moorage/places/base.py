"""WHERE a kernel or server runs: what a place gives to each, and how it is reached from here.

``moorage.launch(kernel_type, place=...)`` knows nothing of this machine: a place says which rendezvous can be
used with it, and opens a workspace for each kernel. The workspace agrees on addresses with the kernel, starts
its processes, and tells where it is found from here. docs/how-to/places.md shows how one is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from moorage.process.base import Handle, LaunchSpec
from moorage.rendezvous.base import Choice, Rendezvous, Way
from moorage.rendezvous.choice import DescribedKernel
from moorage.wire.connection import SOCKETS, ConnectionInfo, Endpoint


class Agreement(NamedTuple):
    """How addresses are agreed on with a kernel.

    Attributes:
        rendezvous: the agreement, in addresses as the kernel sees them. The caller closes it.
        connection_file: path of the file that the kernel is given, as the kernel sees it.
        listens: TCP ports at which it will listen, where they are known before it starts.
    """

    rendezvous: Rendezvous
    connection_file: Path
    listens: tuple[int, ...] = ()


class EnteredEnvironment(Protocol):
    """An environment of programs: of conda, or of Python's venv."""

    @property
    def prefix(self) -> Path:
        """Its folder, where the kernel runs."""
        ...

    @property
    def kind(self) -> str:
        """``venv``; ``conda``, also mamba's and pixi's; ``python``, an interpreter without environment."""
        ...


class PlacedKernel(DescribedKernel, Protocol):
    """A kernel type, as far as a place has to know it."""

    @property
    def name(self) -> str:
        """What its provider calls it."""
        ...

    @property
    def called(self) -> str:
        """The shortest name that finds it, for its connection file."""
        ...

    @property
    def activation(self) -> EnteredEnvironment | None:
        """The environment that it runs in; None for the surrounding one."""
        ...

    def expanded(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of its own, with ``${NAME}`` taken from ``base``."""
        ...

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return ``base`` as the kernel is to have it, by what is on this machine. It may run scripts.

        Args:
            base: the surrounding environment, what the launch adds to it included.
        """
        ...


class Workspace(Protocol):
    """What one kernel or server has of a place, from its first start to its end, restarts included.

    A server needs a process, its directory and environment, and where it is found from here: :meth:`process`,
    :meth:`launch` and :meth:`reach`. A kernel needs an agreement on addresses besides: :meth:`agree`.
    """

    @property
    def directory(self) -> Path:
        """A private directory on this machine, for files and sockets of both sides."""
        ...

    @property
    def mount(self) -> Path:
        """The path by which processes there know that directory; on this machine the same."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of a process there, before anything is added to it. It may hold secrets."""
        ...

    @property
    def listen_ip(self) -> str:
        """The address at which a process there is to listen by TCP, as it is called there."""
        ...

    async def enter(self, kernel: PlacedKernel, base: Mapping[str, str]) -> Mapping[str, str]:
        """Return the environment that a kernel type starts in there: its conda environment, its variables.

        On this machine that is :func:`moorage.places.here.entered`. The launch's deadline covers it.

        Args:
            kernel: its kernelspec.
            base: :attr:`environment` with the changes that the launch makes.
        """
        ...

    def process(self, cwd: str | Path | None, env: Mapping[str, str]) -> LaunchSpec:
        """Describe a process but for its command, and for the ports at which it listens.

        Args:
            cwd: its working directory; None for the place's own.
            env: its whole environment.
        """
        ...

    async def agree(self, way: Way, kernel: PlacedKernel, wanted: Choice, key: bytes) -> Agreement:
        """Prepare a kernel's agreement on addresses by one rendezvous. Its file is written.

        :func:`moorage.rendezvous.choice.make` does that for a kernel that has this machine's network. The
        launch's deadline covers it; cancelling leaves nothing behind.

        Args:
            way: the rendezvous that is tried now, one of :meth:`Place.ways`.
            kernel: its kernelspec.
            wanted: the rendezvous that was asked for.
            key: the signing key.

        Raises:
            LaunchError: there are no addresses to be had.
        """
        ...

    def anticipate(self, spec: LaunchSpec) -> None:
        """Begin what a launch that comes next has in common with others, and return at once.

        What many launches at once wait for, a template to fork from, is begun by the first of them before the
        others are prepared. Most places have nothing to do here.

        Args:
            spec: what is about to be launched. What is wrong with it :meth:`launch` tells.
        """
        ...

    def launch(self, spec: LaunchSpec) -> AbstractAsyncContextManager[Handle]:
        """Start a process there; leaving the block kills what is left of it and of all it started.

        Args:
            spec: from :meth:`process`, with a command.

        Raises:
            LaunchError: the program or the working directory does not exist or cannot be used.
            WardenLost: the process that would start it is gone.
        """
        ...

    async def reach(self, endpoint: Endpoint) -> Endpoint:
        """Return where clients on this machine find what listens there. It may open a way to it.

        It is called when the address is known: for a kernel that chooses its own once it has told them.

        Args:
            endpoint: as the process itself sees it. A port that is known before the process starts stands in
                :attr:`~moorage.process.base.LaunchSpec.listens` of what was launched.

        Raises:
            LaunchError: no way leads there.
        """
        ...


class Place(Protocol):
    """Where kernels and servers run."""

    @property
    def name(self) -> str:
        """What it is called in messages: ``this machine``."""
        ...

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
        """Open a workspace for one kernel or server; leaving the block ends what is left of it there.

        The launch's deadline covers entering the block: it is cancelled then, and leaves nothing behind.

        Raises:
            LaunchError, WardenLost: the place has none to give.
        """
        ...


async def found_here(workspace: Workspace, there: ConnectionInfo) -> ConnectionInfo:
    """Return a kernel's addresses as clients on this machine find them, given as the kernel sees them.

    Raises:
        LaunchError: no way leads to them.
        ProtocolError: the ways lead to several addresses.
    """
    return there.moved({name: await workspace.reach(there.endpoint(name)) for name in SOCKETS})
