"""``moorage kernels check TYPE``: whether a kernel conforms to the protocol."""

from __future__ import annotations

import argparse
import os
import sys
from time import monotonic
from typing import TYPE_CHECKING

from moorage.cli.complaints import FAILED, OK
from moorage.errors import UsageError

if TYPE_CHECKING:
    from moorage.cli.parser import Parser
    from moorage.cli.table import Screen
    from moorage.testing.verdict import Check, Verdict

_EPILOGUE = """\
The kernel is started under a port storm, by every rendezvous it can use, spoken to in every message of the
protocol, interrupted, restarted, killed and shut down. FAIL is what the protocol requires and is not so;
advice is what helps clients, and fails no kernel.

Exit codes: 0 it conforms; 1 it does not; 2 wrong usage.
"""
_STYLES = {"ok": "32", "FAIL": "1;31", "advice": "33", "skipped": "2"}


def add_parser(actions: argparse._SubParsersAction[Parser]) -> None:
    """Add the action."""
    parser = actions.add_parser(
        "check",
        help="try whether a kernel conforms to the protocol, and starts every time",
        description="Tries whether a kernel conforms to Jupyter's protocol, and starts every time.",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("type", metavar="TYPE", help="such as python3, spec/ir, env/.venv")
    parser.add_argument(
        "--starts",
        type=int,
        default=20,
        metavar="N",
        help="how often to start it under the storm (default: 20)",
    )
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="one JSON document on stdout"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Carry out ``moorage kernels check``."""
    import asyncio

    from moorage.cli.stdio import Lines
    from moorage.cli.table import Screen, plain
    from moorage.notebooks.resources import check_open_files
    from moorage.testing.kernel import check_kernel

    if options.starts < 0:
        raise UsageError(f"{options.starts} is no number of starts", do="Give 0 or more")
    check_open_files()
    quiet = bool(options.json)
    screen = Screen.of(sys.stdout)

    told = Lines(sys.stdout, os.environ)

    def show(check: Check) -> None:
        if not quiet:
            told.print("\n".join(check_lines(check, screen)))

    if not quiet:
        told.print(screen.styled(plain(f"Checking {options.type}, which takes a minute or so."), "2"))
    began = monotonic()
    verdict = asyncio.run(check_kernel(options.type, options.starts, on_check=show))
    seconds = monotonic() - began
    told.print(document(verdict, seconds) if quiet else summary(verdict, seconds, screen))
    told.drain()
    return OK if verdict.passed else FAILED


def check_lines(check: Check, screen: Screen) -> list[str]:
    """Return one check as lines: its outcome, its name, and why."""
    from moorage.cli.table import plain

    lines = [f"{screen.styled(f'{check.outcome:<7}', _STYLES[check.outcome])}  {check.name}"]
    if check.why:
        lines.append(
            screen.styled(screen.wrapped(plain(check.why), 9), "" if check.outcome == "FAIL" else "2")
        )
    return lines


def summary(verdict: Verdict, seconds: float, screen: Screen) -> str:
    """Return the verdict in a sentence."""
    from moorage.cli.table import plain

    counts = {name: sum(each.outcome == name for each in verdict.checks) for name in _STYLES}
    outcome = "conforms" if verdict.passed else "does not conform"
    style = _STYLES["ok" if verdict.passed else "FAIL"]
    rest = (
        f"{counts['ok']} ok, {counts['FAIL']} failed, {counts['advice']} advised, {counts['skipped']} skipped"
    )
    return f"\n{screen.styled(plain(f'{verdict.subject} {outcome}'), style)}: {rest}, {seconds:.0f} s"


def document(verdict: Verdict, seconds: float) -> str:
    """Return the verdict as JSON."""
    from dataclasses import asdict

    from moorage.cli.stdio import json_text
    from moorage.version import __version__

    checks = [{**asdict(each), "outcome": each.outcome} for each in verdict.checks]
    content = {"moorage": __version__, "subject": verdict.subject, "conforms": verdict.passed}
    return json_text({**content, "seconds": round(seconds, 3), "checks": checks})
