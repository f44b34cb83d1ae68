"""``moorage kernels stop ID``: ends a kernel of this user, whichever program started it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from moorage.cli.stdio import json_text

if TYPE_CHECKING:
    from moorage.cli.parser import Parser


def add_parser(actions: argparse._SubParsersAction[Parser]) -> None:
    """Add the action."""
    parser = actions.add_parser(
        "stop",
        help="end a running kernel: ask it, then signal it",
        description="Ends a running kernel of yours: it is asked to end, then gets SIGTERM, then SIGKILL.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "ids", nargs="+", metavar="ID", help="as `moorage kernels ps` shows it, a pid, or a connection file"
    )
    parser.add_argument(
        "--grace", type=float, default=5.0, metavar="S", help="seconds between these three (default: 5)"
    )
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document on stdout"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Carry out ``moorage kernels stop``."""
    import asyncio

    from moorage.cli.table import plain
    from moorage.discovery.running import find
    from moorage.discovery.servers import server_of
    from moorage.errors import KernelTypeNotFound
    from moorage.kernel.stop import stop

    # All are found before one is stopped: a name that is wrong stops nothing.
    kernels = [find(each) for each in options.ids]
    for each in kernels:
        if not each.alive:
            raise KernelTypeNotFound(
                f"the kernel {each.id} runs no more", do=f"What is left is its file: {each.connection_file}"
            )
    stopped = []
    for each in kernels:
        server = None if each.pid is None else server_of(each.pid)
        ended = asyncio.run(stop(each, grace=max(0.0, options.grace)))
        stopped.append({"id": each.id, "pid": each.pid, "ended": ended, "server": server})
        if not options.json:
            again = f"; the Jupyter server {server} will start it again: shut it down there" if server else ""
            print(plain(f"stopped {each.id}: {ended}{again}"))
    if options.json:
        from moorage.version import __version__

        print(json_text({"moorage": __version__, "stopped": stopped}))
    return 0
