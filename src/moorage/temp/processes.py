"""The process of a visitor's server: how it is started, found again, ended. The one place that knows.

Each has a keeper, so that it lives on when the service is killed: the next one finds it.
"""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.errors import DeadlineExceeded, KeeperLost, LaunchError
from moorage.json_types import JsonMapping
from moorage.keeper.found import find, kill
from moorage.keeper.kept import Kept
from moorage.keeper.sleeping import can_sleep, keeper_pid, put_to_sleep, sleeps, wake
from moorage.keeper.start import KeeperStart
from moorage.keeper.start import start as start_kept
from moorage.keeper.tidy import tidy
from moorage.plan.visits import ServerId
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
    """

    argv: tuple[str, ...] = field(repr=False)
    cwd: Path
    env: Mapping[str, str] = field(repr=False)
    sleeps: bool = False
    walls: JsonMapping | None = field(default=None, repr=False)


class ServerProcess:
    """A server's process, by its keeper.

    Args:
        kept: a link to it.
    """

    def __init__(self, kept: Kept) -> None:
        self.kept = kept

    @property
    def pid(self) -> int | None:
        """Its process id, as far as it is known."""
        return self.kept.pid

    @property
    def keeper_pid(self) -> int:
        """Process id of its keeper, from which it and all it has started descend."""
        return keeper_pid(self.kept)

    @property
    def sleeps(self) -> bool:
        """Whether it can be put to sleep: a warden is beside it."""
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

    async def ended(self) -> str:
        """Wait for its end and return how it ended, in words. Cancelling stops the waiting."""
        try:
            return (await self.kept.wait()).describe()
        except (KeeperLost, DeadlineExceeded) as error:
            return error.what

    async def said(self) -> str:
        """Return the newest part of what it wrote."""
        try:
            return (await self.kept.status()).output
        except (KeeperLost, DeadlineExceeded):
            return ""

    async def end(self) -> None:
        """End it at once with all it started; return when nothing of it is left."""
        try:
            await self.kept.end(grace=0)
        except (KeeperLost, DeadlineExceeded):
            await self.kept.aclose()
            await kill(self.kept.directory)


@dataclass(frozen=True)
class FoundServers:
    """What an earlier service has left.

    Args:
        running: processes by name.
        ended: of those that ended since, how they did, and what they said last.
    """

    running: Mapping[ServerId, ServerProcess]
    ended: Mapping[ServerId, tuple[str, str]]


class ServerProcesses:
    """Starts servers' processes and finds them again.

    Args:
        directory: where keepers have their own directories.
        lease: seconds for which a server lives on without a service.
        templates: servers are forked from, where they can be; None to spawn all.
    """

    def __init__(self, directory: Path, lease: float, templates: ServerTemplates | None = None) -> None:
        self._directory = directory
        self._lease = lease
        self._templates = templates or ServerTemplates(wanted=False)

    @asynccontextmanager
    async def start(self, server: ServerId, start: ServerStart) -> AsyncIterator[ServerProcess]:
        """Start one, forked or spawned; leaving the block ends what is left of it.

        Raises:
            LaunchError: the program cannot be started.
            KeeperLost, DeadlineExceeded: its keeper cannot.
        """
        kept = await self._forked(server, start) or await self._kept(server, start)
        async with held(ServerProcess(kept)) as process:
            yield process

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
            label="temporary server",
            keeper=keeper,
            # A warden beside the server is outside its walls, and starts what the server asks for.
            warden=start.sleeps and keeper is not None and start.walls is None,
            walls=start.walls,
        )

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
            {ServerId(each.name): (each.status.describe(), each.status.output) for each in found.ended},
        )


@asynccontextmanager
async def held(process: ServerProcess) -> AsyncIterator[ServerProcess]:
    """End a process when the block is left, also when that is cancelled a second time."""
    try:
        yield process
    finally:
        await to_its_end(process.end(), name="end a temporary server")
