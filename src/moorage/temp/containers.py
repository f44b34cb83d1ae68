"""Visitors' servers as containers of Docker's engine: started, found again by their labels, ended.

A container lives on when the service is killed, and needs no keeper: the engine is its parent.
"""
# ruff: noqa: E402 - what describes processes is not there on Windows

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

assert sys.platform != "win32", "servers listen on Unix sockets"

from moorage.errors import LaunchError
from moorage.exit_status import ExitStatus
from moorage.places.docker import Container, ContainerState, Engine, EngineRefuses, EngineSilent
from moorage.plan.backoff import pause
from moorage.plan.containers import PORT_LABEL, SERVER_LABEL, STATE_LABEL
from moorage.plan.control_groups import parents
from moorage.plan.visits import ServerId
from moorage.tasks import to_its_end
from moorage.temp.processes import FoundServers, RunningServer, ServerEnd, ServerStart, ServerStarter

log = logging.getLogger("moorage.temp")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between questions to an engine that does not answer: it is started anew, or busy."""
_KILLED = 137
"""The exit code of what SIGKILL ended, as a shell and an engine tell it: 128 + 9."""


def end_of(state: ContainerState, said: str = "") -> ServerEnd:
    """Return how a container ended, by what the engine tells of it."""
    starved = state.out_of_memory and state.exit_code == _KILLED
    by_signal = state.exit_code - 128 if 128 < state.exit_code < 160 else None
    status = ExitStatus(None if by_signal else state.exit_code, signal=by_signal, out_of_memory=starved)
    words = f"its container ended: {status.describe()}"
    return ServerEnd(f"{words}: {state.error}" if state.error else words, said, starved)


def groups_of(pid: int) -> tuple[str, ...]:
    """Return the folders of the control groups of another process; none where the system tells of none."""
    proc = Path("/proc")
    try:
        found = parents((proc / str(pid) / "cgroup").read_text(), (proc / "self/mountinfo").read_text())
    except OSError:
        return ()
    return tuple(each.own or each.folder for each in found)


class ContainerServer:
    """A server's container.

    Args:
        engine: that has it.
        name: by which the engine knows it.
        found: what the engine told of it when it ran.
    """

    def __init__(self, engine: Engine, name: str, found: Container) -> None:
        self._engine, self._name, self._found = engine, name, found

    @property
    def pid(self) -> int | None:
        """Process id of the first process in it, on this machine."""
        return self._found.state.pid or None

    @property
    def keeper_pid(self) -> int:
        """Process id of the first process in it, from which all others descend."""
        return self._found.state.pid

    @property
    def address(self) -> str:
        """Where a server is reached that listens at a port of its network; empty for by its socket."""
        port = self._found.labels.get(PORT_LABEL, "")
        return f"http://{self._found.address}:{port}" if port else ""

    @property
    def groups(self) -> tuple[str, ...]:
        """Folders of the control groups that the engine made for it; none where the system tells of none."""
        return groups_of(self.pid) if self.pid is not None else ()

    @property
    def sleeps(self) -> bool:
        """False: a container has its kernels in it."""
        return False

    @property
    def asleep(self) -> bool:
        """False."""
        return False

    async def sleep(self) -> None:
        """Raise LaunchError: it cannot."""
        raise LaunchError("a container cannot be put to sleep")

    async def wake(self, start: ServerStart) -> None:
        """Raise LaunchError: it cannot have slept."""
        raise LaunchError(f"a container cannot be woken, for {start.argv[0]}")

    async def ended(self) -> ServerEnd:
        """Wait for its end and return how it ended. Cancelling stops the waiting.

        An engine that does not answer meanwhile is asked again: containers may outlive its restart.
        """
        failures = 0
        while True:
            try:
                await self._engine.wait(self._name)
                state = (await self._engine.inspect(self._name)).state
            except EngineSilent as error:
                if not failures:
                    log.warning("%s", error)
                failures += 1
                await asyncio.sleep(pause(FIRST_PAUSE, LONGEST_PAUSE, failures))
            except EngineRefuses as error:
                gone = error.status == HTTPStatus.NOT_FOUND
                return ServerEnd("its container was removed" if gone else str(error))
            else:
                failures = 0
                if not state.running:
                    return end_of(state)

    async def said(self) -> str:
        """Return the newest part of what it wrote."""
        try:
            return await self._engine.said(self._name)
        except (EngineSilent, EngineRefuses):
            return ""

    async def end(self, grace: float = 0) -> None:  # noqa: ARG002 - nothing in it needs any
        """End all that runs in it at once, and remove it; what cannot be is told in the log."""
        await _removed(self._engine, self._name)


class ContainerServers:
    """Starts servers' containers and finds them again.

    Args:
        engine: that has them.
        state: private directory of the service, by which they are found.
        processes: finds servers of an earlier service that had them as processes of this machine.
    """

    def __init__(self, engine: Engine, state: Path, processes: ServerStarter) -> None:
        self._engine, self._state, self._processes = engine, state, processes

    def warden_of(self, server: ServerId) -> Path:
        """Raise LaunchError: containers do not sleep."""
        raise LaunchError(f"the container of {server} has no warden")

    @asynccontextmanager
    async def start(self, server: ServerId, start: ServerStart) -> AsyncIterator[RunningServer]:
        """Start one; leaving the block ends what is left of it.

        Raises:
            EngineSilent, EngineRefuses: it cannot be started.
        """
        name = f"moorage-{server}"
        made: list[ContainerServer] = []

        async def make() -> None:
            made.append(await self._made(name, start))

        try:
            # What is cancelled while the engine makes it would be there after it was removed.
            await to_its_end(make(), name="start a container")
            yield made[0]
        finally:
            await to_its_end(_removed(self._engine, name), name="remove a container")

    async def _made(self, name: str, start: ServerStart) -> ContainerServer:
        assert start.walls is not None
        env = [f"{variable}={value}" for variable, value in start.env.items()]
        await self._engine.create(name, {**start.walls, "Cmd": list(start.argv), "Env": env})
        await self._engine.start(name)
        found = await self._engine.inspect(name)
        _check_seen(found.state.pid, str(start.walls["Entrypoint"][-1]))
        return ContainerServer(self._engine, name, found)

    async def find(self) -> FoundServers:
        """Find what an earlier service has left; what has ended, or is no container, is removed."""
        for process in (await self._processes.find()).running.values():
            log.warning("A server of an earlier service is ended: it is a process, not a container")
            await process.end()
        running: dict[ServerId, RunningServer] = {}
        ended: dict[ServerId, ServerEnd] = {}
        for each in await self._engine.labelled(STATE_LABEL, str(self._state)):
            found = await self._engine.inspect(each)
            server = ServerId(found.labels.get(SERVER_LABEL, ""))
            if found.state.running:
                running[server] = ContainerServer(self._engine, found.id, found)
            else:
                ended[server] = end_of(found.state, await self._engine.said(each))
                await _removed(self._engine, each)
        return FoundServers(running, ended)


def _check_seen(pid: int, private: str) -> None:
    """Check that a process here is the first one of a container, by a file system that is mounted in it.

    Args:
        pid: that the engine tells.
        private: where a private directory is mounted in the container.

    Raises:
        LaunchError: it is another one, or may not be looked at.
    """
    what = "the server's container cannot be reached"
    try:
        mounts = Path(f"/proc/{pid}/mountinfo").read_text()
    except PermissionError:
        why = "Its processes are another user's, whose files and sockets root alone can open"
        raise LaunchError(what, why=why, do="Leave --user out") from None
    except OSError:
        return  # it has ended already
    escaped = private.replace("\\", "\\134").replace(" ", "\\040")
    if mounts and not any(line.split()[4] == escaped for line in mounts.splitlines()):
        why = f"Process {pid} is another one here: the engine is in another process namespace"
        raise LaunchError(what, why=why, do="Run moorage temp beside the engine")


async def _removed(engine: Engine, name: str) -> None:
    """End and remove a container; what cannot be is told in the log."""
    try:
        await engine.remove(name)
    except (EngineSilent, EngineRefuses) as error:
        log.warning("The container %s is not removed: %s", name, error)
