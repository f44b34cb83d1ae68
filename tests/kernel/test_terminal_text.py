"""Text as a terminal shows it."""

from __future__ import annotations

import time

import pytest

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
        ("a\r\nb\r\r\nc\r", "a\r\nb\r\r\nc\r"),
        ("ab\x08c\rx\x08y", "yc"),
        ("one\ntwo\x1b[Fthree\x1b[Efour", "three\nfour"),
        ("a\x1b[3Cb\x1b[2Dc\x1b[1Gd", "d  cb"),
        ("a\nb\x1b[9999Ac", "ac\nb"),
        ("\x1b[31mred\x1b[0m\rR", "R\x1b[31med\x1b[0m"),
        ("\x1b[?25lx\ry\x1b[?25h", "y\x1b[?25h"),
        ("a\x1b[9999Cb", "a" + " " * REACH + "b"),
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


@pytest.mark.parametrize(
    "text",
    [
        "x" * 2_000_000 + "\r" + "a\x08" * 500_000,
        "\x1b[9999C" * 300_000,
        ("\x1b[31m" * 10 + "a\r") * 30_000,
        "\r\n" * 500_000 + UP * 300_000,
        "\x1b[" * 500_000 + "\r",
    ],
    ids=["backspaces", "columns", "styles", "lines", "broken"],
)
def test_time_is_linear(text):
    began = time.monotonic()
    as_shown(text)
    assert time.monotonic() - began < 60
