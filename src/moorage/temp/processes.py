"""The process of a visitor's server: how it is started, found again, ended. The one place that knows.

Each has a keeper, so that it lives on when the service is killed: the next one finds it.
"""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.errors import DeadlineExceeded, KeeperLost, LaunchError
from moorage.json_types import JsonMapping
from moorage.keeper.found import EndedCharge, find, kill, look
from moorage.keeper.kept import Kept
from moorage.keeper.process.record import WARDEN
from moorage.keeper.sleeping import can_sleep, keeper_pid, put_to_sleep, sleeps, tender_of, wake
from moorage.keeper.start import KeeperStart
from moorage.keeper.start import start as start_kept
from moorage.keeper.status import KeptStatus
from moorage.keeper.tidy import tidy
from moorage.plan.visits import ServerId
from moorage.plan.walls import Share
from moorage.process.options import ProcessOptions
from moorage.tasks import to_its_end
from moorage.temp.template.choice import ServerTemplates

log = logging.getLogger("moorage.temp")


@dataclass(frozen=True)
class ServerStart:
    """What is started.

    Args:
        argv: program and arguments, which may hold a token.
        cwd: working directory.
        env: its whole environment.
        sleeps: whether it may be put to sleep, where it can be forked.
        walls: that it runs behind; None for none.
        groups: files of control groups that it goes into, where it has no walls.
        process: user and limits; None for those of this process.
    """

    argv: tuple[str, ...] = field(repr=False)
    cwd: Path
    env: Mapping[str, str] = field(repr=False)
    sleeps: bool = False
    walls: JsonMapping | None = field(default=None, repr=False)
    groups: tuple[str, ...] = ()
    process: ProcessOptions | None = None


@dataclass(frozen=True)
class ServerEnd:
    """How a process ended.

    Args:
        words: how, in words.
        said: what it said last.
        out_of_memory: whether the system ended it for want of memory.
    """

    words: str
    said: str = ""
    out_of_memory: bool = False

    def told(self, share: Share | None) -> str:
        """Return how it ended, in words for its visitor.

        Args:
            share: what the visitor could take; None where that was not bounded.
        """
        if not self.out_of_memory or share is None or not share.memory:
            return self.words
        return f"it had used up the {share.memory >> 20} MiB of memory that each visitor may have"


def _end_of(status: KeptStatus, said: str = "") -> ServerEnd:
    starved = status.exit_status is not None and status.exit_status.out_of_memory
    return ServerEnd(status.describe(), said, starved)


class RunningServer(Protocol):
    """A server that was started: a process of this machine, or a container."""

    @property
    def pid(self) -> int | None:
        """Its process id, as far as it is known."""
        ...

    @property
    def keeper_pid(self) -> int:
        """Process id from which it and all it has started descend."""
        ...

    @property
    def address(self) -> str:
        """Where it is reached from here, as a route has it; empty for by its socket."""
        ...

    @property
    def groups(self) -> tuple[str, ...]:
        """Folders of control groups that it was put into by others than this service."""
        ...

    @property
    def sleeps(self) -> bool:
        """Whether it can be put to sleep."""
        ...

    @property
    def asleep(self) -> bool:
        """Whether it was put to sleep."""
        ...

    async def sleep(self) -> None:
        """End it, but not its kernels; raises MoorageError."""
        ...

    async def wake(self, start: ServerStart) -> None:
        """Start it again; raises MoorageError."""
        ...

    async def ended(self) -> ServerEnd:
        """Wait for its end and return how it ended. Cancelling stops the waiting."""
        ...

    async def said(self) -> str:
        """Return the newest part of what it wrote."""
        ...

    async def end(self, grace: float = 0) -> None:
        """End it with all it started; return when nothing of it is left.

        Args:
            grace: seconds between SIGTERM and SIGKILL; 0 for SIGKILL at once.
        """
        ...


class ServerProcess:
    """A server's process, by its keeper.

    Args:
        kept: a link to it.
    """

    def __init__(self, kept: Kept) -> None:
        self.kept = kept

    @property
    def pid(self) -> int | None:
        """Its process id, as far as it is known; behind walls that of process 1, also while it sleeps."""
        return self.kept.pid or tender_of(self.kept)

    @property
    def keeper_pid(self) -> int:
        """Process id of its keeper, from which it and all it has started descend."""
        return keeper_pid(self.kept)

    @property
    def address(self) -> str:
        """Empty: it is reached by its socket, or where its record says."""
        return ""

    @property
    def groups(self) -> tuple[str, ...]:
        """None: its record has those that it is in."""
        return ()

    @property
    def sleeps(self) -> bool:
        """Whether it can be put to sleep: a warden keeps its kernels."""
        return can_sleep(self.kept)

    @property
    def asleep(self) -> bool:
        """Whether it was put to sleep."""
        return sleeps(self.kept)

    async def sleep(self) -> None:
        """End it, but not its kernels.

        Raises:
            MoorageError: its keeper is gone, or does not do so.
        """
        await put_to_sleep(self.kept)

    async def wake(self, start: ServerStart) -> None:
        """Start it again.

        Raises:
            MoorageError: its keeper is gone, or does not do so.
        """
        await wake(self.kept, start.argv, start.cwd, start.env)

    async def ended(self) -> ServerEnd:
        """Wait for its end and return how it ended. Cancelling stops the waiting."""
        try:
            return _end_of(await self.kept.wait())
        except (KeeperLost, DeadlineExceeded) as error:
            return ServerEnd(error.what)

    async def said(self) -> str:
        """Return the newest part of what it wrote."""
        try:
            return (await self.kept.status()).output
        except (KeeperLost, DeadlineExceeded):
            return ""

    async def end(self, grace: float = 0) -> None:
        """End it with all it started; return when nothing of it is left.

        Args:
            grace: seconds between SIGTERM and SIGKILL; 0 for SIGKILL at once.
        """
        try:
            await self.kept.end(grace)
        except (KeeperLost, DeadlineExceeded):
            await self.kept.aclose()
            await kill(self.kept.directory)


Running = TypeVar("Running", bound=RunningServer)


@dataclass(frozen=True)
class FoundServers:
    """What an earlier service has left.

    Args:
        running: processes by name.
        ended: of those that ended since, how they did.
    """

    running: Mapping[ServerId, RunningServer]
    ended: Mapping[ServerId, ServerEnd]


class ServerStarter(Protocol):
    """Starts servers and finds them again: as processes of this machine, or as containers."""

    def warden_of(self, server: ServerId) -> Path:
        """Return the path of the socket of the warden that a server which may sleep has beside it."""
        ...

    def start(self, server: ServerId, start: ServerStart) -> AbstractAsyncContextManager[RunningServer]:
        """Start one; leaving the block ends what is left of it; raises MoorageError."""
        ...

    async def find(self) -> FoundServers:
        """Find what an earlier service has left."""
        ...


class ServerProcesses:
    """Starts servers' processes and finds them again.

    Args:
        directory: where keepers have their own directories.
        lease: seconds for which a server lives on without a service.
        templates: servers are forked from, where they can be; None to spawn all.
        label: what keepers call them.
    """

    def __init__(
        self,
        directory: Path,
        lease: float,
        templates: ServerTemplates | None = None,
        label: str = "temporary server",
    ) -> None:
        self._directory = directory
        self._lease = lease
        self._label = label
        self._templates = templates or ServerTemplates(wanted=False)

    def warden_of(self, server: ServerId) -> Path:
        """Return the path of the socket of the warden that a server which may sleep has beside it."""
        return self._directory / server / WARDEN

    @asynccontextmanager
    async def start(self, server: ServerId, start: ServerStart) -> AsyncIterator[RunningServer]:
        """Start one, forked or spawned; leaving the block ends what is left of it.

        Raises:
            LaunchError: the program cannot be started.
            KeeperLost, DeadlineExceeded: its keeper cannot.
        """
        async with held(await self.begin(server, start)) as process:
            yield process

    async def begin(self, server: ServerId, start: ServerStart) -> ServerProcess:
        """Start one that :meth:`ServerProcess.end` is to end; as :meth:`start` otherwise.

        Cancelling leaves nothing of it.
        """
        return ServerProcess(await self._forked(server, start) or await self._kept(server, start))

    async def _forked(self, server: ServerId, start: ServerStart) -> Kept | None:
        """Fork one from a template; None where it is to be spawned, which the log tells the reason of.

        What a template was asked for in vain is asked of its successor, which others may have had made.
        """
        why = ""
        for _ in range(2):
            template = await self._templates.template_for(start.argv, start.env)
            if isinstance(template, str):
                why = why or template
                break
            try:
                with template.watched():
                    return await self._kept(server, start, template.fork)
            except (LaunchError, KeeperLost, DeadlineExceeded) as error:
                await template.gone()
                tidy(self._directory / server)  # the lock of what was asked for in vain may have ended last
                why = why or template.why or error.what
        if why:
            log.info("Server %s is spawned: %s", server, why)
        return None

    async def _kept(self, server: ServerId, start: ServerStart, keeper: KeeperStart | None = None) -> Kept:
        return await start_kept(
            start.argv,
            directory=self._directory,
            name=server,
            cwd=start.cwd,
            env=start.env,
            lease=self._lease,
            process=start.process,
            label=self._label,
            keeper=keeper,
            warden=start.sleeps and keeper is not None,
            walls=start.walls,
            groups=start.groups,
        )

    async def look(self, server: ServerId) -> ServerProcess | EndedCharge | None:
        """Find one that an earlier process has left, or how it ended; None where there is none.

        Raises:
            UsageError: other users may write to the directory of keepers.
            KeeperLost, DeadlineExceeded: its keeper lives, and does not answer.
        """
        found = await look(self._directory / server)
        if not isinstance(found, Kept):
            return found
        await found.set_lease(self._lease)
        return ServerProcess(found)

    async def find(self) -> FoundServers:
        """Find what an earlier service has left, and end what does not answer."""
        found = await find(self._directory)
        for each in found.silent:
            log.warning("%s", each.error)
            await kill(each.directory)
        for kept in found.kept:
            await kept.set_lease(self._lease)
        return FoundServers(
            {ServerId(kept.name): ServerProcess(kept) for kept in found.kept},
            {ServerId(each.name): _end_of(each.status, each.status.output) for each in found.ended},
        )


@asynccontextmanager
async def held(process: Running) -> AsyncIterator[Running]:
    """End a process when the block is left, also when that is cancelled a second time."""
    try:
        yield process
    finally:
        await to_its_end(process.end(), name="end a temporary server")
