"""``moorage temp``: a notebook server of its own for every visitor."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial

from moorage.cli.parser import Parser, filled
from moorage.cli.proxy import fast_loop
from moorage.errors import MissingExtra, UsageError

_EPILOGUE = """\
The page at http://HOST:PORT/ has a button; a visitor that presses it gets a server, and only that
visitor's browser can open it. Links lead to a notebook: /spawn/lab/tree/demo.ipynb.
An ACTION asks or steers a service that runs, the one with the same --port or --state; load takes its URL.
Tables [temp.offers.NAME] in moorage.toml give visitors a choice; SIGHUP reads them again.
Each server is behind walls, on Linux: it sees the system, its own files and processes, and no network but
the hosts of --egress.
The start says which walls there are; without them, what reaches the port can do what you can.
"""


def add_parser(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "temp",
        help="a temporary JupyterLab for every visitor of a web page",
        description="Serves a page on which every visitor gets a temporary JupyterLab, with a copy of files.",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    _add_addresses(parser)
    add(
        "--content",
        type=filled,
        metavar="DIR|URL",
        help="a folder, or a git repository, of which each visitor gets a copy",
    )
    add("--branch", default="", metavar="NAME", help="a branch or tag of the repository")
    add("--open", default="", metavar="PATH", help="a file of it that opens first; default: index.ipynb")
    add("--server", choices=["lab", "notebook", "server"], help="default: lab")
    add("--command", metavar="LINE", help="another server, with {socket} or {port}, {base_path} and {token}")
    add("--with", action="append", default=[], metavar="PKG", help="add a package to this environment's")
    add("--requirements", type=filled, metavar="FILE", help="... and those of a file, as pip takes them")
    add("--no-fork", action="store_true", help="start every server by itself, none from a template")
    add("--env", action="append", default=[], metavar="NAME[=VALUE]", help="a variable of all servers")
    add("--state", type=filled, metavar="DIR", help="private folder for keys and visitors' files")
    add("--lease", type=float, metavar="S", help="how long servers outlive a killed service; default: 3600")
    add("--title", metavar="TEXT", help="heading of the page")
    add("--start-timeout", type=float, metavar="S", help="how long a server may take to answer; default: 120")
    _add_limits(parser)
    _add_containers(parser.add_argument)
    parser.set_defaults(run=run)
    _add_actions(parser)


def _add_addresses(parser: Parser) -> None:
    """Add the options that say where visitors come in, and from where."""
    add = parser.add_argument
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="where visitors come in; default: 127.0.0.1")
    add("--port", type=int, default=8000, metavar="N", help="default: 8000")
    add("--admin-port", type=int, metavar="N", help="an admin page on 127.0.0.1, with a token; default: none")
    add("--name", action="append", default=[], metavar="HOST", help="a host name that visitors use")
    about = "the REST API of a proxy by which visitors come in: configurable-http-proxy, or one like it"
    add("--proxy", type=filled, metavar="URL", help=about)
    about = "a host name for each server, ID.DOMAIN; default: ID.localhost"
    add("--host-routing", nargs="?", const="localhost", metavar="DOMAIN", help=about)
    about = "a site whose pages may start servers"
    add("--spawn-from", action="append", default=[], metavar="ORIGIN", help=about)


def _add_limits(parser: Parser) -> None:
    """Add the options that say how many servers there are, and for how long."""
    add = parser.add_argument
    add("--capacity", type=int, metavar="N", help="how many servers there may be at once; default: 20")
    add("--spares", type=int, default=0, metavar="N", help="how many of them wait for visitors; default: 0")
    add("--acceptors", type=int, default=1, metavar="N", help="how many processes take visitors; default: 1")
    add("--per-address", type=int, default=0, metavar="N", help="of one address; default: any number")
    add(
        "--invited-only",
        action="store_true",
        help="start servers for invited visitors alone, see: temp invite",
    )
    add("--trusted-proxy", action="append", default=[], metavar="NET", help="is believed X-Forwarded-For")
    add(
        "--idle",
        type=float,
        default=0.0,
        metavar="S",
        help="end what is not used for so long; default: never",
    )
    add("--sleep", type=float, default=0.0, metavar="S", help="have it sleep before; default: never")
    add(
        "--max-age",
        type=float,
        default=0.0,
        metavar="S",
        help="how long a visitor may have one; default: for ever",
    )
    about = "lower the share of what computes so long without its visitor, then ask; 0: never; default: 1200"
    add("--brake-after", type=float, default=1200.0, metavar="S", help=about)
    _add_walls(add)


def _add_walls(add: Callable[..., object]) -> None:
    """Add the options that say what stands between visitors, and what each may take."""
    add("--disk", metavar="SIZE", help="most that one visitor's files may take; default: 512M")
    add("--processes", type=int, metavar="N", help="... and its processes and threads; default: 512")
    add("--memory", metavar="SIZE", help="... and the memory of all of it, files too; default: not bounded")
    add("--cpus", type=float, metavar="N", help="... and processors' time; default: a fair share of all")
    about = "a folder that all visitors may read"
    add("--readable", type=filled, action="append", default=[], metavar="PATH", help=about)
    about = "a host that visitors may reach, as pypi.org, *.pypi.org, HOST:PORT, or *; default: none"
    add("--egress", type=filled, action="append", default=[], metavar="HOST", help=about)
    add("--no-walls", action="store_true", help="let servers see and do all that you can")
    add(
        "--i-accept-no-isolation",
        action="store_true",
        help="let visitors of other machines in though walls are missing",
    )


def _add_containers(add: Callable[..., object]) -> None:
    """Add the options that have servers run in containers."""
    add("--place", choices=["here", "docker"], default="here", help="where servers run; default: here")
    add("--image", type=filled, metavar="NAME", help="with --place docker: what containers are made of")
    add("--docker-socket", type=filled, metavar="PATH", help="... of the engine; default: DOCKER_HOST")
    add("--docker-network", type=filled, metavar="NAME", help="... that servers have; default: none")
    about = "... that servers run as; default: an id of its own for each, or yours"
    add("--user", type=filled, metavar="USER", help=about)
    about = "... that all visitors see; they may write with :rw"
    add("--mount", type=filled, action="append", default=[], metavar="PATH:THERE", help=about)


def _add_actions(parser: Parser) -> None:
    """Add what is done to a service that runs."""
    from moorage.cli import temp_invite, temp_load

    actions = parser.add_subparsers(dest="action", metavar="ACTION", parser_class=Parser)
    status = _action(actions, "status", "how a running one stands: visitors, servers, memory")
    status.add_argument("--json", action="store_true", help="one JSON document on stdout")
    end = _action(actions, "end", "end servers of a running one")
    end.add_argument("ids", nargs="+", metavar="ID", help="as status shows it, or its beginning")
    drain = _action(actions, "drain", "let no new visitors in; those with a server keep it")
    drain.add_argument("--undo", action="store_true", help="let them in again")
    resize = _action(actions, "resize", "change how many servers there may be, while it runs")
    resize.add_argument("--capacity", dest="new_capacity", type=int, metavar="N", help="spares among them")
    resize.add_argument(
        "--spares", dest="new_spares", type=int, metavar="N", help="of each offer, or of --offer"
    )
    resize.add_argument("--offer", metavar="NAME", help="that --spares counts for alone")
    top = _action(actions, "top", "show live how a running one stands")
    top.add_argument("--interval", type=float, default=2.0, metavar="S", help="default: 2")
    top.add_argument("--count", type=int, default=0, metavar="N", help="end after so many; default: never")
    temp_invite.add_parsers(partial(_action, actions))
    temp_load.add_parser(actions)


def _action(actions: argparse._SubParsersAction[Parser], name: str, about: str) -> Parser:
    description = f"{about[0].upper()}{about[1:]}."
    parser = actions.add_parser(name, help=about, description=description, allow_abbrev=False)
    # What is given before the action counts, too: a default here would take its place.
    add, none = parser.add_argument, argparse.SUPPRESS
    add("--state", type=filled, default=none, metavar="DIR", help="that the service runs with")
    add("--port", type=int, default=none, metavar="N", help="of the service; default: 8000")
    parser.set_defaults(run=act)
    return parser


def act(options: argparse.Namespace) -> int:
    """Carry out an action of ``moorage temp``."""
    if sys.platform == "win32":
        raise UsageError("moorage temp does not run on Windows", do="Use Linux, a container or WSL")
    else:  # noqa: RET506 - without it mypy looks for what is not there on Windows
        from moorage.cli.temp_admin import ACTIONS

        return ACTIONS[options.action](options)


def run(options: argparse.Namespace) -> int:
    """Carry out ``moorage temp``."""
    if sys.platform == "win32":
        raise UsageError("moorage temp does not run on Windows", do="Use Linux, a container or WSL")
    else:  # noqa: RET506 - without it mypy looks for what is not there on Windows
        import asyncio

        try:
            from moorage.cli.temp_run import log_to_stderr, offering_of, serve
        except ModuleNotFoundError as error:
            from moorage.installed import install_line

            what = f"moorage temp needs {error.name}"
            do = f"Type: {install_line('temp')}"
            raise MissingExtra(what, why="It is not installed here", do=do) from None
        log_to_stderr()
        offering = offering_of(options)
        with asyncio.Runner(loop_factory=fast_loop()) as runner:
            return runner.run(serve(options.host, options.port, offering, options.admin_port))
