"""Lines that are drawn over, on a terminal that is emulated."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console
from rich.text import Text

from moorage.notebooks.show.area import Area


class Screen(io.StringIO):
    """A terminal that breaks its lines anew when it is made narrower."""

    def __init__(self, width):
        super().__init__()
        self.width = width
        self.lines = [""]
        self.row = 0
        self.column = 0

    def rows(self):
        """Return what stands on the screen, without empty rows at its end."""
        rows = [row for line in self.lines for row in self._broken(line)]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def _broken(self, line):
        return [line[at : at + self.width] for at in range(0, len(line), self.width)] or [""]

    def write(self, text):
        for piece in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
            if piece == "\r":
                self.column = 0
            elif piece == "\n":
                self.row, self.column = self.row + 1, 0
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif piece == "\x1b[K":
                self.lines[self.row] = self.lines[self.row][: self.column]
            elif piece == "\x1b[J":
                assert (self.row, self.column) != (0, 0), "tmux would keep what is cleared"
                self.lines = [*self.lines[: self.row], self.lines[self.row][: self.column]]
            elif up := re.fullmatch(r"\x1b\[(\d+)A", piece):
                self._up(int(up[1]))
            elif not piece.startswith("\x1b"):
                line = self.lines[self.row]
                self.lines[self.row] = line[: self.column] + piece + line[self.column + len(piece) :]
                self.column += len(piece)
        return len(text)

    def _up(self, rows):
        """Move up by rows, which are parts of lines."""
        assert self.column == 0
        while rows > 0:
            self.row -= 1
            rows -= len(self._broken(self.lines[self.row]))
        assert rows == 0, "the cursor would stand within a broken line"


@pytest.fixture
def screen():
    return Screen(100)


@pytest.fixture
def area(screen):
    class Resizable(Console):
        @property
        def size(self):
            return super().size.__class__(screen.width, 24)

    return Area(Resizable(file=screen, force_terminal=True, color_system=None, legacy_windows=False))


def lines(*texts):
    return [Text(text, no_wrap=True, overflow="crop") for text in texts]


def test_lines_are_drawn_over_and_results_scroll_above(screen, area):
    area.open()
    area.draw(lines("one", "two"))
    area.draw(lines("three", "four", "five"), lines("a result"))
    assert screen.rows() == ["a result", "three", "four", "five"]
    area.print(*lines("another"))
    assert screen.rows() == ["a result", "another", "three", "four", "five"]
    area.close()
    area.print(*lines("the end"))
    assert screen.rows() == ["a result", "another", "the end"]


@pytest.mark.parametrize("widths", [(60,), (30, 90), (25, 12, 100)])
def test_resizing_leaves_no_torn_lines(screen, area, widths):
    area.open()
    area.draw(lines("x" * 95, "y" * 80), lines("a result"))
    for width in widths:
        screen.width = width
        shown = ["x" * (width - 1), "y" * min(80, width - 1)]
        area.draw(lines(*shown))
        assert screen.rows() == ["a result", *shown]


def test_the_mark_of_ctrl_c_is_drawn_over(screen, area):
    area.open()
    area.draw(lines("one", "z" * 99))
    screen.write("^C")
    area.draw(lines("one", "two"))
    assert screen.rows() == ["one", "two"]


def test_closing_shows_the_cursor_once():
    file = io.StringIO()
    area = Area(Console(file=file, force_terminal=True, width=40))
    area.open()
    area.draw(lines("x"))
    area.close()
    area.close()
    assert file.getvalue().count("\x1b[?25h") == file.getvalue().count("\x1b[?25l") == 1


def test_a_result_longer_than_the_terminal_is_not_cut(screen, area):
    area.open()
    area.print(Text("w" * 250))
    assert "".join(screen.rows()) == "w" * 250
