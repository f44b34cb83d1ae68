"""Text as a terminal shows it."""

from __future__ import annotations

import re
import tracemalloc

import pytest

from moorage.kernel import terminal_text
from moorage.kernel.terminal_text import COLUMNS, REACH, as_shown

UP = "\x1b[A"


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("abcdef\rXY", "XYcdef"),
        ("100%\r5%\n", "5%0%\n"),
        ("long line\r\x1b[Kshort\n", "short\n"),
        ("long line\x1b[2K\rshort", "short"),
        ("abc\x1b[1Kd", "   d"),
        ("abc\x1b[1K\ra\x1b[5G\x1b[1Kd", "    d"),
        ("abcd\r\x1b[C\x1b[1K\x1b[C\x1b[1Kx", "  xd"),
        ("abcdef\x1b[3G\x1b[1K\x1b[2G\x1b[Kx\x1b[4Gy\x1b[1K", " " * 4),
        ("a\r\nb\r\r\nc\r", "a\r\nb\r\r\nc\r"),
        ("ab\x08c\rx\x08y", "yc"),
        ("one\ntwo\x1b[Fthree\x1b[Efour", "three\nfour"),
        ("a\x1b[3Cb\x1b[2Dc\x1b[1Gd", "d  cb"),
        ("a\nb\x1b[9999Ac", "ac\nb"),
        ("\x1b[31mred\x1b[0m\rR", "R\x1b[31med\x1b[0m"),
        ("\x1b[?25lx\ry\x1b[?25h", "y\x1b[?25h"),
        ("a\x1b[9999Cb", "a" + " " * REACH + "b"),
        ("\n" + UP + "x" * 1000 + "\x1b[Ba", "x" * 1000 + "\n" + " " * REACH + "a"),
        ("x" * 1000 + "\x1b[2Ka", " " * REACH + "a"),
        ("plain \x1b[1mbold\x1b[0m\n", "plain \x1b[1mbold\x1b[0m\n"),
    ],
)
def test_the_cursor_moves_as_in_a_terminal(written, seen):
    assert as_shown(written) == seen


def test_nested_progress_bars_collapse():
    """As tqdm writes them: the inner bar a line below the outer one, and the cursor up after each."""
    text = "\router:   0%"
    for outer in range(1, 4):
        for inner in (0, 50, 100):
            text += f"\n\rinner: {inner:3}%{UP}"
        text += f"\n\r           {UP}\router: {outer * 33:3}%"
    assert as_shown(text + "\n") == "outer:  99%\n           "
    left = "\ra: 10%\n\rb: 10%" + UP + "\ra: 20%\n\rb: 99%" + UP + "\ra: 30%\n\n"
    assert as_shown(left) == "a: 30%\nb: 99%\n"


def test_what_is_out_of_reach_stays():
    text = "".join(f"{n}\n" for n in range(1000)) + f"\x1b[{REACH}Ax\n"
    told = as_shown(text).split("\n")
    assert told[1000 - REACH + 1][0] == "x"
    assert len(told) == 1001


class Counted(list):
    """A list that counts the elements it touches when parts of it are replaced, removed or added."""

    touched = 0

    def __setitem__(self, at, value):
        if isinstance(at, slice):
            start, end, _ = at.indices(len(self))
            shifted = len(self) - end if end - start != len(value) else 0
            Counted.touched += len(value) + shifted
        super().__setitem__(at, value)

    def __delitem__(self, at):
        Counted.touched += len(range(*at.indices(len(self)))) + len(self) - at.indices(len(self))[1]
        super().__delitem__(at)

    def __iadd__(self, more):
        Counted.touched += len(more)
        return super().__iadd__(more)


class CountedLine(terminal_text._Line):
    def put(self, at, text, style):
        Counted.touched += len(text)
        super().put(at, text, style)

    def _taken_apart(self):
        if self._apart is None:
            characters, styles = super()._taken_apart()
            Counted.touched += 2 * len(characters)
            self._apart = Counted(characters), Counted(styles)
        return self._apart


def work(text, monkeypatch):
    """Count the cells that are touched for a text, and the characters that are shown of it."""
    monkeypatch.setattr(terminal_text, "_Line", CountedLine)
    monkeypatch.setattr(Counted, "touched", 0)
    shown = as_shown(text)
    return Counted.touched + len(shown)


@pytest.mark.parametrize(
    "text",
    [
        lambda n: "x" * 4 * n + "\r" + "a\x08" * n,
        lambda n: "\x1b[9999C" * n,
        lambda n: "\x1b[9999Ca" * n,
        lambda n: ("\x1b[31m" * 10 + "a\r") * n,
        lambda n: "\r\n" * n + UP * n,
        lambda n: "\x1b[" * n + "\r",
        lambda n: "x" * n + "\x1b[1K" * n,
        lambda n: "x" * n + "\x1b[1K\x1b[Dy" * n,
        lambda n: "x" * n + "\x1b[2Kx" * n,
        lambda n: "x" * n + "\x1b[D\x1b[Ky" * n,
        lambda n: "x" * n + "\ry\x1b[9999G\x1b[1K" * n,
        lambda n: "\n" * (REACH - 1) + UP * REACH + "x" * n + "\x1b[Ba" * (REACH - 2),
    ],
    ids=[
        "backspaces", "columns", "gaps", "styles", "lines", "broken", "erased to the start",
        "erased and written", "erased lines", "erased to the end",
        "from far right", "further down",
    ],
)  # fmt: skip
def test_work_is_linear(text, monkeypatch):
    """Cells that are touched are counted: twice the text may cost twice as much."""
    once, twice = (work(text(n), monkeypatch) for n in (2000, 4000))
    assert twice <= 2.1 * once
    assert twice <= 3 * REACH * len(text(4000))


@pytest.mark.parametrize(
    "text",
    ["x" * 200_000 + "\r" + "a\x08" * 50_000, "\x1b[" * 50_000 + "\r", "\x1b[" + "0" * 100_000 + "\r"],
    ids=["backspaces", "broken", "long"],
)
def test_long_texts_end(text):
    assert len(as_shown(text)) <= len(text)


LONG = COLUMNS + 10


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("x" * LONG + "\ry", "y" + "x" * (LONG - 1)),
        ("x" * LONG + "\r" + "y" * (LONG - 1), "y" * (LONG - 1) + "x"),
        ("x" * LONG + "\r\x1b[Ky", "y"),
        ("x" * LONG + "\n" + "y\rz", "x" * LONG + "\nz"),
        ("x" * LONG + "\x08" * 20, "x" * (LONG - 20)),
        ("x" * COLUMNS + "\ry\n", "y" + "x" * (COLUMNS - 1) + "\n"),
    ],
)
def test_a_line_that_is_longer_than_the_screen_is_one_line(written, seen):
    assert as_shown(written) == seen


@pytest.mark.parametrize(
    "text",
    [
        "\r" + "\u4e00" * 1_000_000,
        "\x1b[200C." * 40_000,
        "\x1b[200C.\n" * 40_000,
        "\r\x1b[38;2;255;255;255m\x1b[48;2;255;255;255m" + "x\x1b[1my\x1b[22m" * 30_000,
        ("x" * (COLUMNS - 1) + "\n") * 30 + (UP + "\ry") * 200,
    ],
    ids=["line", "columns", "blanks", "styles", "lines"],
)
def test_a_few_characters_take_no_more_memory_than_many(text):
    tracemalloc.start()
    try:
        told = as_shown(text)
        assert tracemalloc.get_traced_memory()[1] < 20 * len(text) + 32 * 2**20
    finally:
        tracemalloc.stop()
    assert len(told) < 4 * len(text) + 2**20


def test_styles_that_nothing_ends_leave_no_rest_of_a_sequence():
    text = "".join(f"\x1b[38;2;{n};0;0;4mx\x1b[0;1;{30 + n % 8}my\x1b[48;5;{n}mz" for n in range(50))
    told = as_shown(text + "\rX")
    assert re.sub(r"\x1b\[[0-9;:]*m", "", told) == "X" + "yzx" * 49 + "yz"
    assert "\x1b[0;1;31my" in told


def test_styles_without_end_paint_as_they_did():
    text = "\x1b[31m" * 30 + "\x1b[4m\x1b[1m" + "\x1b[38;5;200m\x1b[22m" + "x" + "\r"
    assert as_shown(text) == "\x1b[31m" * 5 + "\x1b[4m\x1b[1m\x1b[38;5;200m\x1b[22mx\x1b[0m\r"
