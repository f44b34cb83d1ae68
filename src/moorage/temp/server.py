"""One temporary server, from its private directory to the last of it."""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.errors import LaunchError, MoorageError
from moorage.plan.targets import parse_target
from moorage.plan.visits import ServerId
from moorage.rendezvous.base import LOOPBACK
from moorage.rendezvous.hold import hold_port, port_of, share
from moorage.tasks import in_thread, reaped
from moorage.temp.home import Home, make_home, read_home
from moorage.temp.processes import ServerProcess, ServerProcesses, ServerStart, held
from moorage.temp.readiness import answering
from moorage.temp.record import Owner, ServerRecord, write_record
from moorage.temp.settings import TempSettings

SAID = 6000
"""Characters of a server's last words that are kept."""


@dataclass(frozen=True)
class Serving:
    """A server that answers.

    Args:
        record: how it is reached.
        home: its private directory.
        pid: of its process, as far as it is known.
    """

    record: ServerRecord
    home: Home
    pid: int | None = None

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


def kind_of(settings: TempSettings) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return what servers of an offer have in common: their command, unfilled, and their environment."""
    command = settings.command
    home = Home(settings.state, "")
    return command.argv, home.environment(os.environ, settings.env, jupyter=command.jupyter)


async def run_server(
    server: ServerId,
    owner: Owner,
    settings: TempSettings,
    processes: ServerProcesses,
    answers: Answers,
) -> ServerOutcome:
    """Start a server, say when it answers, and wait for its end.

    Args:
        server: its name.
        owner: whose it is.
        settings: of the service, with those of the server's offer.
        processes: starts its process.
        answers: called once it answers.

    Returns:
        How it ended, or why it could not be started. Nothing is left of it then.

    Cancelling ends it, and returns when nothing is left of it.
    """
    directory = settings.state / "servers" / server
    try:
        async with _removed(directory):
            home = await make_home(directory, settings.content)
            with _address(home, by_port=settings.command.uses("port")) as (target, port, answered):
                record = _record(server, owner, settings, target)
                write_record(directory, record)
                start = _start(server, settings, home, port)
                async with processes.start(server, start) as process:

                    def told(serving: Serving) -> None:
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


def _record(server: ServerId, owner: Owner, settings: TempSettings, target: str) -> ServerRecord:
    command = settings.command
    by_host = settings.urls.by_host
    stripped = command.stripped and not by_host
    ready = "/" if stripped else settings.urls.base(server) + command.ready
    own = command.jupyter and command.argv[0] == sys.executable
    return ServerRecord(
        owner.visitor, target, ready, command.jupyter, stripped,
        settings.offer, command.called, settings.landing, own, owner.address, time.time(), by_host,
    )  # fmt: skip


def _start(server: ServerId, settings: TempSettings, home: Home, port: int) -> ServerStart:
    command = settings.command
    argv = command.filled(
        base_path=settings.urls.base(server).rstrip("/"),
        socket=str(home.socket),
        port=str(port),
        token=home.token,
    )
    env = home.environment(os.environ, settings.env, jupyter=command.jupyter)
    return ServerStart(argv, home.work, env)


async def _attend(
    process: ServerProcess, serving: Serving, seconds: float, answers: Answers
) -> ServerOutcome:
    """Say when a server answers, and wait for its end."""
    ended = await _ready(process, serving.record, seconds)
    if not ended:
        answers(serving)
        ended = await process.ended()
    said = (await process.said()).replace(serving.home.token, "...")[-SAID:]
    return ServerOutcome(ended, said)


async def _ready(process: ServerProcess, record: ServerRecord, seconds: float) -> str:
    """Wait until a server answers and return ""; where it never does, why."""
    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
            ending = tasks.create_task(process.ended())
            asked = tasks.create_task(answering(parse_target(record.target), record.ready))
            await asyncio.wait([ending, asked], return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
            asked.cancel()
    except TimeoutError:
        return f"it did not answer within {seconds:g} s"
    return "" if asked.done() and not asked.cancelled() else ending.result()


@asynccontextmanager
async def _removed(directory: Path) -> AsyncIterator[None]:
    """Remove a directory when the block is left, also when that is cancelled a second time."""
    try:
        yield
    finally:
        remove = partial(shutil.rmtree, directory, ignore_errors=True)
        await reaped(in_thread(remove, name="remove a directory"))


@contextmanager
def _address(home: Home, *, by_port: bool) -> Iterator[tuple[str, int, Callable[[], None]]]:
    """Yield where a server is to listen, its port or 0, and what is called once it does."""
    if not by_port:
        yield f"unix:{home.socket}", 0, lambda: None
        return
    try:
        held_port = hold_port()
    except OSError as error:
        raise LaunchError("no free port could be taken for a server", why=str(error)) from error
    with held_port:
        port = port_of(held_port)
        yield f"http://{LOOPBACK}:{port}", port, lambda: share(held_port, False)
