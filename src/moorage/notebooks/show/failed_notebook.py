"""A failed notebook in words: what happened, the cell, the traceback, the file to open.

Every presenter shows failures through here, so that a terminal, a log and a summary say the same.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from msgspec import Struct

from moorage.notebooks.events import GOOD, Outcome
from moorage.notebooks.show import ansi
from moorage.notebooks.show.figures import duration

_FRAME: Final = re.compile(r"Cell In ?\[\d+\], line (\d{1,9})\b|Input In \[\d+\], in <cell line: (\d{1,9})>")
_CONTEXT: Final = 12
"""Source lines shown on either side of the one that raised; a cell may have thousands."""


_LONGEST: Final = 50_000
"""So many characters are shown of a traceback's beginning and end: an error may hold megabytes."""
_LINE: Final = 2000


class SourceLine(Struct, frozen=True):
    """One line of the failed cell.

    Attributes:
        number: its line in the source file where that is known, else in the cell, from 1.
        text: the line, without control characters.
        raised: whether this is the line that raised.
    """

    number: int
    text: str
    raised: bool


class Symbols(Struct, frozen=True):
    """The marks a stream can show."""

    good: str = "✓"
    bad: str = "✗"
    cached: str = "≡"
    skipped: str = "○"
    retry: str = "↻"
    rule: str = "│"
    pointer: str = "▶"
    dots: str = "…"
    separator: str = "·"
    spinner: str = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
    full: str = "━"
    rest: str = "─"


ASCII: Final = Symbols(
    good="ok", bad="X", cached="=", skipped="-", retry="R", rule="|", pointer=">", dots="..",
    separator="-", spinner="|/-\\", full="#", rest=".",
)  # fmt: skip


def failed_line(outcome: Outcome) -> int | None:
    """Return the line within the cell (from 1) that raised, where the traceback tells."""
    if outcome.error is None:
        return None
    match = _FRAME.search(ansi.strip("\n".join(outcome.error.traceback)[: 2 * _LONGEST]))
    return int(match[1] or match[2]) if match else None


def file_line(outcome: Outcome) -> int | None:
    """Return the line of the source file to open, or None when it is not a text document."""
    if outcome.error is None or outcome.error.line is None:
        return None
    return outcome.error.line + (failed_line(outcome) or 1) - 1


def source_lines(outcome: Outcome) -> list[SourceLine]:
    """Return the lines of the failed cell, numbered as in the source file where that is known."""
    if outcome.error is None or not outcome.error.cell_source.strip():
        return []
    first = outcome.error.line or 1
    raised = failed_line(outcome)
    lines = outcome.error.cell_source.rstrip("\n").split("\n")
    return [SourceLine(first + at, ansi.strip(text), at + 1 == raised) for at, text in enumerate(lines)]


def headline(outcome: Outcome) -> str:
    """Return what happened in one line, without the name: ``failed in cell 7 of 12 after 3.2 s``."""
    if outcome.status in GOOD:
        return f"{outcome.status} in {duration(outcome.seconds)}"
    if outcome.status == "skipped":
        return "skipped"
    verb = {"failed": "failed", "timeout": "ran out of time", "died": "died"}[outcome.status]
    where = f" in cell {outcome.error.cell}" if outcome.error and outcome.error.cell else ""
    attempts = f" ({outcome.attempts} attempts)" if outcome.attempts > 1 else ""
    return f"{verb}{where} after {duration(outcome.seconds)}{attempts}"


def message(outcome: Outcome) -> str:
    """Return the error in one line, or the reason where there is none, or nothing."""
    if outcome.error is None:
        return ansi.one_line(outcome.reason)
    name = ansi.one_line(outcome.error.ename)
    first = ansi.strip(outcome.error.evalue[:_LONGEST]).strip().split("\n", 1)[0]
    first = first if len(first) <= _LINE else first[:_LINE] + "..."
    return f"{name}: {first}" if first else name


def to_open(outcome: Outcome, root: str) -> list[str]:
    """Return the files to open, as seen from the working directory: ``path:line`` of the source, the output.

    Args:
        outcome: a notebook that did not end well.
        root: the run's root, which ``Outcome.source`` is relative to.
    """
    line = file_line(outcome)
    whole = Path(root, outcome.source)
    source = os.path.relpath(whole)
    if source.startswith(".."):
        source = str(whole.absolute())
    files = [f"{source}:{line}" if line else source]
    if outcome.output is not None and outcome.output != "-":
        cell = f" (cell {outcome.error.cell})" if outcome.error and outcome.error.cell else ""
        files.append(outcome.output + cell)
    return [ansi.one_line(name) for name in files]


def source_block(outcome: Outcome, symbols: Symbols) -> list[str]:
    """Return the cell's source as numbered lines around the one that raised."""
    lines = source_lines(outcome)
    raised = next((at for at, line in enumerate(lines) if line.raised), 0)
    start = max(0, raised - _CONTEXT) if len(lines) > 2 * _CONTEXT else 0
    stop = min(len(lines), start + 2 * _CONTEXT + 1)
    width = len(str(lines[stop - 1].number)) if lines else 0
    marks = [symbols.pointer if line.raised else " " for line in lines[start:stop]]
    shown = [
        f"{mark} {line.number:>{width}} {symbols.rule} {line.text}".rstrip()
        for mark, line in zip(marks, lines[start:stop], strict=True)
    ]
    above, below = start, len(lines) - stop
    if above:
        shown.insert(0, f"  {symbols.dots} {above} lines above")
    if below > 0:
        shown.append(f"  {symbols.dots} {below} lines below")
    return shown


def traceback_text(outcome: Outcome, *, colour: bool) -> str:
    """Return the traceback, with its colours or without any escape sequence."""
    if outcome.error is None:
        return ""
    joined = "\n".join(outcome.error.traceback).rstrip()
    if (more := len(joined) - 2 * _LONGEST) > 0:
        joined = f"{joined[:_LONGEST]}\x1b[0m\n... {more} characters more ...\n{joined[-_LONGEST:]}"
    return ansi.only_colours(joined) if colour else ansi.strip(joined)


def failure_block(outcome: Outcome, *, root: str, symbols: Symbols, colour: bool) -> str:
    """Return everything about a notebook that did not end well, as text without a final newline.

    Args:
        outcome: the notebook.
        root: the run's root, which ``Outcome.source`` is relative to.
        symbols: the marks the stream can show.
        colour: whether escape sequences may be written.
    """
    red, dim, off = ("\x1b[1;31m", "\x1b[2m", "\x1b[0m") if colour else ("", "", "")
    title = f"{red}{symbols.bad} {ansi.one_line(outcome.source)}{off}  {headline(outcome)}"
    parts = [title]
    said = message(outcome)
    if said:
        parts.append(f"  {said}")
    if outcome.reason and outcome.error is not None and outcome.reason not in said:
        parts.append(f"  {ansi.strip(outcome.reason)}")
    source = source_block(outcome, symbols)
    if source:
        parts += ["", *(f"  {line}" for line in source)]
    traceback = traceback_text(outcome, colour=colour)
    if traceback:
        parts += ["", *(f"  {line}" for line in traceback.split("\n"))]
    if outcome.status != "skipped":
        parts += ["", *(f"  {dim}open:{off} {name}" for name in to_open(outcome, root))]
    return "\n".join(parts)
