"""The command line: finds the verb, prints what goes wrong, returns the exit code.

argparse rather than a richer library: its import costs 10 ms where cyclopts' costs 130 ms, and
``moorage --help`` shall answer within 150.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from moorage.cli.complaints import FAILED, INTERRUPTED, OK, complain
from moorage.cli.parser import Parser, glued
from moorage.cli.stdio import guarded
from moorage.directory import working_directory
from moorage.version import __version__


def build_parser() -> Parser:
    """Return the parser of the whole command line."""
    from moorage.cli import doctor, isolate, kernels, proxy, render, run, temp

    parser = Parser(
        prog="moorage",
        description="Launches Jupyter kernels without port races, watches over them, and puts them to work.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"moorage {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", parser_class=Parser)
    render.add_parser(verbs)
    kernels.add_parser(verbs)
    run.add_parser(verbs)
    isolate.add_parser(verbs)
    temp.add_parser(verbs)
    proxy.add_parser(verbs)
    doctor.add_parser(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; default is the command line's.

    Returns:
        The exit code: 0 all well, 1 something failed, 2 wrong usage and nothing was done, 130 interrupted.
    """
    _open_streams()
    with guarded():
        try:
            options = _parse(arguments)
            return OK if options is None else int(options.run(options))
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:
            return FAILED
        except Exception as error:  # noqa: BLE001 - the last boundary: a command ends with a sentence
            return complain(error)
        finally:
            _flush_streams()


def _flush_streams() -> None:
    """Write what is buffered, as far as it is read: at its end Python would complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
        except (OSError, ValueError):  # a full disk, of which Python complains at its end; or it was closed
            continue


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
    from moorage.cli import isolate

    parser = build_parser()
    words, command = isolate.cut(sys.argv[1:] if arguments is None else arguments)
    options, unknown = parser.parse_known_args(glued(words))
    if command:
        options.command = command
    for word in unknown:
        # argparse takes sources only where they stand together: `render a.py -j 2 b.py` is a command too.
        if word.startswith("-") or not hasattr(options, "sources"):
            raise parser.chosen(options.verb, getattr(options, "action", None)).unknown(word)
        options.sources.append(word)
    if options.verb is None:
        parser.print_help()
        return None
    if options.verb != "isolate":  # which hands on what it finds
        working_directory()
    return options
