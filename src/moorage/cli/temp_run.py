"""What ``moorage temp`` does with its options: settings, a service until Ctrl-C, and what it says."""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.cli.complaints import OK
from moorage.cli.ending import told_to_end
from moorage.cli.temp_containers import check_containers, engine_of, kind_of
from moorage.directory import working_directory
from moorage.errors import UsageError
from moorage.plan.egress import EgressList, egress_list
from moorage.proxy.listening import bind
from moorage.proxy.routes_client import proxy_access
from moorage.rendezvous.base import LOOPBACK
from moorage.tasks import beside
from moorage.temp.addresses import origin_of, trusted_network
from moorage.temp.admin_token import FILE as TOKEN_FILE
from moorage.temp.commands import ServerCommand, contained, known_command, own_command
from moorage.temp.contained import surroundings
from moorage.temp.external_proxy import DIFFERENCE
from moorage.temp.offer_tables import find_tables
from moorage.temp.offering import Offering
from moorage.temp.overlay import Requirements
from moorage.temp.repository import is_repository
from moorage.temp.running import read_again, run_service
from moorage.temp.service import Service
from moorage.temp.settings import CAPACITY, TempSettings
from moorage.temp.shares import (
    LEAST_CPUS,
    LEAST_DISK,
    LEAST_MEMORY,
    LEAST_PROCESSES,
    MOST_CPUS,
    MOST_PROCESSES,
    AskedShare,
    bytes_of,
    written,
)
from moorage.temp.spawning import checked_origin
from moorage.temp.state import state_path
from moorage.temp.urls import urls_of
from moorage.temp.walled import Surroundings

log = logging.getLogger("moorage.temp")

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})

_ONE_THING = ("content", "branch", "open", "server", "command", "with", "requirements", "image")
"""Options that say what is served: with one of them the offers of a configuration do not count."""


def offering_of(options: argparse.Namespace) -> Offering:
    """Return what a command line, or the configuration here, offers.

    Raises:
        UsageError, MissingExtra: as :func:`settings_of` does.
        ConfigurationError: the configuration says something that cannot be.
    """
    check_containers(options)
    given = [f"--{name}" for name in _ONE_THING if getattr(options, name)]
    directory = working_directory()
    found = find_tables(directory)
    made_later = ServerCommand("server", (), container=kind_of(options))
    if found is not None and not given:
        return Offering(settings_of(options, made_later), directory)
    if found is not None:
        log.warning("The offers of %s do not count: %s says what is served", found[0], given[0])
    words, file = tuple(getattr(options, "with")), options.requirements
    if not words and file is None:
        return Offering(settings_of(options))
    path = None if file is None else directory / Path(file).expanduser()
    server = "" if options.command else options.server or "lab"
    settings = settings_of(options, made_later if server else None)
    return Offering(settings, None, Requirements(words, path, directory), server)


def settings_of(options: argparse.Namespace, command: ServerCommand | None = None) -> TempSettings:
    """Return the settings that a command line asks for.

    Args:
        options: of the command line.
        command: what a server is; None for what the options say.

    Raises:
        UsageError: a value cannot be, or something that it names is not there.
        MissingExtra: the server is not installed.
    """
    timeout, lease = _deadlines(options)
    repository = options.content is not None and is_repository(options.content)
    if options.branch and not repository:
        raise UsageError("--branch goes with a repository as --content")
    urls, asked = urls_of(options.host_routing, options.name), _asked_share(options)
    settings = TempSettings(
        state=state_path(options.state, options.port),
        command=command or _command(options),
        content=None if options.content is None or repository else _folder(options.content),
        repository=options.content if repository else "",
        branch=options.branch,
        first=options.open,
        capacity=_capacity(options),
        spares=options.spares,
        per_address=options.per_address,
        invited_only=options.invited_only,
        trusted=tuple(map(trusted_network, options.trusted_proxy)),
        hosts=hosts_of(options.host, [*options.name, *filter(None, [urls.front])]),
        urls=urls,
        spawn_from=frozenset(map(checked_origin, options.spawn_from)),
        env=dict(_variable(text) for text in options.env),
        start_timeout=timeout,
        lease=lease,
        idle=options.idle,
        sleep=options.sleep,
        max_age=options.max_age,
        brake_after=options.brake_after,
        fork=not options.no_fork and options.place == "here",
        title=options.title or TempSettings.title,
        acceptors=options.acceptors,
        walls=not options.no_walls,
        asked_share=asked,
        share=asked.share(),
        egress=_egress(options.egress),
        readable=tuple(working_directory() / Path(each).expanduser() for each in options.readable),
        accepted=options.i_accept_no_isolation,
        engine=engine_of(options),
    )
    return settings if options.proxy is None else _behind(options.proxy, settings)


def _behind(url: str, settings: TempSettings) -> TempSettings:
    """Return settings with a proxy of another program, whose word of its visitors' addresses is believed."""
    external = proxy_access(url, os.environ)
    own = ("127.0.0.0/8", "::1") if is_loopback(external.host) else ()
    return replace(settings, external=external, trusted=(*settings.trusted, *map(trusted_network, own)))


def _deadlines(options: argparse.Namespace) -> tuple[float, float]:
    """Return how long a server may take until it answers, and how long it lives on without a service."""
    timeout = TempSettings.start_timeout if options.start_timeout is None else options.start_timeout
    if not timeout > 0:
        raise UsageError(f"--start-timeout {timeout:g} cannot be", why="It must be seconds, more than 0")
    lease = TempSettings.lease if options.lease is None else options.lease
    if not 0 < lease <= 1e9:
        raise UsageError(f"--lease {lease:g} cannot be", why="It must be seconds, more than 0")
    return timeout, lease


def _asked_share(options: argparse.Namespace) -> AskedShare:
    """Return what is asked for each visitor."""
    cpus, processes = options.cpus, options.processes
    if cpus is not None and not LEAST_CPUS <= cpus <= MOST_CPUS:
        raise UsageError(f"--cpus {cpus:g} cannot be", why="It is a number of processors, 0.01 or more")
    if processes is not None and not LEAST_PROCESSES <= processes <= MOST_PROCESSES:
        raise UsageError(f"--processes {processes} cannot be", why="A server with a kernel needs 32")
    disk = _size("--disk", options.disk, LEAST_DISK)
    return AskedShare(disk, processes, _size("--memory", options.memory, LEAST_MEMORY), cpus)


def _egress(words: list[str]) -> EgressList:
    """Return the hosts that visitors may reach."""
    try:
        return egress_list(words)
    except ValueError as error:
        raise UsageError(f"--egress {','.join(words)} cannot be", why=f"It must be {error}") from None


def _size(name: str, text: str | None, least: int) -> int | None:
    if text is None:
        return None
    if (size := bytes_of(text)) < least:
        why = f"It is a number of bytes from {written(least)} on, as 512M or 2G"
        raise UsageError(f"{name} {text} cannot be", why=why)
    return size


def _capacity(options: argparse.Namespace) -> int:
    """Return how many servers there may be at once, once it is known that the other numbers can be."""
    for name in ("idle", "sleep", "max_age", "brake_after"):
        seconds = getattr(options, name)
        if not 0 <= seconds <= 1e9:
            option = f"--{name.replace('_', '-')} {seconds:g}"
            raise UsageError(f"{option} cannot be", why="It must be seconds, 0 or more")
    capacity: int = CAPACITY if options.capacity is None else options.capacity
    if capacity < 1:
        raise UsageError(f"--capacity {capacity} cannot be", why="It must be 1 or more")
    if not 0 <= options.spares <= capacity:
        why = f"It must be 0 or more, and no more than the capacity, {capacity}"
        raise UsageError(f"--spares {options.spares} cannot be", why=why)
    if options.acceptors < 1:
        raise UsageError(f"--acceptors {options.acceptors} cannot be", why="It must be 1 or more")
    if options.per_address < 0:
        raise UsageError(f"--per-address {options.per_address} cannot be", why="It must be 0 or more")
    return capacity


async def serve(host: str, port: int, offering: Offering, admin_port: int | None = None) -> int:
    """Run a service until SIGTERM or SIGINT; SIGHUP has it read again what is offered.

    Args:
        host: address that it listens on.
        port: 0 lets the system choose.
        offering: what visitors can choose, with the settings of the service.
        admin_port: of the admin page, on this machine alone; None for none.

    Returns:
        The exit code.

    Raises:
        UsageError: an address is taken, or the state directory is, or an offer cannot be.
        MissingExtra: the server of an offer is not installed.
    """
    elsewhere = from_elsewhere(host, offering.settings)
    async with surroundings(offering.settings, elsewhere=elsewhere) as walling:
        return await _serve(host, port, offering, admin_port, walling)


async def _serve(
    host: str, port: int, offering: Offering, admin_port: int | None, walling: Surroundings | None
) -> int:
    listeners, admin = bind(host, port), []
    try:
        admin = [] if admin_port is None else bind(LOOPBACK, admin_port)
        token = offering.settings.state / TOKEN_FILE
        known = token.exists()
        async with (
            run_service(offering, listeners, walling, admin) as service,
            reading_again(offering, service),
        ):
            url, external = (
                _url(listeners[0], offering.settings.urls.front or host),
                offering.settings.external,
            )
            if external is None:
                print(f"Open {url}", flush=True)
            else:
                print(f"Open the proxy of {external.url}, which leads visitors to {url}", flush=True)
                print(DIFFERENCE, flush=True)
            if admin:
                print(admin_line(origin_of(admin[0]), token, shown=not known), flush=True)
            print("Ctrl-C ends the servers of all visitors", flush=True)
            await told_to_end()
            print("Ending all servers", flush=True)
    finally:
        for each in (*listeners, *admin):
            each.close()
    return OK


def admin_line(origin: str, token: Path, *, shown: bool) -> str:
    """Return the line that says where the admin page is.

    Args:
        origin: of it.
        token: file of its token.
        shown: whether the token is in the line, behind a ``#``, which browsers send to no server. It is when
            it has just been made, and the line goes to a terminal: a log is for other eyes, too.
    """
    if shown and sys.stdout.isatty():
        return f"Admin page {origin}/admin#{token.read_text('ascii').strip()}"
    return f"Admin page {origin}/admin, with the token in {token}"


@asynccontextmanager
async def reading_again(offering: Offering, service: Service) -> AsyncIterator[None]:
    """Read again what is offered at each SIGHUP, for as long as the block lasts.

    A terminal that is closed sends SIGHUP, too; then this process ends as it does without this block.
    """
    told, terminal = asyncio.Event(), has_terminal()

    def heard() -> None:
        if terminal and not has_terminal():
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            signal.raise_signal(signal.SIGHUP)
        told.set()

    async def read_when_told() -> None:
        while True:
            await told.wait()
            told.clear()
            await read_again(offering, service)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, heard)
    try:
        async with beside(read_when_told(), name="read offers again"):
            yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def has_terminal() -> bool:
    """Tell whether this process has a terminal, on which its user can type."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def hosts_of(address: str, names: list[str]) -> frozenset[str]:
    """Return the hosts that are answered for; empty for any.

    A page of another site could have its own name lead to this machine, and open a server as if it were a
    visitor (DNS rebinding): a service for this machine alone answers for this machine's names alone.

    Args:
        address: that is listened on.
        names: that visitors use.
    """
    own = frozenset(name.lower() for name in names)
    return own | LOCAL | {address.lower()} if own or is_loopback(address) else frozenset()


def is_loopback(address: str) -> bool:
    """Tell whether an address leads to this machine alone."""
    with suppress(ValueError):
        return ipaddress.ip_address(address).is_loopback
    return address.lower() == "localhost"


def from_elsewhere(address: str, settings: TempSettings) -> bool:
    """Tell whether visitors of other machines are to come in, directly or through a proxy of this machine.

    Args:
        address: that is listened on.
        settings: of the service.
    """
    named = {name for name in settings.hosts - LOCAL if not name.endswith(".localhost")} - {address.lower()}
    return not is_loopback(address) or bool(named or settings.trusted or settings.external)


def _command(options: argparse.Namespace) -> ServerCommand:
    if (kind := kind_of(options)) is not None:
        return contained(options.server or "", options.command or "", kind)
    if options.command is None:
        return known_command(options.server or "lab")
    if options.server is not None:
        raise UsageError("--command does not go with --server")
    return own_command(options.command)


def _folder(text: str) -> Path:
    path = working_directory() / Path(text).expanduser()
    if not path.is_dir():
        why = "It is no folder" if path.exists() else "There is no such folder"
        raise UsageError(f"--content {text} cannot be copied", why=why)
    return path


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or (not equals and name not in os.environ):
        raise UsageError(
            f"--env {text} cannot be", why="It is written NAME=VALUE, or NAME for one that is set here"
        )
    return name, value if equals else os.environ[name]


def _url(listener: socket.socket, host: str) -> str:
    port = listener.getsockname()[1]
    if host in {"", "*", "0.0.0.0", "::"}:  # noqa: S104 - every interface, this machine's own name leads there
        return f"http://{socket.gethostname()}:{port}/"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def log_to_stderr() -> None:
    """Have what the service says written on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("moorage.temp")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
