"""What ``moorage temp`` does with its options: settings, a service until Ctrl-C, and what it says."""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.cli.complaints import OK
from moorage.cli.ending import told_to_end
from moorage.directory import working_directory
from moorage.errors import UsageError
from moorage.plan.walls import Share
from moorage.proxy.listening import bind
from moorage.rendezvous.base import LOOPBACK
from moorage.tasks import beside
from moorage.temp.addresses import origin_of, trusted_network
from moorage.temp.admin_token import FILE as TOKEN_FILE
from moorage.temp.commands import ServerCommand, known_command, own_command
from moorage.temp.offer_tables import find_tables
from moorage.temp.offering import Offering
from moorage.temp.overlay import Requirements
from moorage.temp.repository import is_repository
from moorage.temp.running import read_again, run_service
from moorage.temp.service import Service
from moorage.temp.settings import CAPACITY, TempSettings
from moorage.temp.spawning import checked_origin
from moorage.temp.state import state_path
from moorage.temp.urls import urls_of
from moorage.temp.walled import put_up

log = logging.getLogger("moorage.temp")

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})

_BESIDE_FILES = 128 << 20
"""Bytes that a visitor's server and one kernel need."""
_ONE_THING = ("content", "branch", "open", "server", "command", "with", "requirements")
"""Options that say what is served: with one of them the offers of a configuration do not count."""


def offering_of(options: argparse.Namespace) -> Offering:
    """Return what a command line, or the configuration here, offers.

    Raises:
        UsageError, MissingExtra: as :func:`settings_of` does.
        ConfigurationError: the configuration says something that cannot be.
    """
    given = [f"--{name}" for name in _ONE_THING if getattr(options, name)]
    directory = working_directory()
    found = find_tables(directory)
    made_later = ServerCommand("server", ())
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
    timeout = TempSettings.start_timeout if options.start_timeout is None else options.start_timeout
    if not timeout > 0:
        raise UsageError(f"--start-timeout {timeout:g} cannot be", why="It must be seconds, more than 0")
    lease = TempSettings.lease if options.lease is None else options.lease
    if not 0 < lease <= 1e9:
        raise UsageError(f"--lease {lease:g} cannot be", why="It must be seconds, more than 0")
    repository = options.content is not None and is_repository(options.content)
    if options.branch and not repository:
        raise UsageError("--branch goes with a repository as --content")
    urls = urls_of(options.host_routing, options.name)
    content = None if options.content is None or repository else _folder(options.content)
    return TempSettings(
        state=state_path(options.state, options.port),
        command=command or _command(options),
        content=content,
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
        max_age=options.max_age,
        fork=not options.no_fork,
        title=options.title or TempSettings.title,
        acceptors=options.acceptors,
        walls=not options.no_walls,
        share=_share(options),
        readable=tuple(working_directory() / Path(each).expanduser() for each in options.readable),
        accepted=options.i_accept_no_isolation,
    )


def _share(options: argparse.Namespace) -> Share:
    """Return what each visitor may take."""
    memory = 0 if options.memory is None else size_of("--memory", options.memory, least=256 << 20)
    disk = min(Share.disk, memory // 2) if memory else Share.disk
    if options.disk is not None:
        disk = size_of("--disk", options.disk, least=1 << 20)
    if memory and memory - disk < _BESIDE_FILES:
        why = f"Files are in memory, which is to have {_BESIDE_FILES >> 20}M beside them"
        raise UsageError(f"--disk {options.disk} cannot be with --memory {options.memory}", why=why)
    cpus = 0.0 if options.cpus is None else options.cpus
    if options.cpus is not None and not 0.01 <= cpus <= 1024:
        raise UsageError(f"--cpus {cpus:g} cannot be", why="It is a number of processors, 0.01 or more")
    processes = Share.processes if options.processes is None else options.processes
    if not 32 <= processes <= 1 << 20:
        raise UsageError(f"--processes {processes} cannot be", why="A server with a kernel needs 32")
    return Share(disk, processes, memory=memory, cpus=cpus)


def size_of(name: str, text: str, *, least: int) -> int:
    """Return a number of bytes that is written as ``512M`` or ``2G``.

    Raises:
        UsageError: it is no such number, or too small.
    """
    found = re.fullmatch(r"(\d{1,9})([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    size = 0 if found is None else int(found[1]) << 10 * " KMGT".index(found[2].upper() or " ")
    if size < least:
        why = f"It is a number of bytes from {least >> 20}M on, as 512M or 2G"
        raise UsageError(f"{name} {text} cannot be", why=why)
    return size


def _capacity(options: argparse.Namespace) -> int:
    """Return how many servers there may be at once, once it is known that the other numbers can be."""
    for name, seconds in (("idle", options.idle), ("max-age", options.max_age)):
        if not 0 <= seconds <= 1e9:
            raise UsageError(f"--{name} {seconds:g} cannot be", why="It must be seconds, 0 or more")
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
    walling = await put_up(offering.settings, elsewhere=from_elsewhere(host, offering.settings))
    listeners, admin = bind(host, port), []
    try:
        admin = [] if admin_port is None else bind(LOOPBACK, admin_port)
        token = offering.settings.state / TOKEN_FILE
        known = token.exists()
        async with (
            run_service(offering, listeners, walling, admin) as service,
            reading_again(offering, service),
        ):
            print(f"Open {_url(listeners[0], offering.settings.urls.front or host)}", flush=True)
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
    return not is_loopback(address) or bool(named or settings.trusted)


def _command(options: argparse.Namespace) -> ServerCommand:
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
