"""What a terminal would show of a text: carriage returns overwrite, progress bars collapse. No I/O.

Source: ECMA-48 §8.3 (CUU, CUD, CUF, CUB, CHA, CNL, CPL, EL, SGR). A backspace at the end of a line takes one
back, as JupyterLab has it; within a line it moves.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import Final

REACH: Final = 200
"""Lines that the cursor can go up, and columns it can go beyond the end of a line: screens are no larger."""
_LONGEST_STYLE: Final = 128

_MOVES: Final = re.compile(r"[\r\x08]|\x1b\[\d{0,4}[A-GK]")
_TOKEN: Final = re.compile(
    r"(?P<text>[^\n\r\x08\x1b]+)"
    r"|(?P<end>\r*\n)"
    r"|(?P<back>\x08)"
    r"|(?P<start>\r+)"
    r"|\x1b\[(?P<style>[0-9;:]*)m"
    r"|\x1b\[(?P<count>\d{0,4})(?P<move>[A-GK])"
    r"|(?P<other>\x1b(?:\[[0-?]*[ -/]*[@-~])?)"
)


def as_shown(text: str) -> str:
    """Return what a terminal would show of ``text``, in time that is linear in its length.

    Colours stay; other escape sequences stay behind the character they follow, without a width. What ends in
    carriage returns keeps them.
    """
    if not _MOVES.search(text):
        return text
    screen = _Screen()
    for match in _TOKEN.finditer(text):
        screen.take(match)
    return screen.text() + text[len(text.rstrip("\r")) :]


class _Line:
    """Characters and the style of each; the first ``blank`` are erased, and are not erased again."""

    def __init__(self) -> None:
        self.characters: list[str] = []
        self.styles: list[str] = []
        self.blank = 0
        self.end = ""

    def put(self, at: int, text: list[str], style: str) -> None:
        self.blank = min(self.blank, at)
        if (gap := at - len(self.characters)) > 0:
            self.characters += [" "] * gap
            self.styles += [""] * gap
        self.characters[at : at + len(text)] = text
        self.styles[at : at + len(text)] = [style] * len(text)

    def erase(self, at: int, how: str) -> None:
        """Erase to the end of the line, up to ``at`` (1) or everything (2)."""
        if how == "1":
            end = min(at + 1, len(self.characters))
            if end > self.blank:
                self.put(self.blank, [" "] * (end - self.blank), "")
                self.blank = end
        else:
            kept = 0 if how == "2" else at
            del self.characters[kept:]
            del self.styles[kept:]
            self.blank = min(self.blank, kept)

    def hang(self, at: int, sequence: str) -> None:
        """Put what has no width behind a character."""
        self.characters[at] = (self.characters[at] + sequence)[:_LONGEST_STYLE]
        self.blank = min(self.blank, at)


class _Screen:
    """The lines within reach of the cursor, and the text of those above."""

    def __init__(self) -> None:
        self._above: list[str] = []
        self._lines = [_Line()]
        self._row = self._column = 0
        self._style = self._painted = ""

    def take(self, match: re.Match[str]) -> None:
        """Do what one piece of the text says."""
        line = self._lines[self._row]
        match match.lastgroup:
            case "text":
                line.put(self._column, list(match[0]), self._style)
                self._column += len(match[0])
            case "other" if 0 < self._column <= len(line.characters):
                line.hang(self._column - 1, match[0])
            case "end":
                self._next(match[0])
            case "start":
                self._column = 0
            case "back" if self._column:
                self._column -= 1
                if self._column == len(line.characters) - 1:
                    line.erase(self._column, "")
            case "style":
                plain = match["style"].strip("0;") == ""
                self._style = "" if plain else (self._style + match[0])[-_LONGEST_STYLE:]
            case "move":
                self._move(match["move"], match["count"])
            case _:
                pass

    def _next(self, end: str) -> None:
        self._lines[self._row].end = end
        self._row, self._column = self._row + 1, 0
        if self._row == len(self._lines):
            self._lines.append(_Line())
        if len(self._lines) > REACH:
            self._above.append(self._written(self._lines.pop(0)))
            self._row -= 1

    def _move(self, kind: str, count: str) -> None:
        steps = min(int(count or 1) or 1, REACH)
        if kind in "AF":
            self._row = max(0, self._row - steps)
        elif kind in "BE":
            self._row = min(len(self._lines) - 1, self._row + steps)
        elif kind == "K":
            self._lines[self._row].erase(self._column, count)
        to = self._column
        if kind in "EF":
            to = 0
        elif kind in "CDG":
            to = int(count or 1) - 1 if kind == "G" else to + (steps if kind == "C" else -steps)
        # In another line, or in this one after it was erased, the same column may be out of reach.
        self._column = max(0, min(to, len(self._lines[self._row].characters) + REACH))

    def text(self) -> str:
        """Return all lines, the last of them without an end."""
        whole = "".join([*self._above, *map(self._written, self._lines)])
        return whole + ("\x1b[0m" if self._painted else "")

    def _written(self, line: _Line) -> str:
        parts: list[str] = []
        at = 0
        for style, group in groupby(line.styles):
            length = sum(1 for _ in group)
            if style != self._painted:
                parts.append(("\x1b[0m" if self._painted else "") + style)
                self._painted = style
            parts += line.characters[at : at + length]
            at += length
        return "".join([*parts, line.end])
