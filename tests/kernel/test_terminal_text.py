"""Text as a terminal shows it."""

from __future__ import annotations

import pytest

from moorage.kernel import terminal_text
from moorage.kernel.terminal_text import REACH, as_shown

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
    def __init__(self):
        super().__init__()
        self.characters, self.styles = Counted(), Counted()


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
        lambda n: "\n" * (REACH - 1) + UP * REACH + "x" * n + "\x1b[Ba" * (REACH - 2),
    ],
    ids=[
        "backspaces", "columns", "gaps", "styles", "lines", "broken", "erased to the start",
        "erased and written", "erased lines", "erased to the end", "further down",
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
