"""``moorage kernels ps``: the kernels that run, and what each is doing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from moorage.cli.stdio import json_text
from moorage.json_types import JsonObject

if TYPE_CHECKING:
    from moorage.cli.parser import Parser
    from moorage.discovery.running import RunningKernel


def add_parser(actions: argparse._SubParsersAction[Parser]) -> None:
    """Add the action."""
    parser = actions.add_parser(
        "ps",
        help="the kernels of yours that run on this machine",
        description="Lists your kernels that run on this machine, whichever program started them.",
        allow_abbrev=False,
    )
    parser.add_argument("--all", action="store_true", help="also files whose kernels have ended")
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document on stdout"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Carry out ``moorage kernels ps``."""
    import asyncio

    from moorage.discovery.running import running
    from moorage.kernel.states import execution_states

    kernels = running()
    states = asyncio.run(execution_states([each for each in kernels if each.alive]))
    if options.json:
        print(json_text(to_json(kernels, states)))
        return 0
    show([each for each in kernels if each.alive or options.all], states)
    if (ended := sum(not each.alive for each in kernels)) and not options.all:
        files = "file is" if ended == 1 else "files are"
        print(
            f"note: {ended} connection {files} left of kernels that have ended; --all shows", file=sys.stderr
        )
    return 0


def show(kernels: list[RunningKernel], states: Mapping[str, str]) -> None:
    """Print the table."""
    from moorage.cli.table import DIM, GREEN, YELLOW, Column, Screen, lines, short_path
    from moorage.discovery.listing import ago
    from moorage.discovery.running import shortest_ids

    if not kernels:
        print("No kernel of yours runs here.")
        return
    columns = [
        Column("ID", 8),
        Column("PID"),
        Column("TYPE", 8),
        Column("STATUS"),
        Column("AGE"),
        Column("MEMORY"),
        Column("CONNECTION FILE", 12, "front"),
    ]
    rows, styles = [], []
    names = shortest_ids([each.id for each in kernels])
    for each, name in zip(kernels, names, strict=True):
        status = states.get(each.id, "unknown") if each.alive else "ended"
        memory = "-" if each.memory is None else f"{each.memory / 2**20:.0f} MiB"
        pid = "-" if each.pid is None else str(each.pid)
        file = short_path(str(each.connection_file))
        rows.append([name, pid, each.kernel_name or "-", status, ago(each.age), memory, file])
        colour = {"idle": GREEN, "busy": YELLOW}.get(status, DIM)
        styles.append(["", "", "", colour, "", "", DIM])
    print("\n".join(lines(columns, rows, Screen.of(sys.stdout), styles)))


def to_json(kernels: list[RunningKernel], states: Mapping[str, str]) -> JsonObject:
    """Return the document of ``--json``: the ended ones too, and no key."""
    from moorage.version import __version__

    return {
        "moorage": __version__,
        "kernels": [
            {
                "id": each.id,
                "pid": each.pid,
                "type": each.kernel_name or None,
                "alive": each.alive,
                "status": states.get(each.id) if each.alive else "ended",
                "age": round(each.age, 1),
                "memory": each.memory,
                "owner": each.owner,
                "transport": each.info.transport,
                "connection_file": str(each.connection_file),
            }
            for each in kernels
        ],
    }
