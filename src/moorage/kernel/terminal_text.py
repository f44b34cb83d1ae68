"""What a terminal would show of a text: carriage returns overwrite, progress bars collapse. No I/O.

Source: ECMA-48 §8.3 (CUU, CUD, CUF, CUB, CHA, CNL, CPL, EL, SGR). A backspace at the end of a line takes one
back, as JupyterLab has it; within a line it moves.

Time and memory are linear in the length of the text, and the result is at most about three times as long,
whatever stands in it: some characters can ask for many blanks, or for many changes of style.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import Final

REACH: Final = 200
"""Lines that the cursor can go up, and columns it can go beyond the end of a line: screens are no larger."""
COLUMNS: Final = 100_000
"""Columns of a line: what is longer goes on in the next, without a line break in the result."""
_MOST: Final = 4 * COLUMNS  # characters within reach of the cursor: one by one each takes a hundred bytes
_FURTHEST: Final = 5 * REACH  # that a column is named: no terminal is wider
_LEAST_SPARE: Final = 1024 * 1024
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
_STYLE: Final = re.compile(r"\x1b\[([0-9;:]*)m")
# Codes of SGR of which the later replaces the earlier.
_ATTRIBUTES: Final = (
    frozenset({*range(30, 40), *range(90, 98)}),
    frozenset({*range(40, 50), *range(100, 108)}),
    frozenset({58, 59}),
    frozenset({1, 2, 22}),
    frozenset({3, 20, 23}),
    frozenset({4, 21, 24}),
    frozenset({5, 6, 25}),
    frozenset({7, 27}),
    frozenset({8, 28}),
    frozenset({9, 29}),
    frozenset({53, 55}),
)
_PARAMETERS: Final = {"5": 2, "2": 4}  # behind 38, 48 and 58: of one of 256 colours, of red, green and blue
_LONGEST_CODE: Final = 24


def as_shown(text: str) -> str:
    """Return what a terminal would show of ``text``.

    Colours stay; other escape sequences stay behind the character they follow, without a width. What ends in
    carriage returns keeps them.
    """
    if not _MOVES.search(text):
        return text
    screen = _Screen(len(text) + _LEAST_SPARE)
    for match in _TOKEN.finditer(text):
        screen.take(match)
    return screen.text() + text[len(text.rstrip("\r")) :]


class _Line:
    """A line: runs of one style, and from the first change within it on each character and its style.

    Attributes:
        end: its line break; empty where it goes on in the next, or is the last.
        length: columns that it takes.
        blank: so many of its first columns are erased, and are not erased again.
    """

    def __init__(self) -> None:
        self.end = ""
        self.length = self.blank = 0
        self._runs: list[tuple[str, str]] = []
        self._apart: tuple[list[str], list[str]] | None = None

    def put(self, at: int, text: str, style: str) -> None:
        """Write over what stands from a column on; ``at`` is at most the length."""
        self.blank = min(self.blank, at)
        if at == 0 and len(text) >= self.length:
            self._runs, self._apart = [(text, style)], None
        elif at == self.length and self._apart is None:
            self._runs.append((text, style))
        else:
            characters, styles = self._taken_apart()
            characters[at : at + len(text)] = text
            styles[at : at + len(text)] = [style] * len(text)
        self.length = max(self.length, at + len(text))

    def attach(self, at: int, sequence: str) -> None:
        """Put a sequence without a width behind a character."""
        characters, _ = self._taken_apart()
        characters[at] = (characters[at] + sequence)[:_LONGEST_STYLE]
        self.blank = min(self.blank, at)

    def erase(self, at: int, how: str) -> None:
        """Erase to the end of the line, up to ``at`` (1) or everything (2)."""
        if how == "1":
            end = min(at + 1, self.length)
            if end > self.blank:
                self.put(self.blank, " " * (end - self.blank), "")
                self.blank = end
            return
        at = 0 if how == "2" else at
        self.blank = min(self.blank, at)
        if at == 0:
            self._runs, self._apart, self.length = [], None, 0
        elif at < self.length:
            for each in self._taken_apart():
                del each[at:]
            self.length = at

    def runs(self) -> list[tuple[str, str]]:
        """Return the text in pieces, and the style of each."""
        if self._apart is not None:
            characters, styles = self._apart
            self._runs, at = [], 0
            for style, group in groupby(styles):
                length = sum(1 for _ in group)
                self._runs.append(("".join(characters[at : at + length]), style))
                at += length
        return self._runs

    def _taken_apart(self) -> tuple[list[str], list[str]]:
        if self._apart is None:
            characters: list[str] = []
            styles: list[str] = []
            for text, style in self._runs:
                characters += text
                styles += [style] * len(text)
            self._apart = characters, styles
        return self._apart


class _Screen:
    """The lines within reach of the cursor, and the text of those above.

    Args:
        spare: how much longer than the text the result may become, about.
    """

    def __init__(self, spare: int) -> None:
        self._above: list[str] = []
        self._lines = [_Line()]
        self._row = self._column = self._held = 0
        self._style = self._painted = ""
        self._spare = spare

    def take(self, match: re.Match[str]) -> None:
        """Do what one piece of the text says."""
        line = self._lines[self._row]
        match match.lastgroup:
            case "text":
                self._write(match[0])
            case "other" if 0 < self._column <= line.length:
                line.attach(self._column - 1, match[0])
            case "end":
                self._next(match[0])
            case "start":
                while self._continues():
                    self._row -= 1
                self._column = 0
            case "back":
                self._back()
            case "style":
                self._paint(match[0], match["style"])
            case "move":
                self._move(match["move"], match["count"])
            case _:
                pass

    def _write(self, text: str) -> None:
        start = 0
        while start < len(text):
            if self._column >= COLUMNS:
                self._next("")
            line = self._lines[self._row]
            before = line.length
            if (gap := self._column - before) > 0:
                if gap > self._spare:
                    self._column, gap = before, 0
                self._spare -= gap
                line.put(before, " " * gap, "")
            piece = text[start : start + COLUMNS - self._column]
            line.put(self._column, piece, self._style)
            start += len(piece)
            self._column += len(piece)
            self._held += line.length - before
            self._scroll()

    def _continues(self) -> bool:
        """Tell whether the line above was too long, and goes on in this one."""
        return self._row > 0 and not self._lines[self._row - 1].end

    def _back(self) -> None:
        if not self._column and self._continues():
            self._row -= 1
            self._column = self._lines[self._row].length
        if self._column:
            self._column -= 1
            if self._column == self._lines[self._row].length - 1:
                self._erase("")

    def _erase(self, how: str) -> None:
        line = self._lines[self._row]
        self._held -= line.length
        line.erase(self._column, how)
        self._held += line.length
        while how != "1" and not line.end and self._row + 1 < len(self._lines):
            rest = self._lines.pop(self._row + 1)
            self._held -= rest.length
            line.end = rest.end

    def _next(self, end: str) -> None:
        """Go to the next line; without an ``end`` because this one is full."""
        line = self._lines[self._row]
        if self._row == len(self._lines) - 1 or (end and line.end):
            line.end = end
        self._row, self._column = self._row + 1, 0
        if self._row == len(self._lines):
            self._lines.append(_Line())
        self._scroll()

    def _scroll(self) -> None:
        """Let go of lines that are out of reach."""
        while self._row and (len(self._lines) > REACH or self._held > _MOST):
            line = self._lines.pop(0)
            self._held -= line.length
            self._above.append(self._written(line))
            self._row -= 1

    def _paint(self, sequence: str, codes: str) -> None:
        self._style = "" if codes.strip("0;") == "" else self._style + sequence
        if len(self._style) > _LONGEST_STYLE:
            self._style = _shortened(self._style)

    def _move(self, kind: str, count: str) -> None:
        steps = min(int(count or 1) or 1, REACH)
        if kind in "AF":
            self._row = max(0, self._row - steps)
        elif kind in "BE":
            self._row = min(len(self._lines) - 1, self._row + steps)
        elif kind == "K":
            self._erase(count)
        to = self._column
        if kind in "EF":
            to = 0
        elif kind in "CDG":
            by = steps if kind == "C" else -steps
            to = min(int(count or 1), _FURTHEST) - 1 if kind == "G" else to + by
        # In another line, or in this one after it was erased, the same column may be out of reach.
        self._column = max(0, min(to, self._lines[self._row].length + REACH, COLUMNS))

    def text(self) -> str:
        """Return all lines, the last of them without an end."""
        whole = "".join([*self._above, *map(self._written, self._lines)])
        return whole + ("\x1b[0m" if self._painted else "")

    def _written(self, line: _Line) -> str:
        parts: list[str] = []
        for text, style in line.runs():
            if style != self._painted and self._spare > 0:
                change = ("\x1b[0m" if self._painted else "") + style
                self._spare -= len(change)
                self._painted = style
                parts.append(change)
            parts.append(text)
        return "".join([*parts, line.end])


def _shortened(style: str) -> str:
    """Return one sequence that paints as several do; codes without a known meaning are left out."""
    painted: dict[frozenset[int], str] = {}
    for sequence in _STYLE.findall(style):
        codes = sequence.split(";")
        while codes:
            code = codes.pop(0)
            if code in {"38", "48", "58"} and codes:
                count = _PARAMETERS.get(codes[0], 1)
                code = ";".join([code, *codes[:count]])
                del codes[:count]
            if not code.strip("0"):
                painted.clear()
            elif len(code) <= _LONGEST_CODE:
                number = int(re.split("[;:]", code)[0] or 0)
                kind = next((each for each in _ATTRIBUTES if number in each), None)
                if kind is not None:
                    painted[kind] = code
    return f"\x1b[{';'.join(painted.values())}m" if painted else ""
