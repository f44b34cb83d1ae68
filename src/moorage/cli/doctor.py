"""``moorage doctor``: what works on this machine, and what to do about what does not."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from moorage.cli.stdio import json_text
from moorage.json_types import JsonObject

if TYPE_CHECKING:
    from moorage.cli.parser import Parser
    from moorage.doctor.finding import Finding
    from moorage.doctor.kernels import KernelFinding

_EPILOGUE = """\
ok is as it should be; warn: something would not work if it were asked for; fail: kernels are not launched as
they should be. Exit codes: 0 nothing failed; 1 something did.
"""
_START_SECONDS = 60.0
_ABOUT, _LEVEL = 14, 6


def add_parser(verbs: argparse._SubParsersAction[Parser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "doctor",
        help="what works on this machine, and what to do about what does not",
        description="Looks at what works on this machine, and says what to do about what does not.",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--start", action="store_true", help="also start every kernel type, and an X display")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, and nothing else")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Carry out ``moorage doctor``."""
    import asyncio

    from moorage.cli.complaints import FAILED, OK
    from moorage.doctor.finding import worst

    output = _Silent() if options.json else _Lines()
    found, kernels = asyncio.run(_examine(output, start=options.start))
    if options.json:
        print(json_text(_document(found, kernels)))
    everything = [*found, *(each.finding for each in kernels)]
    output.end(everything)
    return FAILED if worst(everything) == "fail" else OK


async def _examine(output: _Silent, *, start: bool) -> tuple[list[Finding], list[KernelFinding]]:
    from moorage.doctor.kernels import kernels
    from moorage.doctor.machine import machine

    output.head("The machine")
    found = []
    async for finding in machine(start=start):
        found.append(finding)
        output.finding(finding)
    output.head("Kernel types")
    types = []
    async for kernel in kernels(start=start, timeout=_START_SECONDS):
        types.append(kernel)
        output.kernel(kernel)
    return found, types


class _Silent:
    """Prints nothing on the way."""

    def head(self, text: str) -> None:
        """Begin a part."""

    def finding(self, finding: Finding) -> None:
        """Take a finding as soon as it is there."""

    def kernel(self, kernel: KernelFinding) -> None:
        """Take a kernel type as soon as it has been examined."""

    def end(self, findings: list[Finding]) -> None:
        """Sum up."""


class _Lines(_Silent):
    """Prints line by line, as it is found."""

    def __init__(self) -> None:
        from moorage.cli.stdio import Lines
        from moorage.cli.table import Screen

        self._lines = Lines(sys.stdout, os.environ)
        self._screen = Screen.of(sys.stdout)
        self._first = True

    def head(self, text: str) -> None:
        """Print a heading."""
        self._lines.print(("" if self._first else "\n") + self._screen.styled(text, "1"))
        self._first = False

    def finding(self, finding: Finding) -> None:
        """Print a finding, and below it what to do."""
        seconds = "" if finding.seconds is None else f" ({_shown(finding.seconds)})"
        self._line(finding, f"{finding.says}{seconds}")

    def kernel(self, kernel: KernelFinding) -> None:
        """Print a kernel type."""
        finding = kernel.finding
        seconds = "" if finding.seconds is None else f"in {_shown(finding.seconds)}"
        parts = [kernel.display_name, kernel.rendezvous, finding.says, seconds]
        self._line(finding, ", ".join(part for part in parts if part))

    def end(self, findings: list[Finding]) -> None:
        """Print how many there were of each kind."""
        counts = {level: sum(each.level == level for each in findings) for level in ("ok", "warn", "fail")}
        self._lines.print("\n" + ", ".join(f"{count} {level}" for level, count in counts.items() if count))
        self._lines.drain()

    def _line(self, finding: Finding, text: str) -> None:
        from moorage.cli.table import GREEN, RED, YELLOW, plain
        from moorage.errors import sentence

        screen = self._screen
        style = {"ok": GREEN, "warn": YELLOW, "fail": RED}[finding.level]
        about = plain(finding.about)
        start = f"{finding.level:<{_LEVEL}}{about:<{_ABOUT - 1}} "
        body = screen.wrapped(plain(text), len(start))[len(start) :]
        self._lines.print(f"{screen.styled(finding.level, style)}{start[len(finding.level) :]}{body}")
        if finding.do:
            self._lines.print(screen.wrapped(plain(sentence(finding.do)), len(start)))


def _shown(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _document(found: list[Finding], kernels: list[KernelFinding]) -> JsonObject:
    import platform

    from moorage.version import __version__

    return {
        "moorage": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "findings": [_about(each) for each in found],
        "kernels": [
            {
                **_about(each.finding),
                "display_name": each.display_name,
                "rendezvous": each.rendezvous,
                "forked": each.forked,
                "not_forked": each.not_forked or None,
            }
            for each in kernels
        ],
    }


def _about(finding: Finding) -> JsonObject:
    seconds = None if finding.seconds is None else round(finding.seconds, 3)
    return {
        "about": finding.about,
        "level": finding.level,
        "says": finding.says,
        "do": finding.do or None,
        "seconds": seconds,
    }
