"""The servers of one JupyterHub: started within limits, found again after a restart of the hub, ended."""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.errors import DeadlineExceeded, KeeperLost, LaunchError
from moorage.keeper.found import EndedCharge, kill
from moorage.keeper.status import KeptStatus
from moorage.plan.control_groups import GroupsGiven, group_of, ours
from moorage.plan.visits import ServerId
from moorage.plan.walls import Share
from moorage.process import control_groups
from moorage.tasks import in_thread, reaped, to_its_end
from moorage.temp.processes import ServerProcess, ServerProcesses, ServerStart
from moorage.temp.template.choice import ServerTemplates

LABEL = "server of a JupyterHub"
PROCESSES = 16_384
"""Processes and threads of one user, where control groups bound them."""


def server_id(directory: Path, user: str, server: str) -> ServerId:
    """Return the name that a server's keeper has: the same one after each restart of the hub.

    Args:
        directory: the hub's of keepers; another hub of this machine has another one.
        user: its name.
        server: of that user; empty for the one without a name.
    """
    words = f"{directory}\0{user}\0{server}"
    return ServerId(f"hub-{hashlib.sha256(words.encode()).hexdigest()[:16]}")


@dataclass(frozen=True)
class HubLimits:
    """What one server may take; 0 for as much as there is.

    Args:
        memory: bytes.
        cpus: processors' time in each second.
    """

    memory: int = 0
    cpus: float = 0.0

    @property
    def share(self) -> Share:
        """The same, as control groups have it."""
        return Share(processes=PROCESSES, memory=self.memory, cpus=self.cpus)


@dataclass(frozen=True)
class HubServer:
    """A server that runs.

    Args:
        process: by its keeper.
        groups: folders of its control groups.
    """

    process: ServerProcess
    groups: tuple[str, ...] = ()


class HubServers:
    """Starts servers and finds them again.

    Args:
        directory: where keepers have their own directories.
        lease: seconds for which a server lives on without a hub; 0 for ever.
        fork: whether servers are forked from a template, where they can be.
        common: the environment of templates, which all users may read.
    """

    def __init__(self, directory: Path, lease: float, *, fork: bool, common: Mapping[str, str]) -> None:
        self.templates = ServerTemplates(wanted=fork, common=common)
        self._processes = ServerProcesses(directory, lease, self.templates, LABEL)
        self.directory = directory
        self._given: GroupsGiven | None = None

    async def start(self, server: ServerId, start: ServerStart, limits: HubLimits) -> HubServer:
        """Start one, in place of what an earlier hub may have left of it.

        Cancelling leaves nothing of it.

        Args:
            server: its name.
            start: what is started; its control groups are made here.
            limits: what it may take.

        Raises:
            LaunchError: the program cannot be started, or a limit not be kept.
            UsageError, KeeperLost, DeadlineExceeded: its keeper cannot.
        """
        await self._clear(server)
        groups = await self._grouped(server, limits)
        files = tuple(f"{folder}/{control_groups.PROCESSES}" for folder in groups)
        try:
            return HubServer(await self._processes.begin(server, replace(start, groups=files)), groups)
        except BaseException:
            await to_its_end(_removed(groups), name="remove control groups")
            raise

    async def look(self, server: ServerId, groups: Iterable[str] = ()) -> HubServer | EndedCharge | None:
        """Find one that an earlier hub has started, or how it ended; None where there is none.

        Args:
            server: its name.
            groups: folders of the control groups that it was started in.

        Raises:
            UsageError: other users may write to the directory of keepers.
            KeeperLost, DeadlineExceeded: its keeper lives, and does not answer.
        """
        own = tuple(ours(groups, server))
        found = await self._processes.look(server)
        if isinstance(found, ServerProcess):
            return HubServer(found, own)
        await _removed(own)
        return found

    async def status(self, server: HubServer) -> KeptStatus | None:
        """Return how a server is; once it has ended, nothing of it is left. None where it was lost.

        Raises:
            DeadlineExceeded: its keeper does not answer.
        """
        try:
            status = await server.process.kept.status()
            if not status.ended:
                return status
            await server.process.kept.aclose()
        except KeeperLost:
            await server.process.end()
            status = None
        await _removed(server.groups)
        return status

    async def end(self, server: HubServer, grace: float) -> None:
        """End a server with all it started; return when nothing of it is left, however often cancelled.

        Args:
            server: which.
            grace: seconds between SIGTERM and SIGKILL; 0 for SIGKILL at once.
        """

        async def ended() -> None:
            await server.process.end(grace)
            await _removed(server.groups)

        await to_its_end(ended(), name="end a server")

    async def _clear(self, server: ServerId) -> None:
        """End what is left of a server that no hub knows any more."""
        try:
            found = await self._processes.look(server)
        except (KeeperLost, DeadlineExceeded):
            await kill(self.directory / server)
            return
        if isinstance(found, ServerProcess):
            await found.end()

    async def _grouped(self, server: ServerId, limits: HubLimits) -> tuple[str, ...]:
        """Make a server's control groups, and return their folders.

        Raises:
            LaunchError: a limit cannot be kept, or a group not be made.
        """
        if self._given is None:
            self._given = await control_groups.given(Share(processes=PROCESSES))
        given = self._given
        if option := given.lacks(limits.share):
            named = {"--memory": "mem_limit", "--cpus": "cpu_limit"}[option]
            raise LaunchError(f"c.Spawner.{named} cannot be kept on this machine", why=given.why, do=given.do)
        folders = tuple(control_groups.folder_of(each, group_of(server)) for each in given.parents)
        await _removed(folders)
        make = partial(control_groups.make, given.parents, group_of(server), limits.share)
        making = in_thread(make, name="make control groups")
        try:
            await reaped(making)
        except BaseException:
            await to_its_end(_removed(folders), name="remove control groups")
            raise
        if (error := making.exception()) is not None:
            raise LaunchError("no control group can be made for a server", why=_why(error)) from error
        return folders


def _why(error: BaseException) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)


async def _removed(folders: Iterable[str]) -> None:
    await control_groups.remove(folders)
