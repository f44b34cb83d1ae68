"""Puts servers to sleep that are not used, and wakes them when their visitors do something.

A server that sleeps has no process. Its kernels and files stay under its keeper, and what its visitor sends
is held by the proxy until a new process answers in its place. When that is to be, decides
:mod:`moorage.plan.sleeping`.
"""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import asyncio
import logging
import stat
import sys
import time
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import replace
from functools import partial

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.errors import ConfigurationError, MoorageError, UsageError
from moorage.plan.sleeping import (
    ActSeen,
    Answers,
    AskIt,
    Command,
    EndProcess,
    Event,
    FoundInUse,
    LetGo,
    Looked,
    NotStarted,
    ProcessEnded,
    Refuse,
    RouteHeld,
    ServerAsleep,
    ServerAwake,
    Sleep,
    StartProcess,
)
from moorage.plan.targets import parse_target
from moorage.plan.visits import EndAsked, ServerId
from moorage.proxy.resting import RestingRoutes
from moorage.proxy.server import Proxy
from moorage.tasks import Work
from moorage.temp.activity import at_rest
from moorage.temp.offers import Offers
from moorage.temp.pages import FrontPages
from moorage.temp.processes import RunningServer
from moorage.temp.server import Serving
from moorage.temp.settings import TempSettings
from moorage.temp.sleep_files import read_answers, read_start, write_answers
from moorage.temp.start_turns import StartTurns
from moorage.temp.template.choice import server_of
from moorage.temp.urls import OWN
from moorage.temp.watching import ServerWatch

log = logging.getLogger("moorage.temp")


def check_sleep(offers: Offers) -> None:
    """Refuse to put servers to sleep that cannot be.

    Args:
        offers: with their settings.

    Raises:
        UsageError: a server is to sleep with several acceptors.
        ConfigurationError: ... that is not forked.
    """
    wanted = {name: offer.settings for name, offer in offers.items() if offer.settings.sleep}
    for name, settings in wanted.items():
        if settings.acceptors > 1:
            raise UsageError(
                "--sleep does not go with --acceptors", why="One process holds what visitors send meanwhile"
            )
        if not settings.fork or settings.engine or not server_of(settings.command.argv):
            raise ConfigurationError(
                f"servers{f' of {name}' if name else ''} cannot be put to sleep",
                why="Those of Jupyter can that are forked, of the environment that moorage is installed in: "
                "none in containers",
                do="Say sleep = 0 for them" if name else "Leave --sleep out",
            )


class Sleepers:
    """The servers of one service that may sleep.

    Args:
        watch: knows which are used; its servers are replaced by what they become.
        serving: servers that answer.
        proxy: of the service.
        end: ends a server.
        tasks: where each step has a task.
        turns: of starting.
        settings: of the service.
    """

    def __init__(
        self,
        watch: ServerWatch,
        serving: MutableMapping[ServerId, Serving],
        proxy: Proxy,
        end: Callable[[EndAsked], None],
        tasks: asyncio.TaskGroup,
        turns: StartTurns,
        settings: TempSettings,
    ) -> None:
        self._watch, self._serving, self._end = watch, serving, end
        self._routes = RestingRoutes(proxy.core)
        self._tasks, self._turns, self._settings = tasks, turns, settings
        self._pages = FrontPages(settings.title)
        self._sleeps: dict[ServerId, Sleep] = {}
        self._steps: dict[ServerId, asyncio.Task[None]] = {}

    def admitted(self, server: ServerId, serving: Serving) -> None:
        """Take note that a visitor was let in to a server, which may be asleep since an earlier service.

        Args:
            server: whose route has just been added.
            serving: the same.
        """
        route = self._route(server)
        if serving.sleepless:
            log.warning("Server %s will not sleep: it was spawned, for its template failed", server)
        if serving.sleepless or not serving.record.sleep:
            return
        state = ServerAsleep() if serving.asleep else ServerAwake(time.time())
        self._sleeps[server] = Sleep(serving.record.sleep, state)
        self._routes.prepare(route, partial(self._tell, server, ActSeen()))
        if serving.asleep:
            self._routes.hold(route)
            self._routes.slept(route, read_answers(serving.home.path))

    def gone(self, server: ServerId) -> None:
        """Forget a server that has ended."""
        self._sleeps.pop(server, None)
        if (step := self._steps.pop(server, None)) is not None:
            step.cancel()

    def look(self) -> None:
        """Begin to put those to sleep that have not been used for so long."""
        now = time.time()
        for server in tuple(self._sleeps):
            if server in self._serving:
                self._tell(server, Looked(self._watch.used(server, now)))

    def _route(self, server: ServerId) -> str:
        return self._watch.urls.route(server)

    def _tell(self, server: ServerId, event: Event) -> None:
        sleep = self._sleeps.get(server)
        for command in () if sleep is None else sleep.handle(event, time.time()):
            self._carry_out(server, command)

    def _carry_out(self, server: ServerId, command: Command) -> None:
        serving = self._serving.get(server)
        if serving is None or serving.process is None:
            return
        match command:
            case AskIt():
                self._begin(server, self._ask(server, serving))
            case EndProcess():
                self._begin(server, self._end_process(server, serving, serving.process))
            case StartProcess():
                self._begin(server, self._start_process(server, serving, serving.process))
            case LetGo():
                self._routes.let_go(self._route(server))
            case Refuse(why):
                files = f"{OWN if self._settings.urls.by_host else '/'}download"
                self._routes.refuse(self._route(server), self._pages.not_woken(why, files))

    def _begin(self, server: ServerId, work: Work[None]) -> None:
        self._steps[server] = self._tasks.create_task(work)

    async def _ask(self, server: ServerId, serving: Serving) -> None:
        """Ask a server whether it is in use; hold its route if not."""
        target, base = parse_target(serving.target), self._watch.urls.base(server)
        found = await at_rest(target, base, serving.home.token)
        if found is not None and _are_written_down(serving, found.kernels):
            try:
                write_answers(serving.home.path, found.answers)
            except MoorageError as error:
                log.warning("Server %s is not put to sleep: %s", server, error)
                found = None
        else:
            found = None
        now = time.time()
        used = self._watch.used(server, now)  # while it was asked, its visitor may have come back
        held = (
            found is not None
            and now - used >= serving.record.sleep
            and self._routes.hold(self._route(server))
        )
        self._tell(server, RouteHeld() if held else FoundInUse())

    async def _end_process(self, server: ServerId, serving: Serving, process: RunningServer) -> None:
        try:
            await process.sleep()
            serving.forget_socket()
        except (MoorageError, OSError) as error:
            self._end(EndAsked(server, f"it could not be put to sleep: {error}"))
            return
        log.info("Server %s is asleep", server)
        self._routes.slept(self._route(server), read_answers(serving.home.path))
        self._tell(server, ProcessEnded())

    async def _start_process(self, server: ServerId, serving: Serving, process: RunningServer) -> None:
        """Start a server again. Where its process ends instead, the server's own task tells so."""
        began, seconds = time.monotonic(), self._settings.start_timeout
        try:
            async with self._turns.turn(), asyncio.timeout(seconds):
                start = read_start(serving.home.path)
                serving.forget_socket()
                await process.wake(start)
                await serving.answering()
        except TimeoutError:
            self._end(EndAsked(server, f"it did not wake within {seconds:g} s"))
            return
        except (MoorageError, OSError) as error:
            log.warning("Server %s does not wake: %s", server, error)
            if process.asleep:
                self._tell(server, NotStarted(str(error)))
            return
        log.info("Server %s is awake after %.2f s", server, time.monotonic() - began)
        self._serving[server] = replace(serving, pid=process.pid)
        self._tell(server, Answers())


def _are_written_down(serving: Serving, kernels: Sequence[str]) -> bool:
    """Tell whether another process of a server would find its kernels, which the server has named."""
    if not kernels:
        return True
    try:
        with serving.files(serving.home.kernels) as folder:  # a visitor may have put links there
            return all(
                "/" not in each and stat.S_ISREG((folder / f"{each}.json").lstat().st_mode)
                for each in kernels
            )
    except OSError:
        return False
