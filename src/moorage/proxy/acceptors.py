"""Several processes on one port: started, kept alike, counted together, replaced when one ends.

The proxy's own process has the table of routes and takes no visitors. Its acceptors share the listening
sockets: connections that one has not taken before it ends are taken by the others.
"""
# ruff: noqa: E402 - it shares sockets with other processes, which Windows has no way for

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

assert sys.platform != "win32", "acceptors need Unix sockets"

import msgspec

from moorage.errors import LaunchError
from moorage.plan.backoff import pause
from moorage.plan.routes import Segments
from moorage.proxy.core import ProxyCore
from moorage.proxy.listening import UNIX
from moorage.proxy.metrics import report_of, summed
from moorage.tasks import in_thread
from moorage.wire.acceptor_messages import (
    AcceptorReport,
    Ask,
    Done,
    DropRoute,
    Listener,
    Order,
    SetRoute,
    TakeVisitors,
    encode,
    read_news,
)

log = logging.getLogger(__name__)

PATIENCE = 15.0
"""Seconds that an acceptor has for an order; one that takes longer hangs, and is replaced."""
LOOK = 1.0
"""Seconds between two looks at what each has done."""
FULL, RESTED = 1 / 16, 1 / 8
"""An acceptor with less of its room left leaves visitors to those with more, until so much is left again."""
START_PATIENCE = 60.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds between attempts to start one that ends before it has begun."""
LINE_BYTES = 16 << 20


class _Link:
    """One acceptor as the proxy sees it.

    Args:
        process: its process.
        writer: for orders.
    """

    def __init__(self, process: subprocess.Popen[bytes], writer: asyncio.StreamWriter) -> None:
        self.process = process
        self.report: AcceptorReport | None = None
        self.routed = False  # it has all routes; what changes from now on is waited for
        self.rests = False  # it takes no visitors, for it is full
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._last = 0

    @property
    def left(self) -> float:
        """Which part of its room is left, as far as it has told."""
        report = self.report
        if report is None:
            return 1.0
        used = report.kinds.get("visitor", 0) + report.kinds.get("upstream", 0) - report.idle
        return 1 - used / max(1, report.room)

    def give(self, made: Callable[[int], Order]) -> asyncio.Future[None]:
        """Give an order, and return what is done once it is carried out, or can be no more."""
        self._last += 1
        done = self._waiting[self._last] = asyncio.get_running_loop().create_future()
        self._writer.write(encode(made(self._last)))
        return done

    async def listen(self, reader: asyncio.StreamReader, heard: Callable[[AcceptorReport], None]) -> None:
        """Hear what it says until it says no more."""
        try:
            while line := await reader.readline():
                match read_news(line):
                    case Done(number):
                        done = self._waiting.pop(number, None)
                        if done is not None and not done.done():
                            done.set_result(None)
                    case AcceptorReport() as report:
                        self.report = report
                        heard(report)
        except ConnectionError:
            pass  # it was killed
        finally:
            for done in self._waiting.values():
                if not done.done():
                    done.set_result(None)
            self._writer.close()


class Acceptors:
    """The acceptors of a proxy; made by :func:`open_acceptors`.

    Args:
        core: of the proxy's own process, whose routes they have.
        argv: starts one; its standard input is the socket for orders.
        env: the environment of each.
        listeners: sockets to share.
        count: how many there are to be.
    """

    def __init__(
        self,
        core: ProxyCore,
        argv: Sequence[str],
        env: Mapping[str, str],
        listeners: Sequence[Listener],
        count: int,
    ) -> None:
        self.count = count
        self._core = core
        self._argv, self._env = list(argv), dict(env)
        self._listeners = tuple(listeners)
        self._links: set[_Link] = set()
        self._ended: list[AcceptorReport] = []

    @property
    def pids(self) -> list[int]:
        """The process ids of those that are there."""
        return sorted(link.process.pid for link in self._links)

    async def spread(self, prefix: Segments) -> None:
        """Have all acceptors take over a route as it is now, and return when they have.

        Args:
            prefix: of a route that was added, changed or removed just before.
        """
        await self._all_do(partial(self._order, prefix=prefix))

    async def report(self) -> AcceptorReport:
        """Return what all of them have done and have open, with those that have ended and this process.

        The activity of all routes is in the table then.
        """
        await self._all_do(Ask)
        own = msgspec.structs.replace(report_of(self._core), room=0)  # no visitor comes to this process
        return summed([own, *self._ended, self.told()])

    def told(self) -> AcceptorReport:
        """Return what those that are there have told last."""
        return summed(link.report for link in self._links if link.report is not None)

    def _order(self, number: int, prefix: Segments) -> Order:
        backend = self._core.backends.table.get(prefix)
        if backend is None:
            return DropRoute(number, prefix)
        admission = backend.route.admission
        admits = None if admission is None else msgspec.to_builtins(admission)
        shared = backend.shared is not None
        return SetRoute(number, prefix, backend.route.extra, admits, shared, backend.pages)

    async def _all_do(self, made: Callable[[int], Order]) -> None:
        given = {link.give(made): link for link in self._links}
        waited = [done for done, link in given.items() if link.routed]
        if waited:
            _, late = await asyncio.wait(waited, timeout=PATIENCE)
            for each in late:
                log.warning("Acceptor %d hangs: it is ended", given[each].process.pid)
                given[each].process.kill()

    async def keep(self, ready: asyncio.Event) -> None:
        """Keep one acceptor alive until cancelled.

        Args:
            ready: set when it takes visitors for the first time.

        Raises:
            LaunchError: it has ended before it took any.
        """
        failures = 0
        while True:
            try:
                took = await self._run(ready)
            except OSError as error:
                took = False
                log.warning("An acceptor cannot be started: %s", error)
            if not (took or ready.is_set()):
                raise LaunchError("an acceptor of the proxy ended before it took visitors")
            log.warning("An acceptor has ended: another one takes its place")
            failures = 0 if took else failures + 1
            await asyncio.sleep(pause(FIRST_PAUSE, LONGEST_PAUSE, failures))

    async def _run(self, ready: asyncio.Event) -> bool:
        """Run one acceptor to its end; tell whether it took visitors."""
        async with self._started() as (link, reader), asyncio.TaskGroup() as tasks:
            hearing = tasks.create_task(link.listen(reader, self._heard))
            for prefix in [prefix for prefix, _ in self._core.backends.table.items()]:
                link.give(partial(self._order, prefix=prefix))
            await _first_of(link.give(Ask), hearing, START_PATIENCE)
            # No await lies between these two: each later change of a route is waited for.
            link.routed = True
            begun = link.give(lambda number: TakeVisitors(number, self._listeners))
            await _first_of(begun, hearing, PATIENCE)
            took = begun.done() and not hearing.done()
            if took:
                ready.set()
                await self._look_after(link, hearing)
            else:
                link.process.kill()
        return took

    async def _look_after(self, link: _Link, hearing: asyncio.Task[None]) -> None:
        """Ask an acceptor now and then: what it has told stays known, and one that hangs is ended."""
        while not hearing.done():
            told = link.give(Ask)
            await _first_of(told, hearing, PATIENCE)
            if not told.done():
                log.warning("Acceptor %d hangs: it is ended", link.process.pid)
                link.process.kill()
                return
            self._have_it_rest(link)
            await asyncio.wait([hearing], timeout=LOOK)

    def _have_it_rest(self, link: _Link) -> None:
        """Have a full acceptor leave visitors to the others; where all are full, each says so to its own.

        A Unix socket's file may go with the one that listened, so there all take visitors always.
        """
        others = any(each.routed and each.left > FULL for each in self._links if each is not link)
        rests = others and link.left < (RESTED if link.rests else FULL)
        if rests != link.rests and not any(map(_is_unix, self._listeners)):
            link.rests = rests
            log.info("Acceptor %d is full%s", link.process.pid, "" if rests else " no more")
            link.give(lambda number: TakeVisitors(number, () if rests else self._listeners))

    def _heard(self, report: AcceptorReport) -> None:
        for prefix, activity, given in report.activity:
            backend = self._core.backends.table.get(prefix)
            if backend is not None:
                route = backend.route
                route.last_activity = max(route.last_activity, activity)
                route.last_input = max(route.last_input, given)

    def _process(self, orders: socket.socket) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._argv,
            stdin=orders.fileno(),
            env=self._env,
            pass_fds=[each.descriptor for each in self._listeners],
            start_new_session=True,  # Ctrl-C is for the proxy, which ends them
        )

    @asynccontextmanager
    async def _started(self) -> AsyncIterator[tuple[_Link, asyncio.StreamReader]]:
        """Start one; leaving the block ends it."""
        own, others = socket.socketpair()
        with others:
            try:
                process = self._process(others)
            except OSError:
                own.close()
                raise
        try:
            reader, writer = await asyncio.open_unix_connection(sock=own, limit=LINE_BYTES)
            link = _Link(process, writer)
            self._links.add(link)
            try:
                yield link, reader
            finally:
                self._links.discard(link)
                writer.close()
                if link.report is not None:  # what it had open is gone, what it has done stays
                    gone = {"kinds": {}, "idle": 0, "descriptors": 0, "limit": 0, "room": 0, "activity": ()}
                    self._ended = [summed([*self._ended, msgspec.structs.replace(link.report, **gone)])]
        finally:
            await in_thread(lambda: _reap(process), name="end an acceptor")


@asynccontextmanager
async def open_acceptors(
    core: ProxyCore, argv: Sequence[str], env: Mapping[str, str], listeners: Sequence[Listener], count: int
) -> AsyncIterator[Acceptors]:
    """Run acceptors for as long as the block lasts; it begins when all of them take visitors.

    Args:
        core: of the proxy's own process, whose routes they have.
        argv: starts one; its standard input is the socket for orders.
        env: the environment of each.
        listeners: sockets to share.
        count: how many there are to be.

    Raises:
        LaunchError: one has ended before it took visitors, in an ExceptionGroup.

    Cancelling ends them.
    """
    acceptors = core.backends.others = Acceptors(core, argv, env, listeners, count)
    async with asyncio.TaskGroup() as tasks:
        ready = [asyncio.Event() for _ in range(count)]
        keeping = [tasks.create_task(acceptors.keep(each)) for each in ready]
        try:
            for each in ready:
                await each.wait()
            yield acceptors
        finally:
            core.backends.others = None
            for task in keeping:
                task.cancel()


async def _first_of(done: asyncio.Future[None], ended: asyncio.Task[None], seconds: float) -> None:
    await asyncio.wait([done, ended], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a process whose socket is closed; it has nothing to do before it but to end."""
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _is_unix(listener: Listener) -> bool:
    with socket.socket(fileno=os.dup(listener.descriptor)) as bound:
        return bound.family == UNIX
