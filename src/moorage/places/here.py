"""This machine, and a network namespace of it.

Unix sockets with a path cross network namespaces, TCP does not. So ipykernel and the kernels built on it get
ipc as ever. Every other kernel listens on TCP inside, at ports that nothing else can have taken: the
namespace is new and they lie above what the system hands out. A relay leads from Unix sockets to them.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from moorage.directory import working_directory
from moorage.errors import UsageError
from moorage.kinds import kind_of
from moorage.places.base import Route
from moorage.process.base import Isolate, Launcher, LocalSpec
from moorage.process.kernel_directory import Owner, hand_over, private_directory
from moorage.process.local import Fork, LocalLauncher
from moorage.process.netns.launcher import IsolatedLauncher, Relay
from moorage.process.options import ProcessOptions
from moorage.process.warden.client import Warden, end_outliving
from moorage.process.warden.shared import shared_warden
from moorage.rendezvous import choice
from moorage.rendezvous.base import LOOPBACK, Choice, Rendezvous, Way
from moorage.rendezvous.choice import DescribedKernel
from moorage.rendezvous.files import write_connection_file
from moorage.wire.connection import PORTS

FIRST_PORT = 61_001
"""Above the ephemeral range of a new namespace, which ends at 60999."""

# What a surrounding kernel or server says to *its* kernels: untrue for those launched here.
_NOT_INHERITED = ("JPY_PARENT_PID", "JPY_SESSION_NAME", "JPY_INTERRUPT_EVENT")


@dataclass(frozen=True)
class Here:
    """This machine.

    Attributes:
        fork: fork kernels from a template with their imports done, where that can be done (Linux, ipykernel
            and kernels built on it): True always, False never, ``auto`` from the second one alike on.
        isolate: ``net`` gives each kernel a network namespace of its own, in which nothing is but a loopback.
        options: user, group, umask, limits and descriptors, where they are not to be this process's. Such a
            kernel is never forked from a template.
        warden: the parent of the kernels; None for the one that all launches of the running loop share.
        wrap: makes what starts the kernels, from the launcher of this machine.
    """

    fork: Fork = "auto"
    isolate: Isolate = "none"
    options: ProcessOptions | None = None
    warden: Warden | None = None
    wrap: Callable[[Launcher], Launcher] | None = None

    def ways(self, kernel: DescribedKernel, wanted: Choice) -> tuple[Way, ...]:
        """Return how to agree with a kernel on addresses; see :class:`moorage.places.base.Place`."""
        choice.check(kernel.argv, wanted)
        crossing = choice_within(self.isolate, wanted)
        if (owner := self._owner()) is not None:
            # One way alone: a second try would write where that user has been let in.
            return ways_for(owner, choice.ways(kernel, crossing), wanted)[:1]
        tries = choice.ways(kernel, crossing)
        return tries + choice.spare(kernel, crossing, tries)

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
            owner = self._owner()
            directory = stack.enter_context(private_directory(warden, owner))
            name = f"kernel-{secrets.token_hex(8)}"
            stack.push_async_callback(end_outliving, warden, name)
            yield LocalWorkspace(self, warden, owner, directory, name)

    def _owner(self) -> Owner:
        return None if self.options is None else self.options.owner()


class LocalWorkspace:
    """What one kernel has of this machine: see :class:`moorage.places.base.Workspace`."""

    ip = LOOPBACK

    def __init__(self, place: Here, warden: Warden, owner: Owner, directory: Path, name: str) -> None:
        """Made by :meth:`Here.open`."""
        self.directory = directory
        self._place = place
        self._warden = warden
        self._owner = owner
        self._name = name

    @property
    def environment(self) -> Mapping[str, str]:
        """This process's environment, with the name of the process that will be the kernel's parent."""
        inherited = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}
        # ipykernel watches that process, and without this explains Ctrl-C on stdout.
        return inherited | {"JPY_PARENT_PID": str(self._warden.pid)}

    def process(self, cwd: str | Path | None, env: Mapping[str, str]) -> LocalSpec:
        """Describe the kernel's process but for its command."""
        return LocalSpec(
            argv=(), cwd=absolute(cwd or "."), env=env, kernel=self._name, options=self._place.options
        )

    async def route(self, kernel: DescribedKernel, wanted: Choice, rendezvous: Rendezvous) -> Route:
        """Prepare one start of the kernel; see :class:`moorage.places.base.Workspace`."""
        launcher: Launcher = LocalLauncher(self._warden, fork=self._place.fork)
        if self._place.wrap is not None:
            launcher = self._place.wrap(launcher)
        if self._place.isolate == "none":
            result = Route(launcher, rendezvous.connection_file)
        else:
            result = await _isolated(launcher, kernel, wanted, rendezvous)
        hand_over(self.directory, self._owner)
        return result


def absolute(path: str | Path) -> str:
    """Return a path of this machine from the root on, by the working directory where it is relative."""
    return str(path if Path(path).is_absolute() else working_directory() / path)


def choice_within(isolate: Isolate, wanted: Choice) -> Choice:
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


def ways_for(owner: Owner, tries: tuple[Way, ...], wanted: Choice) -> tuple[Way, ...]:
    """Return the ways to agree with a kernel of another user: those in which nothing is read from its files.

    Args:
        owner: that user; None where the kernel is this user's.
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


async def _isolated(
    launcher: Launcher, kernel: DescribedKernel, wanted: Choice, rendezvous: Rendezvous
) -> Route:
    """Prepare a start in a namespace, by an ipc rendezvous; ``wanted`` ipc gives any kernel Unix sockets."""
    file = rendezvous.connection_file
    if wanted == "ipc" or kind_of(kernel.argv).application:
        return Route(IsolatedLauncher(launcher), file)
    outside = await rendezvous.addresses()
    ports = {name: FIRST_PORT + number for number, name in enumerate(PORTS)}
    relay = Relay({Path(f"{outside.ip}-{getattr(outside, name)}"): ports[name] for name in PORTS})
    inside = file.with_name("inside.json")
    write_connection_file(inside, {**outside.to_dict(), **ports, "transport": "tcp", "ip": LOOPBACK})
    return Route(IsolatedLauncher(launcher, relay), inside)
