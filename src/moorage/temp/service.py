"""The service: carries out what the plan of visitors and servers says."""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.errors import OutputError, sentence
from moorage.plan.clock import Tick
from moorage.plan.descriptors import EACH
from moorage.plan.invitations import Invitation
from moorage.plan.visitors import Visitors
from moorage.plan.visits import (
    Admit,
    Command,
    EndAsked,
    EndServer,
    Event,
    HandOut,
    InQueue,
    NextStep,
    OfferName,
    OffersChanged,
    OnTheWay,
    QueueLeft,
    ServerAdopted,
    ServerAnswered,
    ServerEnded,
    ServerEnding,
    ServerId,
    ServerReady,
    ServerStarting,
    ServerWanted,
    ShutOut,
    SpareChecked,
    SpareTaken,
    Standing,
    StartServer,
    VisitorCame,
    VisitorId,
)
from moorage.proxy.server import Proxy
from moorage.proxy.shared_files import SharedFiles
from moorage.tasks import Work
from moorage.temp.admitting import admission_of
from moorage.temp.egress import Egress
from moorage.temp.handing_out import handed_out
from moorage.temp.identity import Identity
from moorage.temp.installed_files import UNHASHED, shared_folders
from moorage.temp.invitation_book import InvitationBook
from moorage.temp.offers import Offers, egress_of, terms_of
from moorage.temp.processes import FoundServers, ServerStarter
from moorage.temp.record import Owner, ServerRecord, read_record, remove_directory
from moorage.temp.room import Room
from moorage.temp.server import ServerOutcome, Serving, resume_server, run_server
from moorage.temp.settings import TempSettings
from moorage.temp.sleeping import Sleepers
from moorage.temp.start_turns import StartTurns, starts_at_once
from moorage.temp.statistics import ServiceCounts
from moorage.temp.walled import Surroundings
from moorage.temp.watching import ServerWatch

log = logging.getLogger("moorage.temp")

MOVED = "servers have other addresses since the service was started anew"
ADOPTING = 10.0
"""Seconds that servers of an earlier service get to answer before visitors come in."""


class Service:
    """Servers of visitors, behind a proxy.

    Args:
        settings: of the service.
        offers: what visitors can choose.
        identity: signs cookies.
        proxy: gets a route for each server that answers.
        processes: starts servers' processes, and finds those of an earlier service.
        tasks: where each server has a task.
        counts: gets what happens to servers.
        invitations: has the seats of visitors.
        egress: leads servers to hosts.
        walling: what is around servers, walls or containers; None for nothing.
    """

    def __init__(
        self,
        settings: TempSettings,
        offers: Offers,
        identity: Identity,
        proxy: Proxy,
        processes: ServerStarter,
        tasks: asyncio.TaskGroup,
        counts: ServiceCounts,
        invitations: InvitationBook,
        egress: Egress,
        walling: Surroundings | None = None,
    ) -> None:
        self._counts, self._egress, self._walling = counts, egress, walling
        self._settings, self._urls = settings, settings.urls
        self._identity, self._invitations = identity, invitations
        self.visitors = Visitors(
            settings.capacity, settings.spares, settings.at_once, settings.per_address, settings.max_age
        )
        self._proxy, self._processes, self._tasks = proxy, processes, tasks
        self._shared_files = SharedFiles(shared_folders({**os.environ, **settings.env}), UNHASHED)
        self._serving: dict[ServerId, Serving] = {}
        self._running: dict[ServerId, asyncio.Task[ServerOutcome]] = {}
        self.watch = ServerWatch(
            self.visitors, self._serving, proxy, self.handle, tasks, settings.idle, settings.urls
        )
        self._room = Room(proxy, self.visitors, self._running, self._serving, settings.urls, tasks, egress)
        self._turns = StartTurns(starts_at_once())
        self._sleepers = Sleepers(self.watch, self._serving, proxy, self.handle, tasks, self._turns, settings)
        self._starts, self._change = False, asyncio.Event()  # it starts none but what visitors ask for
        self.offers = offers

    @property
    def offers(self) -> Offers:
        """What visitors can choose now; servers that run stay as they are when it is set."""
        return self._offers

    @offers.setter
    def offers(self, offers: Offers) -> None:
        self._offers, self._egress.allowed = offers, egress_of(offers)
        self._room.offered(offers)
        self.handle(OffersChanged(terms_of(offers)))

    def serving(self, visitor: VisitorId) -> Serving | None:
        """Return a visitor's server that answers; None where there is none."""
        has = self.standing(visitor)
        return self._serving.get(has.server) if isinstance(has, ServerReady) else None

    def standing(self, visitor: VisitorId) -> Standing | None:
        """Return what a visitor has, or had last; None for one without."""
        return self.visitors.standing(visitor)

    def came(self, visitor: VisitorId) -> Standing | None:
        """Take note that a visitor is there; return what it has, or had last."""
        self._loses_place(visitor)
        self.handle(VisitorCame(visitor))
        return self.standing(visitor)

    def ask(
        self,
        visitor: VisitorId,
        offer: OfferName,
        address: str = "",
        invitation: Invitation | None = None,
        names: Sequence[VisitorId] = (),
    ) -> Standing | None:
        """Have a server started for a visitor that has none, once there is room; return what it has.

        Nothing is started of an offer by invitation only for a visitor that has no seat, and gets none. A
        seat that another name of its browser has becomes the visitor's own, so that it counts once; but
        nothing is started where such a name has a server of the offer, or waits for one: its seat stays.

        Args:
            visitor: that asks.
            offer: one of those that there are now.
            address: that it comes from; empty where none counts.
            invitation: to the offer, of a link that was signed here; None for none.
            names: all that the visitor's browser has.

        Raises:
            OutputError: the seat of the visitor cannot be written down.
        """
        has = self.standing(visitor)
        if isinstance(has, OnTheWay | ServerReady) and not isinstance(has, InQueue):
            return has  # whatever it asks for; and it takes no seat
        if any(each != visitor and self.visitors.offer(each) == offer for each in names):
            return has
        taken = None if invitation is None else self._invitations.take(invitation, visitor, names)
        if invitation is not None:
            let_in = taken is not None
        else:
            let_in = not self._offers[offer].invited_only or self._invitations.bring(visitor, names, offer)
        if let_in:
            self.handle(ServerWanted(visitor, self._identity.new_server(), offer, address))
        has = self.standing(visitor)
        if invitation is not None and taken and not isinstance(has, OnTheWay | ServerReady):
            self._invitations.give_back(invitation, visitor)
        return has

    def end(self, visitor: VisitorId) -> None:
        """End a visitor's server, if there is one; a visitor that waits for one leaves the queue."""
        has = self.standing(visitor)
        if isinstance(has, InQueue):
            self.handle(QueueLeft(visitor))
        elif has is not None:
            self.handle(EndAsked(has.server, "you ended it"))

    async def settled(self, visitor: VisitorId, seconds: float) -> Standing | None:
        """Wait until a visitor's server neither starts nor ends, or the time is over; return what it has.

        For a place in the queue it does not wait.
        """
        try:
            async with asyncio.timeout(seconds):
                while isinstance(has := self.standing(visitor), SpareTaken | ServerStarting | ServerEnding):
                    await self._change.wait()
        except TimeoutError:
            pass
        return has

    async def adopt(self) -> None:
        """Take over the servers that an earlier service has left, and return when they answer or have ended.

        What belongs to none of them is removed.
        """
        found = await self._processes.find()
        adopted, left = set[VisitorId](), list[Path]()
        for directory in sorted((self._settings.state / "servers").iterdir()):
            server, record = ServerId(directory.name), read_record(directory)
            if record is not None and record.visitor not in adopted and self._adopt(server, record, found):
                adopted |= set() if record.visitor is None else {record.visitor}
            else:
                left.append(directory)
        for server, process in found.running.items():
            if server not in self._running:
                await process.end()
        for directory in left:
            await remove_directory(directory)
        self._starts = True
        self._count()
        with suppress(TimeoutError):
            async with asyncio.timeout(ADOPTING):
                while any(isinstance(self.standing(each), ServerStarting) for each in adopted):
                    await self._change.wait()

    def _adopt(self, server: ServerId, record: ServerRecord, found: FoundServers) -> bool:
        """Take over a server, or tell its visitor how it ended; False where it is not known."""
        process = found.running.get(server)
        age = max(0.0, time.time() - record.handed_out) if record.handed_out else 0.0
        adopted = ServerAdopted(record.visitor, server, record.offer, record.address, age)
        if record.visitor is None and record.offer:
            return False  # what the offer says may have changed meanwhile
        if record.own_host != self._urls.by_host:
            if record.visitor is not None:  # its process is ended, as those of no server are
                self.handle(adopted)
                self.handle(ServerEnded(server, MOVED))
            return False
        if process is not None and self._walling is not None and self._walling.strict and not record.walled:
            log.warning("Server %s is ended: it was started without walls", server)
            return False
        if process is not None:
            self._counts.adopted += 1
            self.handle(adopted)
            answers = partial(self._answers, server)
            self._begin(server, partial(resume_server, server, record, self._settings, process, answers))
        elif server in found.ended and record.visitor is not None:
            self.handle(adopted)
            end = found.ended[server]
            self.handle(ServerEnded(server, end.told(record.share), end.said))
        return process is not None

    def _count(self) -> None:
        """Count descriptors and memory: as many servers may run from now on as there is room for."""
        self.handle(self._room.count())

    def _look(self) -> None:
        """Have everything begun that is due: servers of visitors that wait, and spares."""
        while self._starts:
            while (visitor := self.visitors.next_in_line) is not None and self._loses_place(visitor):
                pass
            step = NextStep(self._identity.new_server())
            commands = self.visitors.handle(step, time.monotonic())
            for command in commands:
                self._carry_out(command)
            if not commands:
                return

    def _loses_place(self, visitor: VisitorId) -> bool:
        """Have a visitor without a seat of its own leave the queue of what is by invitation only.

        It has none when the offer was open as it came, and when its invitation has expired or was withdrawn.
        """
        has, offer = self.standing(visitor), self.visitors.offer(visitor)
        if not isinstance(has, InQueue) or offer is None or offer not in self._offers:
            return False
        if not self._offers[offer].invited_only or self._invitations.invites((visitor,), offer):
            return False
        log.info("A visitor without an invitation%s leaves the queue", f" to {offer}" if offer else "")
        self.visitors.handle(QueueLeft(visitor), time.monotonic())
        return True

    async def _hand_out(self, server: ServerId, owner: Owner) -> None:
        """Give a spare to a visitor, or end it: the visitor gets another one then."""
        found = None
        try:
            if (serving := self._serving.get(server)) is not None:
                directory = self._settings.state / "servers" / server
                found = await handed_out(serving, directory, owner)
        except OutputError as error:
            log.warning("%s", error)
        if found is not None and server in self._serving:
            log.info("Server %s is handed out", server)
            self._counts.handed_out += 1
            self._serving[server] = found
            self.handle(SpareChecked(server))
        elif (task := self._running.get(server)) is not None:
            log.info("Server %s is ended: it did not answer when it was to be handed out", server)
            task.cancel()

    def close(self) -> None:
        """End all servers; their tasks end when nothing is left of them."""
        self._starts = False
        for task in self._running.values():
            if not task.cancelling():  # what ends already is left to it
                task.cancel()

    def handle(self, event: Event) -> None:
        """Take in what happened, and have done what follows."""
        if isinstance(event, Tick):
            self._count()
            self._sleepers.look()
            self._egress.look()
        for command in self.visitors.handle(event, time.monotonic()):
            self._carry_out(command)
        self._look()
        self._change.set()
        self._change = asyncio.Event()

    def _carry_out(self, command: Command) -> None:
        match command:
            case StartServer(server, visitor, offer, address):
                running, most = self.visitors.running, self.visitors.limits.most
                self._proxy.core.budget.promised += EACH
                self._counts.started["spare" if visitor is None else "visitor"] += 1
                kind = ("" if visitor is not None else " as a spare") + (f", of {offer}" if offer else "")
                log.info("Server %s starts%s (%d of %d)", server, kind, running, most)
                settings = self._offers[offer].settings
                answers = partial(self._answers, server)
                owner = Owner(visitor, address)
                turns, walling = self._turns, self._walling
                start = partial(run_server, server, owner, settings, self._processes, answers, turns, walling)
                self._begin(server, start)
            case HandOut(server, visitor, address):
                self._tasks.create_task(self._hand_out(server, Owner(visitor, address)))
            case Admit(server, visitor):
                self._admit(server, visitor, self._serving[server])
            case ShutOut(server):
                self._proxy.remove_route(self._urls.route(server))
            case EndServer(server, why):
                log.info("Server %s is ended: %s", server, why)
                # A task that was cancelled before its first step would leave the process that it takes over.
                asyncio.get_running_loop().call_soon(_cancel, self._running[server])

    def _admit(self, server: ServerId, visitor: VisitorId, serving: Serving) -> None:
        pages = self._settings.spawn_from
        admission = admission_of(self._identity, self._urls, server, visitor, serving, pages)
        shared = self._shared_files if serving.record.shared else None
        self._proxy.add_route(self._urls.route(server), serving.target, None, admission, shared)
        self._sleepers.admitted(server, serving)
        self.watch.brakes.admitted(server, serving)

    def _begin(self, server: ServerId, work: Callable[[], Work[ServerOutcome]]) -> None:
        task = self._running[server] = self._tasks.create_task(self._run(server, work))
        task.add_done_callback(lambda task: self._ended(server, task))

    async def _run(self, server: ServerId, work: Callable[[], Work[ServerOutcome]]) -> ServerOutcome:
        """Run a server; nothing that goes wrong with it ends another."""
        try:
            return await work()
        except Exception:
            log.exception("Server %s failed unexpectedly", server)
            return ServerOutcome("moorage failed unexpectedly; its log has the reason")

    def _ended(self, server: ServerId, task: asyncio.Task[ServerOutcome]) -> None:
        outcome = ServerOutcome("it was ended") if task.cancelled() else task.result()
        if not task.cancelled():
            log.info("Server %s has ended: %s", server, sentence(outcome.why))
        answered = self._serving.pop(server, None) is not None
        self._counts.ended += answered or task.cancelled()
        self._counts.failed += not answered and not task.cancelled()
        del self._running[server]
        self._sleepers.gone(server)
        self._egress.gone(server)
        self.handle(ServerEnded(server, outcome.why, outcome.said))

    async def _answers(self, server: ServerId, serving: Serving) -> None:
        await self._egress.begin(server, serving.record.offer, serving.inside)
        log.info("Server %s answers", server)
        self._serving[server] = serving
        self.handle(ServerAnswered(server))


def _cancel(task: asyncio.Task[ServerOutcome]) -> None:
    if not task.cancelling():
        task.cancel()
