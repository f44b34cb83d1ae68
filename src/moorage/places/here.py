"""This machine, and a network namespace of it.

Unix sockets with a path cross network namespaces, TCP does not. So ipykernel and the kernels built on it get
ipc as ever. Every other kernel, and every server, listens on TCP inside, and a relay leads from Unix sockets
to the ports that it is known to listen at.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from moorage.directory import working_directory
from moorage.errors import LaunchError, UsageError
from moorage.places.base import Agreement, PlacedKernel
from moorage.process.base import Fork, Handle, Isolate, Launcher, LaunchSpec, LocalSpec, ProcessId
from moorage.process.kernel_directory import Owner, hand_over, private_directory
from moorage.process.local import LocalLauncher
from moorage.process.netns.launcher import IsolatedLauncher, Relay
from moorage.process.options import ProcessOptions
from moorage.process.warden.client import Warden, end_outliving
from moorage.process.warden.shared import shared_warden
from moorage.rendezvous import choice
from moorage.rendezvous.base import LOOPBACK, Choice, Way
from moorage.rendezvous.choice import Condition, DescribedKernel
from moorage.rendezvous.ipc import socket_prefix
from moorage.tasks import in_thread
from moorage.wire.connection import Endpoint

# What a surrounding kernel or server says to *its* kernels: untrue for those launched here.
_NOT_INHERITED = ("JPY_PARENT_PID", "JPY_SESSION_NAME", "JPY_INTERRUPT_EVENT")


@dataclass(frozen=True)
class Here:
    """This machine.

    Attributes:
        fork: fork kernels from a template with their imports done, where that can be done (Linux, ipykernel
            and kernels built on it): True always, False never, ``auto`` from the second one alike on.
        isolate: ``net`` gives each kernel a network namespace of its own, in which nothing is but a loopback.
        process: user, group, umask, limits and descriptors, where they are not to be this process's. Such a
            kernel is never forked from a template.
        warden: the parent of the kernels; None for the one that all launches of the running loop share.
        wrap: makes what starts the kernels, from the launcher of this machine.
    """

    fork: Fork = "auto"
    isolate: Isolate = "none"
    process: ProcessOptions | None = None
    warden: Warden | None = None
    wrap: Callable[[Launcher], Launcher] | None = None

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return "this machine" if self.isolate == "none" else "a network namespace of this machine"

    def ways(self, kernel: DescribedKernel, wanted: Choice) -> tuple[Way, ...]:
        """Return how to agree with a kernel on addresses; see :class:`moorage.places.base.Place`."""
        return choice.decide(kernel, wanted, self.conditions())

    def conditions(self) -> frozenset[Condition]:
        """Return what of its fields bears on how addresses are agreed on."""
        found: dict[Condition, bool] = {
            "own network": self.isolate == "net",
            "another user": self.owner() is not None,
        }
        return frozenset(name for name, given in found.items() if given)

    @property
    def plain(self) -> bool:
        """Whether a process that is started otherwise would miss nothing of it."""
        return self.isolate == "none" and self.process is None and self.wrap is None

    def joined(self, other: Here) -> Here:
        """Return what both say of this machine; where both say how kernels are started this one counts.

        Args:
            other: what a kernel type says.

        Raises:
            UsageError: they differ in what the kernel gets.
        """
        default, found = Here(), {}
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            nothing = getattr(default, field.name)
            if nothing not in (mine, theirs) and mine != theirs and field.name not in ("fork", "warden"):
                raise UsageError(
                    f"the launch and the kernel type want different things of this machine: {field.name}",
                    do=f"Leave {field.name} out",
                )
            found[field.name] = theirs if mine == nothing else mine
        return Here(**found)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[LocalWorkspace]:
        """Open a workspace; see :class:`moorage.places.base.Place`.

        Raises:
            IsolationError: this machine gives no network namespace.
            LaunchError, WardenLost: there is no warden or no directory to be had.
        """
        async with AsyncExitStack() as stack:
            warden = self.warden
            if warden is None:
                warden = await stack.enter_async_context(shared_warden())
            owner = self.owner()
            directory = stack.enter_context(private_directory(warden, owner))
            name = f"kernel-{secrets.token_hex(8)}"
            stack.push_async_callback(end_outliving, warden, name)
            yield LocalWorkspace(self, warden, owner, directory, name)

    @asynccontextmanager
    async def reopen(self, directory: Path, name: str) -> AsyncIterator[LocalWorkspace]:
        """Open the workspace of a kernel that an earlier process has left; leaving it is as of :meth:`open`.

        Args:
            directory: its own.
            name: of the workspace.

        Raises:
            LaunchError, WardenLost: there is no warden to be had.
        """
        async with AsyncExitStack() as stack:
            warden = await stack.enter_async_context(shared_warden())
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
            stack.push_async_callback(end_outliving, warden, name)
            yield LocalWorkspace(self, warden, None, directory, name)

    def owner(self) -> Owner:
        """Return the user and the group whose kernels they are; None where they are ours."""
        return None if self.process is None else self.process.owner()


class LocalWorkspace:
    """What one kernel or server has of this machine: see :class:`moorage.places.base.Workspace`."""

    listen_ip = LOOPBACK

    def __init__(self, place: Here, warden: Warden, owner: Owner, directory: Path, name: str) -> None:
        """Made by :meth:`Here.open`."""
        self.directory = self.mount = directory
        self._given_away = False
        self._place = place
        self._warden = warden
        self._owner = owner
        self._name = name

    @property
    def name(self) -> str:
        """What its kernel's launches have in common; see :meth:`Here.reopen`."""
        return self._name

    def resume(self, launch: ProcessId) -> AbstractAsyncContextManager[Handle]:
        """Take over its process; see :meth:`moorage.process.local.LocalLauncher.resume`."""
        return LocalLauncher(self._warden).resume(launch)

    @property
    def environment(self) -> Mapping[str, str]:
        """This process's environment, with the name of the process that will be the kernel's parent."""
        inherited = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}
        # ipykernel watches that process, and without this explains Ctrl-C on stdout.
        return inherited | {"JPY_PARENT_PID": str(self._warden.pid)}

    async def enter(self, kernel: PlacedKernel, base: Mapping[str, str]) -> dict[str, str]:
        """Return the environment that a kernel type starts in. Cancelling abandons scripts."""
        return await entered(kernel, base)

    def process(self, cwd: str | Path | None, env: Mapping[str, str]) -> LocalSpec:
        """Describe the kernel's process but for its command."""
        return LocalSpec(
            argv=(), cwd=absolute(cwd or "."), env=env, kernel=self._name, process=self._place.process
        )

    async def agree(self, way: Way, kernel: PlacedKernel, wanted: Choice, key: bytes) -> Agreement:
        """Prepare a kernel's agreement on addresses; see :class:`moorage.places.base.Workspace`."""
        if self._isolated and wanted != "ipc" and not kernel.kind.application:
            from moorage.rendezvous.own_network import OwnNetworkRendezvous  # noqa: PLC0415 - few need it

            socket_prefix(self.directory)
            inside = OwnNetworkRendezvous(self.directory, key, kernel.called)
            return Agreement(inside, inside.connection_file, inside.ports)
        rendezvous = choice.make(way, self.directory, key, kernel.called, kernel, ip=self.listen_ip)
        return Agreement(rendezvous, rendezvous.connection_file)

    def anticipate(self, spec: LaunchSpec) -> None:
        """Start the template to fork it from; see :class:`moorage.places.base.Workspace`."""
        if self._place.wrap is None and not self._isolated:
            LocalLauncher(self._warden, fork=self._place.fork).anticipate(spec)

    def launch(self, spec: LaunchSpec) -> AbstractAsyncContextManager[Handle]:
        """Start a process; see :class:`moorage.places.base.Workspace`.

        Raises:
            LaunchError, WardenLost: it cannot be started.
            IsolationError: this machine gives no network namespace.
        """
        self._give_away()
        launcher: Launcher = LocalLauncher(self._warden, fork=self._place.fork)
        if self._place.wrap is not None:
            launcher = self._place.wrap(launcher)
        if self._isolated:
            ways_in = {Path(self._way_in(port).path): port for port in spec.listens}
            launcher = IsolatedLauncher(launcher, Relay(ways_in) if ways_in else None)
        return launcher.launch(spec)

    async def reach(self, endpoint: Endpoint) -> Endpoint:
        """Return where clients find what listens: where it does, or at the way into its namespace."""
        return self._way_in(endpoint.port) if self._isolated and endpoint.transport == "tcp" else endpoint

    @property
    def _isolated(self) -> bool:
        return self._place.isolate == "net"

    def _way_in(self, port: int) -> Endpoint:
        return Endpoint("ipc", str(self.directory / "k"), port)

    def _give_away(self) -> None:
        """Give the directory to the user whose process is about to start, once.

        Raises:
            LaunchError: this process may not.
        """
        if self._given_away:
            return
        self._given_away = True
        try:
            hand_over(self.directory, self._owner)
        except OSError as error:
            raise LaunchError(
                "the private directory cannot be given to another user",
                why=error.strerror or str(error),
                do="Run it as root, or leave user and group out",
            ) from error


async def entered(kernel: PlacedKernel, base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment a kernel of this machine starts in, given the surrounding one.

    Scripts of a conda environment run beside the loop. Cancelling abandons them.
    """
    if kernel.activation is None:
        return kernel.environment(base)
    return await in_thread(lambda: kernel.environment(base), name=f"enter {kernel.name}")


def absolute(path: str | Path) -> str:
    """Return a path of this machine from the root on, by the working directory where it is relative."""
    return str(path if Path(path).is_absolute() else working_directory() / path)
