"""What is around visitors' servers: a container each where the service is told so, walls otherwise."""
# ruff: noqa: E402 - what walls need is not there on Windows

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import stat
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

assert sys.platform != "win32", "servers listen on Unix sockets"

from moorage.errors import LaunchError, UsageError
from moorage.json_types import JsonObject
from moorage.places.docker import Engine, EngineInfo, EngineRefuses, EngineSilent, open_engine
from moorage.plan.containers import (
    GIVEN,
    NO_NETWORK,
    PORT_LABEL,
    PRIVATE,
    SERVER_LABEL,
    STATE_LABEL,
    ContainerKind,
    Mount,
    container,
    listed,
    told,
    user_of,
)
from moorage.plan.containers import (
    NOTICE as NOTICE_THERE,
)
from moorage.plan.control_groups import GroupsGiven
from moorage.plan.visits import ServerId
from moorage.plan.walls import Share
from moorage.tasks import in_thread, reaped, result_of, to_its_end
from moorage.temp import container_lease
from moorage.temp.commands import ServerCommand
from moorage.temp.container_lease import ALL_REMOVED, FILE
from moorage.temp.containers import ContainerServers
from moorage.temp.home import NOTICE, Home
from moorage.temp.processes import ServerProcesses, ServerStarter
from moorage.temp.settings import TempSettings
from moorage.temp.template.choice import ServerTemplates
from moorage.temp.walled import VISITOR, Surroundings, files_of, put_up

log = logging.getLogger("moorage.temp")

_OWN_FILES = ("/etc/passwd", "/etc/group")
_PATH = "JUPYTER_PATH"
_PROVISIONER = "JUPYTER_DEFAULT_PROVISIONER_NAME"
_READABLE = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
_GROUPS_OF_ENGINE = GroupsGiven(why="The groups of containers are the engine's")
_ENTERED = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


class Containing:
    """Puts a container around each server of one service.

    Args:
        engine: that makes them.
        info: what it tells of itself.
        state: the service's private directory.
    """

    strict = False
    """A server without a container is none of this service's."""

    def __init__(self, engine: Engine, info: EngineInfo, state: Path) -> None:
        self.engine, self.info = engine, info
        self._state = state
        self._variables: dict[str, Mapping[str, str]] = {}

    def base(self, command: ServerCommand) -> Mapping[str, str]:
        """Return the environment that the image brings along."""
        return self._variables[_kind(command).image]

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return a server's environment: kernels are started by what the image has."""
        inside = {name: value for name, value in env.items() if name != _PROVISIONER}
        if paths := inside.get(_PATH):
            inside[_PATH] = paths.replace(str(NOTICE), NOTICE_THERE)
        return {"USER": VISITOR, "LOGNAME": VISITOR, **inside}

    def inside(self, home: Home) -> Home:
        """Return a server's private directory as it is in the container."""
        return Home(Path(PRIVATE), home.token)

    def groups_of(self, server: ServerId) -> tuple[str, ...]:  # noqa: ARG002 - the engine makes them
        """Return none."""
        return ()

    async def walls_of(
        self,
        server: ServerId,
        command: ServerCommand,
        home: Home,
        env: Mapping[str, str],  # noqa: ARG002 - what starts it has it, too
        port: int,
        share: Share,
    ) -> JsonObject:
        """Return the container of one server, in the words of the engine.

        Args:
            server: its name.
            command: that it is started with.
            home: its private directory.
            env: its environment.
            port: of the container's network, where it listens; 0 for its socket.
            share: what its visitor may take.

        Raises:
            LaunchError: its files cannot be prepared.
        """
        kind = _kind(command)
        ids = user_of(
            server, (os.geteuid(), os.getegid()), rootless=self.info.rootless, remapped=self.info.remapped
        )
        files = (
            {}
            if kind.user
            else {
                Path(path).name: text
                for path, text in files_of(ids, self.inside(home)).items()
                if path in _OWN_FILES
            }
        )
        preparing = in_thread(lambda: _prepare(home, files), name="prepare a visitor's directory")
        try:
            await result_of(preparing)
        except asyncio.CancelledError:
            await reaped(preparing)
            raise
        except OSError as error:
            why = error.strerror or str(error)
            raise LaunchError("the visitor's files cannot be prepared", why=why) from error
        mounts = [Mount(str(home.path), GIVEN), Mount(str(NOTICE), NOTICE_THERE)]
        mounts += [Mount(str(home.path / name), f"/etc/{name}") for name in files]
        labels = {
            STATE_LABEL: str(self._state),
            SERVER_LABEL: server,
            **({PORT_LABEL: str(port)} if port else {}),
        }
        user = kind.user or f"{ids[0]}:{ids[1]}"
        return container(kind, user, share, mounts, labels)

    async def check(self, share: Share) -> None:
        """Check that the engine can bound what a visitor may take.

        Raises:
            UsageError: it cannot.
        """
        lacking = "memory" if share.memory and not self.info.memory_limit else ""
        lacking = lacking or ("cpus" if share.cpus and not self.info.cpu_cfs_quota else "")
        if lacking:
            why = "Docker's engine says that it cannot bound that here"
            raise UsageError(f"{lacking} cannot be kept for visitors", why=why)

    async def prepare(self, command: ServerCommand) -> None:
        """Look at the image of a command.

        Raises:
            UsageError: it is not there, or the engine does not answer.
        """
        kind = _kind(command)
        try:
            self._variables[kind.image] = await self.engine.variables(kind.image)
            known = kind.network == NO_NETWORK or await self.engine.has_network(kind.network)
        except EngineSilent as error:
            raise _unreachable(error) from error
        except EngineRefuses as error:
            what = f"there is no image {kind.image} at {self.engine.socket}"
            raise UsageError(what, why=error.why, do=f"Type: docker pull {kind.image}") from error
        if not known:
            what = f"there is no network {kind.network} at {self.engine.socket}"
            raise UsageError(what, do=f"Type: docker network create {kind.network}")


def _kind(command: ServerCommand) -> ContainerKind:
    if command.container is None:
        raise LaunchError(f"{command.called} has no image")
    return command.container


def _prepare(home: Home, files: Mapping[str, str]) -> None:
    """Write files beside what a visitor begins with, and let the container's user read all of it.

    The directory of the service, in which it lies, is entered by the service's user alone.
    """
    for name, text in files.items():
        (home.path / name).write_text(text)
    home.path.chmod(0o755)
    for folder, folders, names in os.walk(home.path):
        here = Path(folder)
        for each in folders:
            if not (here / each).is_symlink():
                (here / each).chmod((here / each).stat().st_mode | _READABLE | _ENTERED)
        for each in names:
            if not (here / each).is_symlink():
                (here / each).chmod((here / each).stat().st_mode | _READABLE)


def _unreachable(error: EngineSilent) -> UsageError:
    do = "Start it, or name its socket with --docker-socket or DOCKER_HOST"
    return UsageError(error.what, why=error.why, do=do)


@asynccontextmanager
async def surroundings(settings: TempSettings, *, elsewhere: bool) -> AsyncIterator[Surroundings | None]:
    """Yield what is around servers, and say what there is; None for nothing.

    Args:
        settings: of the service.
        elsewhere: whether visitors of other machines come in.

    Raises:
        UsageError: what is needed or asked for cannot be had.
    """
    if settings.engine is None:
        yield await put_up(settings, elsewhere=elsewhere)
        return
    async with open_engine(settings.engine) as engine:
        try:
            info = await engine.info()
        except EngineSilent as error:
            raise _unreachable(error) from error
        found = Containing(engine, info, settings.state.resolve())
        await found.check(settings.share)
        kind = _kind(settings.command)
        between = listed([kind] if kind.image else [])
        log.info("Between visitors: %s, by Docker %s at %s", between, info.server_version, engine.socket)
        for line in info.missing:
            log.warning("%s", line)
        log.info("Each may take %s", told(settings.share))
        if not settings.share.memory:
            log.info("The memory of a visitor is not bounded: --memory would")
        if line := _GROUPS_OF_ENGINE.brake_told(settings.brake_after, ""):
            log.info("%s", line)
        yield found


@asynccontextmanager
async def starter(
    settings: TempSettings, around: Surroundings | None, templates: ServerTemplates
) -> AsyncIterator[ServerStarter]:
    """Yield what starts servers, for as long as a service may have any.

    Args:
        settings: of the service.
        around: what is around them.
        templates: that they are forked from, where they are processes of this machine.
    """
    processes = ServerProcesses(settings.state / "kept", settings.lease, templates)
    state = settings.state.resolve()
    if not isinstance(around, Containing):
        await _end_containers(state)
        yield processes
        return
    async with leased(around.engine.socket, state, settings.lease):
        yield ContainerServers(around.engine, state, processes)


async def _end_containers(state: Path) -> None:
    """Remove the containers of an earlier service of a state directory, whose servers were in some."""
    file = state / FILE
    if not file.exists():
        return
    _, _, engine = file.read_text().partition("\n")
    log.warning("Servers of an earlier service are ended: they are containers of %s", engine)
    try:
        await in_thread(lambda: container_lease.remove_all(engine, str(state)), name="remove containers")
    except OSError as error:
        log.warning("Their containers are not removed: %s", error.strerror or error)
    file.unlink()


@asynccontextmanager
async def leased(engine: Path, state: Path, seconds: float) -> AsyncIterator[asyncio.subprocess.Process]:
    """Have containers removed that outlive this process by too long, unless a later one has them.

    Args:
        engine: its socket.
        state: private directory of the service, which has its lock.
        seconds: that they live on.

    Leaving the block says that there are none.
    """
    generation = secrets.token_hex(8)
    await in_thread(lambda: (state / FILE).write_text(f"{generation}\n{engine}"), name="write a lease")
    words = ["-P", "-m", container_lease.__name__, str(engine), str(state), str(seconds), generation]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    try:
        yield process
    finally:
        (state / FILE).unlink(missing_ok=True)
        await to_its_end(_released(process), name="end a lease")


async def _released(process: asyncio.subprocess.Process) -> None:
    await process.communicate(ALL_REMOVED)
