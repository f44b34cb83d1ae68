"""The command line: finds the verb, prints what goes wrong, returns the exit code.

argparse rather than a richer library: its import costs 10 ms where cyclopts' costs 130 ms, and
``mooring --help`` shall answer within 150.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import NoReturn

from mooring.errors import MooringError, UsageError

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
    try:
        parser = build_parser()
        options, unknown = parser.parse_known_args(arguments)
        if unknown:
            raise _unknown(unknown[0], options.verb)
        if options.verb is None:
            parser.print_help()
            return OK
        return int(options.run(options))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    except MooringError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
