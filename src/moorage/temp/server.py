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

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.errors import LaunchError, MoorageError
from moorage.plan.targets import parse_target
from moorage.plan.visits import ServerId
from moorage.rendezvous.base import LOOPBACK
from moorage.rendezvous.hold import hold_port, port_of, share
from moorage.tasks import to_its_end
from moorage.temp.home import Home, make_home, read_home
from moorage.temp.processes import ServerProcess, ServerProcesses, ServerStart, held
from moorage.temp.readiness import answering
from moorage.temp.record import Owner, ServerRecord, remove_directory, write_record
from moorage.temp.settings import TempSettings
from moorage.temp.start_turns import StartTurns
from moorage.temp.walled import PORT, Walling

if sys.platform == "linux":
    from moorage.temp.reached import opened_inside, socket_inside

SAID = 6000
"""Characters of a server's last words that are kept."""


@dataclass(frozen=True)
class Serving:
    """A server that answers.

    Args:
        record: how it is reached.
        home: its private directory.
        pid: of its process, as far as it is known.
        reached: where it is reached from here; empty for where its record says.
    """

    record: ServerRecord
    home: Home
    pid: int | None = None
    reached: str = ""

    @property
    def target(self) -> str:
        """Where it listens, as a route has it."""
        return self.reached or self.record.target

    @contextmanager
    def files(self) -> Iterator[Path]:
        """Yield the folder of the visitor's files, as this process reads it.

        Raises:
            OSError: it is not there any more.
        """
        if sys.platform == "linux" and self.record.walled and self.pid is not None:
            descriptor = opened_inside(self.pid, self.home.work)
            try:
                yield Path(f"/proc/self/fd/{descriptor}")
            finally:
                os.close(descriptor)
        else:
            yield self.home.work

    @property
    def server(self) -> ServerId:
        """Its name."""
        return ServerId(self.home.path.name)


@dataclass(frozen=True)
class ServerOutcome:
    """How a server ended, or why it could not be started, and the last of what it said."""

    why: str
    said: str = ""


Answers = Callable[[Serving], None]
"""What is called once a server answers."""


def kind_of(settings: TempSettings, walling: Walling | None) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return what servers of an offer have in common: their command, unfilled, and their environment."""
    return settings.command.argv, _environment(settings, Home(settings.state, ""), walling)


def _environment(settings: TempSettings, home: Home, walling: Walling | None) -> dict[str, str]:
    env = home.environment(os.environ, settings.env, jupyter=settings.command.jupyter)
    return env if walling is None else walling.environment(env)


async def run_server(
    server: ServerId,
    owner: Owner,
    settings: TempSettings,
    processes: ServerProcesses,
    answers: Answers,
    turns: StartTurns,
    walling: Walling | None = None,
) -> ServerOutcome:
    """Start a server when it is its turn, say when it answers, and wait for its end.

    Args:
        server: its name.
        owner: whose it is.
        settings: of the service, with those of the server's offer.
        processes: starts its process.
        answers: called once it answers.
        turns: of starting.
        walling: puts up the walls around it; None for none.

    Returns:
        How it ended, or why it could not be started. Nothing is left of it then.

    Cancelling ends it, and returns when nothing is left of it.
    """
    directory = settings.state / "servers" / server
    try:
        async with turns.turn() as turn_ended, _removed(directory):
            home = await make_home(directory, settings.content)
            with _address(home, settings, walling) as (target, port, answered):
                record = _record(server, owner, settings, target, walling)
                write_record(directory, record)
                start = await _start(server, settings, home, port, walling)
                async with processes.start(server, start) as process:

                    def told(serving: Serving) -> None:
                        turn_ended()
                        answered()
                        answers(serving)

                    return await _attend(
                        process, Serving(record, home, process.pid), settings.start_timeout, told
                    )
    except MoorageError as error:
        return ServerOutcome(str(error))


async def resume_server(
    server: ServerId, record: ServerRecord, settings: TempSettings, process: ServerProcess, answers: Answers
) -> ServerOutcome:
    """Take over a server that an earlier service has started; as :func:`run_server` otherwise.

    Args:
        server: its name.
        record: what that service wrote down.
        settings: of this one.
        process: that runs.
        answers: called once it answers.
    """
    directory = settings.state / "servers" / server
    async with _removed(directory), held(process):
        home = read_home(directory)
        return await _attend(process, Serving(record, home, process.pid), settings.start_timeout, answers)


def _record(
    server: ServerId, owner: Owner, settings: TempSettings, target: str, walling: Walling | None
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
    )  # fmt: skip


async def _start(
    server: ServerId, settings: TempSettings, home: Home, port: int, walling: Walling | None
) -> ServerStart:
    command = settings.command
    argv = command.filled(
        base_path=settings.urls.base(server).rstrip("/"),
        socket=str(home.socket),
        port=str(port),
        token=home.token,
    )
    env = _environment(settings, home, walling)
    walls = None if walling is None else await walling.walls_of(server, command, home, env, port)
    return ServerStart(argv, home.work, env, walls=walls)


async def _attend(
    process: ServerProcess, serving: Serving, seconds: float, answers: Answers
) -> ServerOutcome:
    """Say when a server answers, and wait for its end."""
    async with AsyncExitStack() as stack:

        async def asked() -> Serving:
            found = serving
            if sys.platform == "linux" and serving.record.walled and process.pid is not None:
                at = socket_inside(process.pid, serving.home.socket)
                found = replace(serving, reached=await stack.enter_async_context(at))
            await answering(parse_target(found.target), serving.record.ready)
            return found

        answering_now, ended = await _ready(process, asked, seconds)
        if answering_now is not None:
            answers(answering_now)
            ended = await process.ended()
    said = (await process.said()).replace(serving.home.token, "...")[-SAID:]
    return ServerOutcome(ended, said)


async def _ready(
    process: ServerProcess, asked: Callable[[], Coroutine[None, None, Serving]], seconds: float
) -> tuple[Serving | None, str]:
    """Wait until a server answers and return it; where it never does, None and why."""
    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
            ending = tasks.create_task(process.ended())
            asking = tasks.create_task(asked())
            await asyncio.wait([ending, asking], return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
            asking.cancel()
    except TimeoutError:
        return None, f"it did not answer within {seconds:g} s"
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    if asking.done() and not asking.cancelled():
        return asking.result(), ""
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
    home: Home, settings: TempSettings, walling: Walling | None
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
