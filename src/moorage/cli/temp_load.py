"""``moorage temp load``: a crowd of visitors for a service, to see how it fares before people come."""

from __future__ import annotations

import argparse
import sys

from moorage.cli.parser import Parser, filled
from moorage.cli.proxy import fast_loop
from moorage.errors import MissingExtra, UsageError

_EPILOGUE = """\
Each visitor does what a browser with JupyterLab does: presses the button, waits in the queue where there
is one, loads the page, opens notebooks with kernels, runs cells, saves, and polls. It ends its server then.
Exit codes: 0 visitors were let in and none saw an error; 1 some did; 2 wrong usage; 130 interrupted.
"""


def add_parser(actions: argparse._SubParsersAction[Parser]) -> None:
    """Add the action."""
    parser = actions.add_parser(
        "load",
        help="send a crowd of visitors to a service, and measure how they fare",
        description="Sends visitors to the page of a moorage temp, and measures how they fare.",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("url", metavar="URL", help="of the page with the button, as moorage temp says it")
    add("--visitors", type=int, default=20, metavar="N", help="how many come; default: 20")
    add("--within", type=float, default=60.0, metavar="S", help="how long they take to come; default: 60")
    add("--notebooks", type=int, default=1, metavar="N", help="each opens, with a kernel each; default: 1")
    add("--minutes", type=float, default=3.0, metavar="M", help="how long all of it lasts; default: 3")
    add(
        "--stay",
        type=float,
        default=0.0,
        metavar="S",
        help="a visitor leaves after that; default: at the end",
    )
    add("--pause", type=float, default=10.0, metavar="S", help="from one cell to the next; default: 10")
    add(
        "--patience",
        type=float,
        default=60.0,
        metavar="S",
        help="a step that takes longer failed; default: 60",
    )
    add("--json", metavar="FILE", help="figures as JSON; - prints them, and nothing else, to stdout")
    add("--report", type=filled, metavar="FILE.html", help="figures and charts as one page")
    add("--yes-it-is-mine", action="store_true", help="for a service on another machine, if that is yours")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Carry out ``moorage temp load``."""
    if sys.platform == "win32":
        raise UsageError("moorage temp load does not run on Windows", do="Use Linux, a container or WSL")
    else:  # noqa: RET506 - without it mypy looks for what is not there on Windows
        import asyncio

        try:
            from moorage.cli.temp_load_run import load, settings_of
        except ModuleNotFoundError as error:
            from moorage.installed import install_line

            what = f"moorage temp load needs {error.name}"
            do = f"Type: {install_line('temp')}"
            raise MissingExtra(what, why="It is not installed here", do=do) from None
        settings = settings_of(options)
        with asyncio.Runner(loop_factory=fast_loop()) as runner:
            return runner.run(load(settings, options.json, options.report))
