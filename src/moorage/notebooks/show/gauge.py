"""The lines of the live display, each made to fit the terminal's width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.notebooks.show import ansi
from moorage.notebooks.show.figures import clock, counted, size

if TYPE_CHECKING:
    from rich.text import Text

    from moorage.notebooks.show.failed_notebook import Symbols
    from moorage.notebooks.show.tally import RunningNotebook, Tally

LONGER: Final = "longer than expected"
"""In place of the time left, when every notebook that is left has had the time it was thought to take."""
_WIDE: Final = 60
"""Columns from which memory and bars are shown beside names."""
_NAME: Final = 24
"""Columns that names have at least, so that the bars do not stand at another place in each run."""
_SPINS: Final = 8.0
"""Steps of the spinner per second."""


def fitted(name: str, width: int, dots: str) -> str:
    """Return ``name`` cut at its front to ``width`` columns: the end of a path tells notebooks apart."""
    from rich.cells import cell_len

    name = ansi.strip(name).replace("\n", " ").replace("\t", " ")
    if cell_len(name) <= width:
        return name
    while name and cell_len(dots) + cell_len(name) > width:
        name = name[1:]
    return (dots + name)[: max(width, 0)]


def bar(done: int, total: int, width: int, symbols: Symbols) -> tuple[str, str]:
    """Return the full and the empty part of a bar."""
    full = round(width * done / total) if total else 0
    return symbols.full * full, symbols.rest * (width - full)


def preparing_line(text: str, now: float, width: int, symbols: Symbols) -> Text:
    """Return the line that tells what is done before the first notebook runs.

    Args:
        text: what is done.
        now: seconds since the run began.
        width: columns of the terminal.
        symbols: the marks the terminal can show.
    """
    from rich.text import Text

    spin = symbols.spinner[int(now * _SPINS) % len(symbols.spinner)]
    shown = fitted(text, width - 3, symbols.dots)
    return Text.assemble((f"{spin} ", "cyan"), (shown, "dim"), no_wrap=True, overflow="crop")


def running_line(
    entry: RunningNotebook, now: float, width: int, symbols: Symbols, longest: int | None = None
) -> Text:
    """Return one running notebook: name, cell, seconds, and where there is room a bar and memory.

    Args:
        entry: the notebook.
        now: seconds since the run began.
        width: columns of the terminal.
        symbols: the marks the terminal can show.
        longest: columns of the longest name of the run: what is told of it begins behind that, and in a
            wide terminal at its middle at the latest.
    """
    from rich.cells import cell_len
    from rich.text import Text

    cells = f"{entry.index}/{entry.total}" if entry.total else "start"
    cell = ("stopped", "yellow") if entry.stopped else (cells, "")
    right: list[tuple[str, str]] = [(f"{cell[0]:>8}", cell[1]), (f"{clock(now - entry.started):>8}", "dim")]
    if width >= _WIDE:
        memory = size(entry.memory) if entry.memory is not None else ""
        full, rest = bar(max(entry.index - 1, 0), entry.total, 10, symbols)
        right = [(full, "cyan"), (rest, "bright_black"), *right, (f"{memory:>10}", "dim")]
    again = f" ({symbols.retry}{entry.attempt})" if entry.attempt > 1 else ""
    room = width - 1 - 2 - 1 - sum(cell_len(text) for text, _ in right)
    if longest is not None:
        room = min(room, max(longest + cell_len(again), _NAME), max(width // 2, _NAME))
    name = fitted(entry.source + again, room, symbols.dots)
    spin = symbols.spinner[int(now * _SPINS) % len(symbols.spinner)]
    padding = " " * (room - cell_len(name) + 1)
    return Text.assemble((f"{spin} ", "cyan"), name, padding, *right, no_wrap=True, overflow="crop")


def more_line(number: int, symbols: Symbols) -> Text:
    """Return the line that stands for running notebooks the terminal has no room for."""
    from rich.text import Text

    return Text(f"  {symbols.dots} {number} more running", "dim", no_wrap=True, overflow="crop")


def total_line(tally: Tally, now: float, width: int, symbols: Symbols) -> Text:
    """Return the run in one line: done of total, failed, cached, time so far, time left, jobs."""
    from rich.text import Text

    done, counts = sum(tally.counts.values()), tally.counts
    failed = sum(counts[status] for status in ("failed", "timeout", "died"))
    left = tally.remaining(now)
    # Text, style, and when to give way on a narrow terminal: the highest goes first.
    parts: list[tuple[str, str, int]] = [(f"{done}/{tally.total}", "bold", 0)]
    if failed:
        parts.append((f"{failed} failed", "bold red", 1))
    if counts["cached"]:
        parts.append((f"{counts['cached']} cached", "", 4))
    parts.append((clock(now), "dim", 3))
    if left:
        parts.append((f"{clock(left)} left", "", 2))
    elif left is not None and tally.running:
        parts.append((LONGER, "", 2))
    parts.append((counted(tally.plan.jobs, "job"), "dim", 5))
    bar_width = 20 if width >= 80 else 10 if width >= _WIDE else 0
    room = width - 1 - (bar_width + 2 if bar_width else 0)
    between = f" {symbols.separator} "
    while len(parts) > 1 and sum(len(text) + 3 for text, _, _ in parts) - 3 > room:
        parts.remove(max(parts, key=lambda part: part[2]))
    line = Text(no_wrap=True, overflow="crop")
    if bar_width:
        full, rest = bar(done, tally.total, bar_width, symbols)
        line.append(full, "red" if failed else "green").append(rest, "bright_black").append("  ")
    for at, (text, style, _) in enumerate(parts):
        line.append(between if at else "", "dim").append(text, style)
    return line
