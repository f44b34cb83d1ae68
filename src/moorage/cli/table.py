"""Tables in a terminal: as wide as it is, cut where the least is lost; in a pipe nothing is cut."""

from __future__ import annotations

import os
import shutil
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TextIO

BOLD, DIM, GREEN, YELLOW, RED = "1", "2", "32", "33", "31"
_DOTS = "…"
_GAP = 2


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        title: its heading.
        least: columns of the terminal it keeps however narrow that is.
        cut: which end of a text too long goes; for paths it is the front.
    """

    title: str
    least: int = 1000
    cut: Literal["front", "end"] = "end"


@dataclass(frozen=True)
class Screen:
    """What is written to.

    Attributes:
        width: columns; None for a pipe or file, where nothing is cut.
        colour: whether styles may be used.
        dots: what stands for what was cut.
    """

    width: int | None
    colour: bool
    dots: str = _DOTS

    @classmethod
    def of(cls, stream: TextIO, environ: Mapping[str, str] = os.environ) -> Screen:
        """Return what a stream can show."""
        if not stream.isatty():
            return cls(None, colour=False)
        colour = not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        try:
            _DOTS.encode(stream.encoding or "ascii")
        except UnicodeEncodeError:
            return cls(shutil.get_terminal_size().columns, colour, "...")
        return cls(shutil.get_terminal_size().columns, colour)

    def styled(self, text: str, style: str) -> str:
        """Return a text in a style, where there are styles."""
        return f"\033[{style}m{text}\033[0m" if self.colour and style and text.strip() else text

    def wrapped(self, text: str, indent: int = 0) -> str:
        """Return a paragraph, broken between words; commands stay whole."""
        blank = " " * indent
        if self.width is None:
            return blank + text
        return textwrap.fill(
            text,
            max(self.width, 20),
            initial_indent=blank,
            subsequent_indent=blank,
            break_long_words=False,
            break_on_hyphens=False,
        )


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    return len(text) + wide - sum(unicodedata.combining(each) != 0 for each in text)


def plain(text: str) -> str:
    """Return a foreign text without what would move the cursor or change colours."""
    return "".join(each if each.isprintable() else "?" for each in text)


def lines(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    screen: Screen,
    styles: Sequence[Sequence[str]] | None = None,
) -> list[str]:
    """Return heading and rows as lines.

    Args:
        columns: what stands where.
        rows: texts, one for each column.
        screen: where they go.
        styles: of each text, as ANSI numbers; empty for none.
    """
    texts = [[plain(text) for text in row] for row in rows]
    widths = _fitted(columns, texts, screen.width)
    head = "".join(
        _cell(each.title, width, each, screen) for each, width in zip(columns, widths, strict=True)
    )
    result = [screen.styled(head.rstrip(), BOLD)]
    for number, row in enumerate(texts):
        cells = []
        for index, text in enumerate(row):
            cell = _cell(text, widths[index], columns[index], screen)
            style = styles[number][index] if styles is not None else ""
            body = cell.rstrip()
            cells.append(screen.styled(body, style) + cell[len(body) :])
        result.append("".join(cells).rstrip())
    return result


def _fitted(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """Return the widths of all columns: their texts', or less where the terminal ends before."""
    widths = [
        max([columns_of(column.title), *(columns_of(row[index]) for row in rows)])
        for index, column in enumerate(columns)
    ]
    if width is None:
        return widths
    room = width - _GAP * (len(columns) - 1)
    # None is wider than all together may be: a name can be of any length, and what follows takes a step each.
    widths = [
        min(now, max(room, each.least, columns_of(each.title)))
        for now, each in zip(widths, columns, strict=True)
    ]
    while sum(widths) > room:
        slack = [
            now - max(each.least, columns_of(each.title)) for now, each in zip(widths, columns, strict=True)
        ]
        most = max(slack)
        if most <= 0:
            break
        widths[slack.index(most)] -= 1
    return widths


def _cell(text: str, width: int, column: Column, screen: Screen) -> str:
    dots = screen.dots
    if columns_of(text) > width:
        room = max(0, width - len(dots))
        if column.cut == "front":
            text = dots + _fitting(text[::-1], room)[::-1]
        else:
            text = _fitting(text, room) + dots
    return text + " " * (width - columns_of(text) + _GAP)


def _fitting(text: str, room: int) -> str:
    """Return the beginning of a text that takes at most so many columns."""
    taken = 0
    for at, each in enumerate(text):
        taken += columns_of(each)
        if taken > room:
            return text[:at]
    return text


def short_path(path: str, home: str = "") -> str:
    """Return a path with ``~`` for the user's home."""
    home = home or os.path.expanduser("~")  # noqa: PTH111 - a text is wanted, and nothing raised
    return "~" + path[len(home) :] if home != "/" and (path + "/").startswith(home + "/") else path
