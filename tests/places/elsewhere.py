"""A place of its own kind, as an example: what docs/how-to/places.md explains.

It is this machine, and treats it like another one. Its kernels are started through a command (``nice`` stands
for what ``docker exec`` would do), run in a folder of its own, have an environment that is not this
process's, see their private directory by another path, and listen and register at other addresses. It shares
nothing with :mod:`moorage.places.here` but the launcher of processes and the private directory.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from moorage.places.base import Agreement, PlacedKernel
from moorage.process.base import Handle, Launcher, LaunchSpec
from moorage.process.kernel_directory import private_directory
from moorage.process.local import LocalLauncher, shared_warden
from moorage.rendezvous.base import Choice, Way
from moorage.rendezvous.choice import DescribedKernel, decide, make
from moorage.wire.connection import Endpoint

COMMAND = ("nice", "-n", "7")
LISTEN, REGISTER = "127.0.0.2", "127.0.0.3"


@dataclass(frozen=True)
class Elsewhere:
    """A folder as a machine.

    Attributes:
        folder: where kernels run that are given no directory, or a relative one.
        variables: their environment before anything is added.
    """

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"the folder {self.folder}"

    def ways(self, kernel: DescribedKernel, wanted: Choice) -> tuple[Way, ...]:
        """What suits the kernel: the ports are this machine's, and the folder of its sockets is shared."""
        return decide(kernel, wanted)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Mounted]:
        """Open a workspace; cancelling this leaves nothing behind."""
        async with shared_warden() as warden:
            mount = self.folder / f"m-{secrets.token_hex(4)}"
            with private_directory(warden, None) as directory:
                mount.symlink_to(directory)
                try:
                    yield Mounted(self, directory, mount, LocalLauncher(warden))
                finally:
                    mount.unlink()


class Mounted:
    """What one kernel or server has of the folder: a workspace."""

    listen_ip = LISTEN

    def __init__(self, place: Elsewhere, directory: Path, mount: Path, inner: Launcher) -> None:
        """Made by :meth:`Elsewhere.open`."""
        self.directory = directory
        self.mount = mount
        self.environment = dict(place.variables)
        self._place = place
        self._inner = inner

    async def enter(self, kernel: PlacedKernel, base: Mapping[str, str]) -> Mapping[str, str]:
        """Do there what ``activate`` does: what this machine has at the environment's path says nothing."""
        inside = dict(base)
        if kernel.activation is not None:
            inside["PATH"] = f"{kernel.activation.prefix / 'bin'}:{base['PATH']}"
        return {**inside, **kernel.expanded(inside)}

    def process(self, cwd: str | Path | None, env: Mapping[str, str]) -> LaunchSpec:
        """Describe a process: its directory is one there."""
        return LaunchSpec(argv=(), cwd=str(self._place.folder / (cwd or ".")), env=env)

    async def agree(self, way: Way, kernel: PlacedKernel, wanted: Choice, key: bytes) -> Agreement:
        """Agree by the means of this machine, but at the addresses and paths that the kernel sees."""
        rendezvous = make(
            way,
            self.directory,
            key,
            kernel.called,
            kernel,
            ip=LISTEN,
            registration_ip=REGISTER,
            mount=self.mount,
        )
        return Agreement(rendezvous, self.mount / rendezvous.connection_file.name)

    def anticipate(self, spec: LaunchSpec) -> None:
        """Do nothing: its launches have nothing in common."""

    @asynccontextmanager
    async def launch(self, spec: LaunchSpec) -> AsyncIterator[Handle]:
        """Start a process through the command; leaving the block ends its tree."""
        async with self._inner.launch(replace(spec, argv=(*COMMAND, *spec.argv))) as handle:
            yield handle

    async def reach(self, endpoint: Endpoint) -> Endpoint:
        """Find Unix sockets by this machine's path; its addresses are this machine's as well."""
        if endpoint.transport == "tcp":
            return endpoint
        return endpoint._replace(ip=str(self.directory / Path(endpoint.ip).relative_to(self.mount)))
