"""``moorage run``: its flags, and the call."""

from __future__ import annotations

import argparse
import gc
import sys
from typing import TYPE_CHECKING

from moorage.cli.parser import filled

if TYPE_CHECKING:
    from moorage.cli.parser import Parser

_USAGE = """\
moorage run TYPE (-c CODE | FILE | -) [options] [[--] ARGUMENT...]
       moorage run --existing KERNEL (-c CODE | FILE | -) [options] [[--] ARGUMENT...]"""
_EPILOGUE = """\
What the code prints appears as it comes; of a result its plain text, and on stderr what else there was.
Questions of the code are asked here. The first Ctrl-C interrupts the code, the second ends the kernel.

Exit codes: 0 all well; 1 the code raised or the kernel died; 2 wrong usage, nothing was done; 130
interrupted.
"""
_START_TIMEOUT = "seconds the kernel may take to answer (default: 60; 0: no limit)"


def add_parser(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "run",
        help="run code in a kernel, and print what comes of it",
        description="Runs code in a kernel of its own, or in one that runs already, and prints its output.",
        usage=_USAGE,
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    _flags(parser)


def _flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "sources",
        nargs="*",
        metavar="TYPE FILE ARGUMENT",
        help="kernel type; script or notebook, - for standard input; what is behind is its sys.argv",
    )
    add("-c", dest="code", metavar="CODE", help="run this")
    add(
        "--existing",
        type=filled,
        metavar="KERNEL",
        help="connection file, id or pid of a running kernel; it is left running",
    )
    add("--cwd", type=filled, metavar="DIR", help="the kernel's working directory (default: the present one)")
    add("--env", action="append", default=[], metavar="K=V", help="set an environment variable (repeatable)")
    add("--kernel-arg", action="append", default=[], metavar="A", help="add an argument to its command")
    add(
        "--isolate", choices=["none", "net"], default="none", help="net: no network but a loopback of its own"
    )
    add(
        "--rendezvous",
        choices=["auto", "handshake", "self-bind", "hold", "ipc"],
        default="auto",
        help="how to agree on addresses (default: what suits the kernel)",
    )
    add(
        "--timeout",
        type=float,
        default=0.0,
        metavar="S",
        help="seconds the code may take (default: no limit)",
    )
    add("--start-timeout", type=float, default=60.0, metavar="S", help=_START_TIMEOUT)
    add("--json", action="store_true", help="print one JSON document of all outputs, and nothing else")


def run(options: argparse.Namespace) -> int:
    """Carry out ``moorage run``."""
    # What is imported stays: looking for garbage in it costs 8 % of the start.
    gc.disable()
    from moorage.cli.run_request import request_of
    from moorage.cli.run_session import run_session

    gc.freeze()
    gc.enable()
    return run_session(request_of(options), sys.stdin, sys.stdout, sys.stderr)
