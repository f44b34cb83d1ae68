"""What the admin interface of temporary servers says and takes: JSON over HTTP, on a Unix socket."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from moorage.errors import ProtocolError

T = TypeVar("T")

SOCKET = "admin"
"""Name of the socket in the state directory of a service."""


class Servers(msgspec.Struct, frozen=True):
    """How many servers there are, spares among them, by state; those asleep or braked are ready, too."""

    running: int
    starting: int
    ready: int
    ending: int
    asleep: int = 0
    braked: int = 0


class SpareServers(msgspec.Struct, frozen=True):
    """How many spares are kept ready, and how many there are.

    Attributes:
        wanted: how many are kept ready.
        starting: how many do not answer yet.
        ready: how many do.
        each: how many are wanted of each offer; None where that is not one number.
    """

    wanted: int
    starting: int
    ready: int
    each: int | None = None


class ServerCounts(msgspec.Struct, frozen=True):
    """What has happened since the service began.

    Attributes:
        started: servers for a visitor that waited for it.
        spares_started: servers before a visitor wanted one.
        adopted: servers of an earlier service.
        handed_out: spares that became a visitor's.
        failed: starts after which a server never answered.
        ended: all others that have ended.
    """

    started: int
    spares_started: int
    adopted: int
    handed_out: int
    failed: int
    ended: int


class Descriptors(msgspec.Struct, frozen=True):
    """Open descriptors of the service.

    Attributes:
        open: all of them.
        limit: how many there may be.
        room: how many of these visitors and servers may have together.
        visitors: connections of visitors, websockets among them.
        servers: connections to servers that are in use.
        unused: connections to servers that wait for a request.
        websockets: how many there are; each has one connection of a visitor and one to a server.
    """

    open: int
    limit: int
    room: int
    visitors: int
    servers: int
    unused: int
    websockets: int


class Stats(msgspec.Struct, frozen=True):
    """How things stand.

    Attributes:
        moorage: its version.
        pid: of the service.
        uptime: seconds since the service began.
        draining: whether no new visitors are let in.
        capacity: how many servers there may be at once.
        fit: for how many there is room; what is more than the capacity is of no use.
        shortage: what there would be too little of for more: ``descriptors`` or ``memory``.
        visitors: how many have a server that is ready.
        queue: how many wait until there is room.
        servers: by state.
        spares: among them.
        counts: of what has happened.
        descriptors: by kind.
        memory: bytes that all servers take, with their kernels; None where that is not known.
        sleepless: servers that are to sleep where they are not used, and cannot: they were spawned, for their
            template failed.
    """

    moorage: str
    pid: int
    uptime: float
    draining: bool
    capacity: int
    fit: int
    shortage: str
    visitors: int
    queue: int
    servers: Servers
    spares: SpareServers
    counts: ServerCounts
    descriptors: Descriptors
    memory: int | None
    sleepless: int = 0


class ServerConnections(msgspec.Struct, frozen=True):
    """Descriptors of the service that one server has; ``websockets`` and ``requests`` have two each.

    Attributes:
        websockets: how many are open.
        requests: how many are under way.
        unused: connections to it that wait for a request.
    """

    websockets: int
    requests: int
    unused: int


class OpenFiles(msgspec.Struct, frozen=True):
    """Descriptors that the processes of one server have open themselves, by kind."""

    sockets: int
    pipes: int
    files: int
    others: int


class ServerLimits(msgspec.Struct, frozen=True):
    """What a server and all that it starts may take.

    Attributes:
        memory: bytes, its files among them; None for as many as there are.
        disk: bytes of files.
        cpus: processors' time in each second; None for as much as others leave.
        processes: and threads.
    """

    memory: int | None
    disk: int
    cpus: float | None
    processes: int


class ServerUse(msgspec.Struct, frozen=True):
    """What a server takes of its limits; None for what is not known.

    Attributes:
        memory: bytes, as its limit counts them.
        processes: and threads.
        kills: how many processes of it the system has ended because its memory was full.
    """

    memory: int | None
    processes: int | None
    kills: int | None


class ServerBrake(msgspec.Struct, frozen=True):
    """What becomes of a server that computes without its visitor.

    Attributes:
        after: seconds of full load after which its share of the processors is lowered.
        state: ``full``, ``lowered``, or ``asked`` where its visitor is asked, too.
        alone: seconds for which it has computed without its visitor.
    """

    after: float
    state: str
    alone: float


class ServerEgress(msgspec.Struct, frozen=True):
    """What a server has asked of hosts, through its proxy, since this service has it.

    Attributes:
        open: connections that there are.
        opened: how many have reached a host.
        refused: how many were not let to theirs.
        sent: bytes to hosts.
        received: bytes of hosts.
    """

    open: int
    opened: int
    refused: int
    sent: int
    received: int


class ServerInfo(msgspec.Struct, frozen=True):
    """One server that has not ended.

    Attributes:
        id: its name, as it stands in its URL.
        path: of its URL.
        state: ``starting``, ``ready``, ``asleep`` or ``ending``.
        spare: whether it is no visitor's.
        offer: that it is of; empty where there is one thing alone.
        called: what visitors know it by; empty until it answers.
        address: that its visitor counts for; empty where none does.
        age: seconds since it was handed out, or asked for where it is not yet; None for a spare.
        unused: seconds since it was used last; None for what starts or ends, and for a spare.
        left: seconds until it is ended; None where no end is set.
        memory: bytes that it takes with its kernels; None where that is not known.
        pid: of its process; None where that is not known, and where it is asleep.
        connections: of the service for it; None where acceptors have them, and where there is none.
        open_files: of its processes; None where that is not known.
        limits: of what it may take; None where it is not bounded, and until it answers.
        used: of that now; None where nothing counts it.
        brake: of it; None where its share of the processors is never lowered.
        egress: what it has asked of hosts; None where it may reach none.
    """

    id: str
    path: str
    state: str
    spare: bool
    offer: str
    called: str = ""
    address: str = ""
    age: float | None = None
    unused: float | None = None
    left: float | None = None
    memory: int | None = None
    pid: int | None = None
    connections: ServerConnections | None = None
    open_files: OpenFiles | None = None
    limits: ServerLimits | None = None
    used: ServerUse | None = None
    brake: ServerBrake | None = None
    egress: ServerEgress | None = None


class RouteInfo(msgspec.Struct, frozen=True):
    """One route of the proxy.

    Attributes:
        path: its prefix.
        target: where it leads.
        active: seconds since a request took it last.
        connections: that are open on it; None where acceptors have them.
    """

    path: str
    target: str
    active: float
    connections: ServerConnections | None


class RouteList(msgspec.Struct, frozen=True):
    """All routes, in the order in which they were added."""

    routes: tuple[RouteInfo, ...]


class LogEvent(msgspec.Struct, frozen=True):
    """One line of the log.

    Attributes:
        number: from 1 on, in the order of the log.
        time: in seconds since the epoch.
        level: ``info``, ``warning`` or ``error``.
        text: what it says.
    """

    number: int
    time: float
    level: str
    text: str


class EventList(msgspec.Struct, frozen=True):
    """The last lines of the log, oldest first."""

    events: tuple[LogEvent, ...]


class ServerList(msgspec.Struct, frozen=True):
    """All servers that have not ended: those of visitors, then spares, each oldest first."""

    servers: tuple[ServerInfo, ...]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What can be changed while the service runs; None for what stays.

    Attributes:
        capacity: how many servers there may be at once, spares among them.
        spares: how many are kept ready of each offer.
        offer: that ``spares`` counts for alone; None for each.
    """

    capacity: int | None = None
    spares: int | None = None
    offer: str | None = None


class NewInvitation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an invitation is made of.

    Attributes:
        seats: how many visitors it lets in.
        seconds: until it expires.
        offer: that it is for; empty where there is one thing alone.
    """

    seats: int
    seconds: float
    offer: str = ""


class InvitationInfo(msgspec.Struct, frozen=True):
    """One invitation.

    Attributes:
        id: its name.
        offer: that it is for; empty where there is one thing alone.
        state: ``open``, ``used up``, ``expired`` or ``withdrawn``.
        seats: how many visitors it lets in.
        taken: how many of them have a seat.
        left: seconds until it expires; 0 where it has.
        path: of its link.
        link: that, at the address that the service listens on.
        needed: whether its offer is by invitation only.
        behind: whether the service listens behind a proxy, so that visitors come by another address.
    """

    id: str
    offer: str
    state: str
    seats: int
    taken: int
    left: float
    path: str
    link: str
    needed: bool
    behind: bool = False


class InvitationList(msgspec.Struct, frozen=True):
    """All invitations that are kept."""

    invitations: tuple[InvitationInfo, ...]


class Drain(msgspec.Struct, frozen=True):
    """Whether no new visitors are let in."""

    draining: bool


class Refused(msgspec.Struct, frozen=True):
    """Why a request is not carried out."""

    error: str


def encode(message: msgspec.Struct) -> bytes:
    """Return the JSON of a message."""
    return msgspec.json.encode(message)


def read(text: bytes, kind: type[T]) -> T:
    """Return the message of a JSON document.

    Args:
        text: of the document.
        kind: what it must be.

    Raises:
        ProtocolError: it is something else.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"that is no {kind.__name__}", why=str(error)) from None
