"""The command line: finds the verb, prints what goes wrong, returns the exit code.

argparse rather than a richer library: its import costs 10 ms where cyclopts' costs 130 ms, and
``mooring --help`` shall answer within 150.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from typing import NoReturn

from mooring.errors import UsageError

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class Parser(argparse.ArgumentParser):
    """A parser whose complaints read like every other error of mooring."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError; argparse itself would print and exit."""
        if found := re.match(r"argument COMMAND: invalid choice: '(.*)' \(choose from (.*)\)", message):
            raise UsageError(f"there is no command {found[1]}", do=f"Known is {found[2]}")
        raise UsageError(message, do=f"Try {self.prog} --help")


def build_parser() -> Parser:
    """Return the parser of the whole command line."""
    from mooring.cli import render

    parser = Parser(
        prog="mooring",
        description="Launches Jupyter kernels without port races, watches over them, and puts them to work.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"mooring {version()}")
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", parser_class=Parser)
    render.add_parser(verbs)
    return parser


def _unknown(word: str, verb: str | None) -> UsageError:
    """Return the complaint about a flag nobody knows, with near ones."""
    from difflib import get_close_matches

    from mooring.render.settings import RenderSettings

    known = ["--" + each.name.replace("_", "-") for each in fields(RenderSettings)]
    near = get_close_matches(word.partition("=")[0], known, n=2)
    advice = (
        f"Did you mean {' or '.join(near)}?"
        if near
        else f"Try {' '.join(filter(None, ['mooring', verb]))} --help"
    )
    return UsageError(f"there is no flag {word}", do=advice)


def version() -> str:
    """Return mooring's version."""
    from mooring.version import __version__

    return __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; default is the command line's.

    Returns:
        The exit code: 0 all well, 1 something failed, 2 wrong usage and nothing was done, 130 interrupted.
    """
    _open_streams()
    try:
        options = _parse(arguments)
        return OK if options is None else int(options.run(options))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return FAILED
    except Exception as error:  # noqa: BLE001 - the last boundary: who typed a command gets a sentence
        return complain(error)


def _open_streams() -> None:
    """Open the standard streams that were closed (`>&-`): a socket there would get what is printed."""
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace | None:
    """Return what was typed; None when it was nothing and the help has been shown."""
    parser = build_parser()
    options, unknown = parser.parse_known_args(_glued(sys.argv[1:] if arguments is None else arguments))
    for word in unknown:
        # argparse takes sources only where they stand together: `render a.py -j 2 b.py` is a command too.
        if word.startswith("-") or not hasattr(options, "sources"):
            raise _unknown(word, options.verb)
        options.sources.append(word)
    if options.verb is None:
        parser.print_help()
        return None
    return options


def _glued(words: Sequence[str]) -> list[str]:
    """Write ``--kernel-arg --x`` as ``--kernel-arg=--x``: argparse takes no value that looks like a flag."""
    glued: list[str] = []
    for word in words:
        if glued and glued[-1] == "--kernel-arg":
            glued[-1] += f"={word}"
        else:
            glued.append(word)
    return glued


def complain(error: Exception) -> int:
    """Print an error as one sentence on stderr, each of a group by itself.

    Args:
        error: what ended a command, or one of its last steps.

    Returns:
        The exit code for it.
    """
    from mooring.render.unforeseen import unforeseen

    if isinstance(error, ExceptionGroup):
        return min(complain(each) for each in error.exceptions)
    with suppress(OSError):  # nobody reads that either
        print(f"error: {unforeseen(error)}", file=sys.stderr)
    return USAGE if isinstance(error, UsageError) else FAILED
