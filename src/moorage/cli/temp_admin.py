"""``moorage temp status``, ``end``, ``drain``, ``resize`` and ``top``: what an operator does meanwhile.

They ask the service that runs with the same state directory, by its admin interface.
"""
# ruff: noqa: E402 - Python has no Unix sockets on Windows

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence

import msgspec

assert sys.platform != "win32", "Python has no Unix sockets there"

from moorage.cli.stdio import json_text
from moorage.cli.table import Screen
from moorage.cli.temp_invite_run import run_invite, run_invites
from moorage.cli.temp_status import DRAINED, not_enough, shown
from moorage.cli.temp_top import top
from moorage.errors import UsageError
from moorage.notebooks.show.figures import counted
from moorage.temp.admin_client import AdminClient
from moorage.temp.state import state_path
from moorage.version import __version__
from moorage.wire.temp_admin import ServerInfo, Settings


def _client(options: argparse.Namespace) -> AdminClient:
    return AdminClient(state_path(options.state, options.port), _told)


def _told(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def run_status(options: argparse.Namespace) -> int:
    """Carry out ``moorage temp status``."""
    client = _client(options)
    stats, servers = client.stats(), client.servers()
    if options.json:
        document = {"moorage": __version__, "stats": stats, "servers": servers}
        print(json_text(msgspec.to_builtins(document)))
    else:
        print("\n".join(shown(stats, servers, Screen.of(sys.stdout))))
    return 0


def run_end(options: argparse.Namespace) -> int:
    """Carry out ``moorage temp end``."""
    client = _client(options)
    servers = client.servers()
    # All are found before one is ended: a name that is wrong ends nothing.
    found = [named(word, servers) for word in options.ids]
    for server in dict.fromkeys(found):
        client.end(server)
        print(f"Server {server} is being ended")
    return 0


def named(word: str, servers: Sequence[ServerInfo]) -> str:
    """Return the name of the server that a word names, whole or by its beginning.

    Raises:
        UsageError: there is none, or more than one.
    """
    found = [each.id for each in servers if word and each.id.startswith(word)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{word} names {len(found)} servers", why=" and ".join(found), do="Type more of it")
    raise UsageError(f"there is no server {word}", do="See them with: moorage temp status")


def run_drain(options: argparse.Namespace) -> int:
    """Carry out ``moorage temp drain``."""
    client = _client(options)
    client.drain(undo=options.undo)
    print("New visitors are let in" if options.undo else DRAINED)
    return 0


def run_resize(options: argparse.Namespace) -> int:
    """Carry out ``moorage temp resize``."""
    wanted = Settings(options.new_capacity, options.new_spares, options.offer)
    if wanted.capacity is None and wanted.spares is None:
        raise UsageError("moorage temp resize needs --capacity N or --spares N")
    stats = _client(options).change(wanted)
    spares = f"{counted(stats.spares.wanted, 'spare')} kept ready"
    print(f"Up to {counted(stats.capacity, 'server')}, {spares}; {stats.servers.running} now")
    if said := not_enough(stats):
        print(said)
    return 0


def run_top(options: argparse.Namespace) -> int:
    """Carry out ``moorage temp top``."""
    if not 0 < options.interval <= 1e6:
        raise UsageError(f"--interval {options.interval:g} cannot be", why="It must be seconds, more than 0")
    if options.count < 0:
        raise UsageError(f"--count {options.count} cannot be", why="It must be 0 or more")
    client = AdminClient(state_path(options.state, options.port))  # which looks again anyway
    live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return asyncio.run(top(client, options.interval, options.count, sys.stdout, live=live))


ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "status": run_status,
    "end": run_end,
    "drain": run_drain,
    "resize": run_resize,
    "top": run_top,
    "invite": run_invite,
    "invites": run_invites,
}
"""What carries out each action."""
