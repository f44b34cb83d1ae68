"""``moorage render``: its flags, and the call."""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from moorage.cli.parser import filled
from moorage.json_types import JsonObject

if TYPE_CHECKING:
    from moorage.cli.parser import Parser

_EPILOGUE = """\
A file named here always counts. In a directory a notebook counts, and a script or Markdown file that
has a jupytext header or a cell marker. Outputs mirror the sources' tree under -o.

Exit codes: 0 all well; 1 a notebook failed; 2 wrong usage, nothing was done; 130 interrupted: what was
finished is kept, and the same command goes on from there.

Every flag can stand in moorage.toml, or under [tool.moorage] in pyproject.toml, by its own name.
"""


def add_parser(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "render",
        help="run notebooks and scripts, many at once, and write them with their outputs",
        description="Runs notebooks and scripts, many at once, and writes them with their outputs.",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # A flag not given must not hide the configuration's value.
        argument_default=argparse.SUPPRESS,
        # An abbreviation would mean something else the day another flag begins like it.
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    parser.add_argument("sources", nargs="+", metavar="SRC", help="notebook, script or directory")
    _what(parser)
    _how(parser)
    _told(parser)


def _what(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to write")
    add = group.add_argument
    add("-o", "--out", type=filled, metavar="DIR|FILE", help="where outputs go (default: rendered/)")
    add("--to", metavar="FORMATS", help="ipynb, html, md, separated by commas (default: ipynb)")
    add("--overwrite", action="store_true", help="replace files that moorage did not make (never sources)")
    add("--artifacts", action="append", metavar="GLOB", help="collect files the notebooks made (repeatable)")
    add("--bundle", type=filled, metavar="FILE", help="also pack everything into FILE (.tar.gz, .tar, .zip)")
    add("--remove-cells", action="append", metavar="TAG", help="leave cells with this tag out (repeatable)")
    add("--param", action="append", metavar="K=V", help="set a parameter in every notebook (repeatable)")


def _how(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how to run")
    add = group.add_argument
    add("-j", "--jobs", type=int, metavar="N", help="how many at once (default: the cores usable here)")
    add("--kernel", metavar="TYPE", help="kernel type for all, whatever the documents say")
    add("--kernel-arg", action="append", metavar="A", help="add an argument to the kernel's command")
    add("--env", action="append", metavar="K=V", help="set an environment variable for the kernels")
    add("--timeout", metavar="S", help="seconds a notebook may take (default: no limit)")
    add("--cell-timeout", metavar="S", help="seconds a cell may take (default: no limit)")
    add("--start-timeout", metavar="S", help="seconds a kernel may take to answer (default: 60; 0: no limit)")
    add("--retries", type=int, metavar="N", help="start anew when a kernel died, not when code raised (1)")
    add("--fail-fast", action="store_true", help="start nothing more after the first failure")
    add("--allow-errors", action="store_true", help="run on after an error; the notebook still counts failed")
    add("--cache", type=filled, metavar="DIR", help="where results are kept (default: .moorage/cache)")
    add("--no-cache", action="store_true", help="neither read nor write the cache")
    add("--force", action="store_true", help="run everything, and write the cache")
    add(
        "--isolate",
        choices=["none", "net"],
        help="net: kernels have no network but a loopback each",
    )
    add("--rendezvous", choices=["auto", "handshake", "self-bind", "hold", "ipc"], help=argparse.SUPPRESS)
    add("--no-fork", action="store_true", help="start every kernel by itself, none from a template")
    add("--cluster", metavar="PLACE", help=argparse.SUPPRESS)
    add("--display", action="store_true", help="run one virtual X display (Xvfb) for the kernels")


def _told(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to tell")
    add = group.add_argument
    add(
        "--report", type=filled, metavar="FILE.html", help="one page about the run: timeline, plots, failures"
    )
    add("--junit", type=filled, metavar="FILE.xml", help="results for a CI system")
    add(
        "--json",
        type=filled,
        metavar="FILE",
        help="results as JSON; - prints them, and nothing else, to stdout",
    )
    add("--quiet", action="store_true", help="only failures")
    add("--plain", action="store_true", help="plain lines, even in a terminal")


def run(options: argparse.Namespace) -> int:
    """Carry out ``moorage render``."""
    # What is imported stays: looking for garbage in it costs 8 % of the start.
    gc.disable()
    from moorage.cli.complaints import USAGE, complain
    from moorage.errors import KernelTypeNotFound
    from moorage.process.warden.process import started_ahead

    with started_ahead() as warden:
        from moorage.cli.session import render_session

        gc.freeze()
        gc.enable()
        try:
            return render_session(options.sources, _flags(options), sys.stdout, sys.stderr, warden=warden)
        except KernelTypeNotFound as error:  # what --kernel names; nothing was done
            complain(error)
            return USAGE


def _flags(options: argparse.Namespace) -> JsonObject:
    """Return the flags that were given."""
    flags: JsonObject = {
        key: value for key, value in vars(options).items() if key not in {"sources", "verb", "run"}
    }
    for key in ("out", "cache", "bundle", "report", "junit", "json"):
        if key in flags:
            flags[key] = Path(flags[key])
    return flags
