"""``moorage isolate``: any command in a network namespace of its own, executed in this process's place."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

from moorage.errors import LaunchError, MoorageError, UsageError

if TYPE_CHECKING:
    from moorage.cli.parser import Parser

CANNOT, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127
"""Exit codes of env(1), nice(1) and timeout(1): nothing that the command itself is likely to use."""

_USAGE = "moorage isolate [--port-range LO-HI] [--] COMMAND [ARGUMENT ...]"
_EPILOGUE = """\
The command sees a loopback and nothing else of the network. It keeps user, HOME, working directory,
environment, terminal and open files but sockets, and takes this process's place: its exit code and signals
are its own.

Exit codes: the command's own; 125 no network namespace can be had; 126 the command cannot be executed;
127 there is no such command.

Example: moorage isolate -- jupytext --execute demo.py --to ipynb
"""
_WITH_VALUE = frozenset({"--port-range"})


def add_parser(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "isolate",
        help="run any command in a network namespace of its own",
        description="Runs a command in a network namespace of its own, as the same user.",
        usage=_USAGE,
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run, command=())
    parser.add_argument("--port-range", metavar="LO-HI", help="the ports that the system hands out inside")


def cut(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Cut a command line where the command to isolate begins, of which argparse must see nothing.

    Returns:
        moorage's own words, and the command to isolate (empty for every other verb).
    """
    if not words or words[0] != "isolate":
        return words, ()
    at = 1
    while at < len(words) and words[at].startswith("-"):
        if words[at] == "--":
            return words[:at], words[at + 1 :]
        at += 2 if words[at] in _WITH_VALUE else 1
    return words[:at], words[at:]


def run(options: argparse.Namespace) -> int:
    """Carry out ``moorage isolate``: returns only when it could not.

    Raises:
        UsageError: there is no command, or the port range is none.
    """
    from moorage.cli.complaints import complain
    from moorage.process.netns.execute import enter_namespace, execute

    if not options.command or not options.command[0]:
        raise UsageError("there is nothing to isolate", do=f"Type {_USAGE}")
    ports = _port_range(options.port_range)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends this as it would end the command
    try:
        enter_namespace(ports)
    except MoorageError as error:
        complain(error)
        return CANNOT
    try:
        execute(options.command)
    except OSError as error:
        found = isinstance(error, FileNotFoundError | NotADirectoryError)
        complain(_not_started(options.command[0], error))
        return NOT_FOUND if found else NOT_EXECUTABLE


def _port_range(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last) <= 65535):
        raise UsageError(f"{text} is no range of ports", do="Give the first and the last: 40000-40099")
    return int(first), int(last)


def _not_started(program: str, error: OSError) -> LaunchError:
    why = "No directory of the PATH holds a program of that name"
    if "/" in program or not isinstance(error, FileNotFoundError):
        why = str(error.strerror)
    return LaunchError(
        f"{program!r} cannot be started", why=why, do="Correct its name, or give its whole path"
    )
