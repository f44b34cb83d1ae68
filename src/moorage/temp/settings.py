"""What a service of temporary servers can be told, and what holds where it is told nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from moorage.plan.egress import NOWHERE, EgressList
from moorage.plan.visits import UNNAMED, OfferName
from moorage.plan.walls import Share
from moorage.proxy.routes_client import ProxyAccess
from moorage.temp.addresses import Network
from moorage.temp.commands import ServerCommand
from moorage.temp.shares import AskedShare
from moorage.temp.urls import ServerUrls

CAPACITY = 20
"""A server and a kernel take 65 to 115 MB: twenty fit a machine of 4 GB."""


@dataclass(frozen=True)
class TempSettings:
    """Settings of one service; times are in seconds.

    Args:
        state: private directory of the service: its key, and what belongs to its servers.
        command: what a server is.
        offer: that servers are of; empty where there is one thing alone.
        content: folder of which each visitor gets a copy; None for an empty one.
        repository: address of a git repository whose files are the content; empty for none.
        branch: of it; empty for its own choice.
        first: file of the content that opens first; empty for ``index.ipynb`` where there is one.
        landing: path below a server's URL that opens first; empty for what the above says.
        capacity: how many servers there may be at once, spares among them.
        spares: how many are kept ready before a visitor wants one.
        at_once: of how many servers the start may be under way when one more spare is started.
        per_address: how many visitors of one address may have one, or wait for one; 0 for any number.
        invited_only: whether it takes an invitation to get a server.
        trusted: proxies that are believed from which address a visitor comes.
        hosts: names by which visitors reach the service; empty for any.
        spawn_from: origins of pages of other sites that may have a server started.
        env: variables of servers beside those that each gets.
        start_timeout: how long a server may take until it answers.
        lease: how long servers live on when this process was killed, until another one takes them over.
        fork: whether Jupyter's servers are forked from a template, where they can be.
        idle: how long a server may be without use until it is ended; 0 for ever.
        sleep: how long a server may be without use until it is put to sleep; 0 for ever.
        brake_after: how long a server may compute at full load without its visitor until its share of the
            processors is lowered; 0 for ever.
        max_age: how long a visitor may have a server; 0 for ever.
        title: heading of the front page.
        external: a proxy of another program, by which visitors come in; None for none.
        acceptors: how many processes take visitors; 1 is this one.
        urls: where servers are reached.
        walls: whether servers are to be behind walls, where the machine gives them.
        share: what each visitor may take behind them.
        asked_share: what of that the command line asks for: an offer may ask for something else.
        egress: hosts that visitors may reach from there.
        readable: paths that visitors may read there, beside what servers need.
        accepted: whether visitors of other machines may come in though walls are missing.
        engine: socket of Docker's engine, in whose containers servers are; None for none.
    """

    state: Path
    command: ServerCommand
    offer: OfferName = UNNAMED
    content: Path | None = None
    repository: str = ""
    branch: str = ""
    first: str = ""
    landing: str = ""
    capacity: int = CAPACITY
    spares: int = 0
    at_once: int = 2
    per_address: int = 0
    invited_only: bool = False
    trusted: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()
    spawn_from: frozenset[str] = frozenset()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    start_timeout: float = 120.0
    lease: float = 3600.0
    idle: float = 0.0
    sleep: float = 0.0
    max_age: float = 0.0
    brake_after: float = 0.0
    fork: bool = True
    title: str = "Temporary notebooks"
    external: ProxyAccess | None = None
    acceptors: int = 1
    urls: ServerUrls = field(default_factory=ServerUrls)
    walls: bool = True
    share: Share = field(default_factory=Share)
    asked_share: AskedShare = field(default_factory=AskedShare)
    egress: EgressList = NOWHERE
    readable: tuple[Path, ...] = ()
    accepted: bool = False
    engine: Path | None = None
