"""The command line: finds the verb, prints what goes wrong, returns the exit code.

argparse rather than a richer library: its import costs 10 ms where cyclopts' costs 130 ms, and
``mooring --help`` shall answer within 150.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from mooring.errors import MooringError, UsageError

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class Parser(argparse.ArgumentParser):
    """A parser whose complaints read like every other error of mooring."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError; argparse itself would print and exit."""
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
        options = parser.parse_args(arguments)
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
