"""One temporary server, from its private directory to the last of it."""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import msgspec

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.errors import LaunchError, MoorageError
from moorage.plan.egress import PROXY_VARIABLES
from moorage.plan.targets import parse_target
from moorage.plan.visits import ServerId
from moorage.rendezvous.base import LOOPBACK
from moorage.rendezvous.hold import hold_port, port_of, share
from moorage.tasks import beside, to_its_end
from moorage.temp.home import Home, make_home, read_home
from moorage.temp.processes import RunningServer, ServerEnd, ServerStart, ServerStarter, held
from moorage.temp.readiness import answering
from moorage.temp.record import Owner, ServerRecord, remove_directory, write_record
from moorage.temp.settings import TempSettings
from moorage.temp.sleep_files import write_start
from moorage.temp.start_turns import StartTurns
from moorage.temp.template.choice import server_of
from moorage.temp.walled import PORT, Surroundings

if sys.platform == "linux":
    from moorage.temp.reached import opened_inside, socket_inside

SAID = 6000
"""Characters of a server's last words that are kept."""


class ReachedSocket(Protocol):
    """A server's socket behind walls; see :class:`moorage.temp.reached.SocketInside`."""

    @property
    def target(self) -> str:
        """Where it is reached, as a route has it."""

    async def find(self, pid: int) -> None:
        """Wait until it appears."""

    def remove(self, pid: int) -> None:
        """Remove it."""


@dataclass(frozen=True)
class Serving:
    """A server that answers.

    Args:
        record: how it is reached.
        home: its private directory.
        pid: of its process, as far as it is known.
        reached: its socket behind walls; None for where its record says.
        process: by its keeper; None where that is not known.
        address: of a container's; empty for none.
    """

    record: ServerRecord
    home: Home
    pid: int | None = None
    reached: ReachedSocket | None = None
    process: RunningServer | None = None
    address: str = ""

    @property
    def seen(self) -> Home:
        """Its private directory as the server sees it."""
        return Home(Path(self.record.inside), self.home.token) if self.record.inside else self.home

    @property
    def target(self) -> str:
        """Where it listens, as a route has it."""
        return (self.address or self.record.target) if self.reached is None else self.reached.target

    @property
    def asleep(self) -> bool:
        """Whether its process has ended, and its kernels live."""
        return self.process is not None and self.process.asleep

    @property
    def sleepless(self) -> bool:
        """Whether it is to sleep where it is not used, and cannot: it was spawned, not forked."""
        return self.record.sleep > 0 and (self.process is None or not self.process.sleeps)

    @property
    def root(self) -> int | None:
        """Process id of what all its processes descend from, as far as it is known."""
        if self.record.sleep and self.process is not None and self.process.sleeps:
            return self.process.keeper_pid  # kernels are not the server's own
        return self.pid

    @property
    def inside(self) -> int | None:
        """Process id of what is behind its walls for as long as they stand; None without walls."""
        return self.pid if self.record.walled else None

    @contextmanager
    def files(self, folder: Path | None = None) -> Iterator[Path]:
        """Yield a folder of the visitor's, as this process reads it.

        Args:
            folder: as the server sees it; None for that of the visitor's own files.

        Raises:
            OSError: it is not there any more.
        """
        folder = folder or (self.home if self.inside is None else self.seen).work
        if sys.platform == "linux" and self.inside is not None:
            descriptor = opened_inside(self.inside, folder)
            try:
                yield Path(f"/proc/self/fd/{descriptor}")
            finally:
                os.close(descriptor)
        else:
            yield folder

    def forget_socket(self) -> None:
        """Remove the socket of its process, which has ended.

        Raises:
            MoorageError, OSError: it is not reached, or something else is in its place.
        """
        if self.reached is not None and self.inside is not None:
            self.reached.remove(self.inside)
        else:
            self.home.socket.unlink(missing_ok=True)

    async def answering(self) -> None:
        """Wait until it answers; as :func:`moorage.temp.readiness.answering`.

        Raises:
            LaunchError: what it listens at is no socket, or cannot be reached.
        """
        if self.reached is not None and self.inside is not None:
            await self.reached.find(self.inside)
        await answering(parse_target(self.target), self.record.ready)

    @property
    def server(self) -> ServerId:
        """Its name."""
        return ServerId(self.home.path.name)


@dataclass(frozen=True)
class ServerOutcome:
    """How a server ended, or why it could not be started, and the last of what it said."""

    why: str
    said: str = ""


Answers = Callable[[Serving], Coroutine[None, None, None]]
"""What is awaited once a server answers."""


def kind_of(settings: TempSettings, walling: Surroundings | None) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return what servers of an offer have in common: their command, unfilled, and their environment."""
    return settings.command.argv, _environment(settings, Home(settings.state, ""), walling)


def _environment(settings: TempSettings, home: Home, walling: Surroundings | None) -> dict[str, str]:
    base = os.environ if walling is None else walling.base(settings.command)
    more = {**PROXY_VARIABLES, **settings.env} if settings.egress else settings.env
    env = home.environment(base, more, jupyter=settings.command.jupyter)
    return env if walling is None else walling.environment(env)


async def run_server(
    server: ServerId,
    owner: Owner,
    settings: TempSettings,
    processes: ServerStarter,
    answers: Answers,
    turns: StartTurns,
    walling: Surroundings | None = None,
) -> ServerOutcome:
    """Start a server when it is its turn, say when it answers, and wait for its end.

    Args:
        server: its name.
        owner: whose it is.
        settings: of the service, with those of the server's offer.
        processes: starts its process.
        answers: awaited once it answers.
        turns: of starting.
        walling: what is around it; None for nothing.

    Returns:
        How it ended, or why it could not be started. Nothing is left of it then.

    Cancelling ends it, and returns when nothing is left of it.
    """
    directory = settings.state / "servers" / server
    try:
        async with turns.turn() as turn_ended, _removed(directory):
            sleeps = may_sleep(settings)
            beside = processes.warden_of(server) if walling is None else Home(directory, "").warden
            warden = beside if sleeps else None
            home = await make_home(directory, settings.content, warden)
            with _address(home, settings, walling) as (target, port, answered):
                record = _record(server, owner, settings, home, target, walling)
                write_record(directory, record)
                start = await _start(server, settings, home, port, walling)
                if sleeps:
                    write_start(directory, start)
                async with processes.start(server, start) as process:

                    async def told(serving: Serving) -> None:
                        turn_ended()
                        answered()
                        await answers(serving)

                    return await _attend(
                        process,
                        Serving(record, home, process.pid, process=process),
                        settings.start_timeout,
                        told,
                    )
    except MoorageError as error:
        return ServerOutcome(str(error))


async def resume_server(
    server: ServerId, record: ServerRecord, settings: TempSettings, process: RunningServer, answers: Answers
) -> ServerOutcome:
    """Take over a server that an earlier service has started; as :func:`run_server` otherwise.

    Args:
        server: its name.
        record: what that service wrote down.
        settings: of this one.
        process: that runs.
        answers: awaited once it answers.
    """
    directory = settings.state / "servers" / server
    async with _removed(directory), held(process):
        home = read_home(directory)
        serving = Serving(record, home, process.pid, process=process)
        return await _attend(process, serving, settings.start_timeout, answers)


def _record(
    server: ServerId,
    owner: Owner,
    settings: TempSettings,
    home: Home,
    target: str,
    walling: Surroundings | None,
) -> ServerRecord:
    command = settings.command
    by_host = settings.urls.by_host
    stripped = command.stripped and not by_host
    ready = "/" if stripped else settings.urls.base(server) + command.ready
    own = command.jupyter and command.argv[0] == sys.executable
    groups = () if walling is None else walling.groups_of(server)
    return ServerRecord(
        owner.visitor, target, ready, command.jupyter, stripped, settings.offer, command.called,
        settings.landing, own, walling is not None, owner.address, time.time(), by_host, groups,
        None if walling is None else settings.share,
        settings.sleep if may_sleep(settings) else 0.0,
        "" if walling is None or walling.inside(home) == home else str(walling.inside(home).path),
        settings.brake_after if groups else 0.0,
    )  # fmt: skip


def may_sleep(settings: TempSettings) -> bool:
    """Tell whether servers are to be put to sleep, and can be: those that are forked."""
    forked = settings.fork and settings.engine is None and bool(server_of(settings.command.argv))
    return settings.sleep > 0 and forked


async def _start(
    server: ServerId, settings: TempSettings, home: Home, port: int, walling: Surroundings | None
) -> ServerStart:
    command = settings.command
    inside = home if walling is None else walling.inside(home)
    argv = command.filled(
        base_path=settings.urls.base(server).rstrip("/"),
        socket=str(inside.socket),
        port=str(port),
        token=home.token,
    )
    env = _environment(settings, inside, walling)
    walls = None
    if walling is not None:
        walls = await walling.walls_of(server, command, home, env, port, settings.share)
    return ServerStart(argv, home.work, env, sleeps=may_sleep(settings), walls=walls)


async def _attend(
    process: RunningServer, serving: Serving, seconds: float, answers: Answers
) -> ServerOutcome:
    """Say when a server answers, and wait for its end."""
    async with AsyncExitStack() as stack:

        async def asked() -> Serving:
            found = serving
            if process.address:
                found = replace(serving, address=process.address)
            elif sys.platform == "linux" and serving.inside is not None:
                found = replace(serving, reached=stack.enter_context(socket_inside(serving.seen.socket)))
            if not serving.asleep:  # since an earlier service
                await found.answering()
            if process.groups:
                found = replace(found, record=msgspec.structs.replace(found.record, groups=process.groups))
            return found

        answering_now, ended = await _ready(process, asked, seconds)
        if answering_now is not None:
            await answers(answering_now)
            ended = await process.ended()
    said = (await process.said()).replace(serving.home.token, "...")[-SAID:]
    return ServerOutcome(ended.told(serving.record.share), said)


async def _ready(
    process: RunningServer, asked: Callable[[], Coroutine[None, None, Serving]], seconds: float
) -> tuple[Serving | None, ServerEnd]:
    """Wait until a server answers and return it; where it never does, None and why."""
    try:
        async with (
            asyncio.timeout(seconds) as limit,
            beside(process.ended(), name="wait for a server's end") as ending,
            beside(asked(), name="ask a server") as asking,
        ):
            await asyncio.wait([ending, asking], return_when=asyncio.FIRST_COMPLETED)
    except TimeoutError:
        if not limit.expired():
            raise
        return None, ServerEnd(f"it did not answer within {seconds:g} s")
    if asking.done() and not asking.cancelled():
        return asking.result(), ServerEnd("")
    return None, ending.result()


@asynccontextmanager
async def _removed(directory: Path) -> AsyncIterator[None]:
    """Remove what belongs to a server when the block is left, also when that is cancelled a second time."""
    try:
        yield
    finally:
        await to_its_end(remove_directory(directory), name="remove a server's directory")


@contextmanager
def _address(
    home: Home, settings: TempSettings, walling: Surroundings | None
) -> Iterator[tuple[str, int, Callable[[], None]]]:
    """Yield where a server is reached, its port or 0, and what is called once it listens."""
    by_port = settings.command.uses("port")
    if not by_port or walling is not None:  # in a network of its own that port is free
        yield f"unix:{home.socket}", PORT if by_port else 0, lambda: None
        return
    try:
        held_port = hold_port()
    except OSError as error:
        raise LaunchError("no free port could be taken for a server", why=str(error)) from error
    with held_port:
        port = port_of(held_port)
        yield f"http://{LOOPBACK}:{port}", port, lambda: share(held_port, False)
