"""Tables: nothing is cut in a pipe, and in a terminal nothing runs over its edge."""

from __future__ import annotations

import io
import os
import pty
import time

import pytest

from moorage.cli.table import Column, Screen, columns_of, lines, plain, short_path

COLUMNS = [Column("NAME", 6), Column("N"), Column("FROM", 8, "front")]
ROWS = [["short", "1", "/a/very/long/path/indeed"], ["a name that is long", "22", ""]]


def test_in_a_pipe_everything_is_there():
    assert lines(COLUMNS, ROWS, Screen(None, colour=False)) == [
        "NAME                 N   FROM",
        "short                1   /a/very/long/path/indeed",
        "a name that is long  22",
    ]


@pytest.mark.parametrize("width", range(20, 60))
def test_in_a_terminal_no_line_is_wider(width):
    found = lines(COLUMNS, ROWS, Screen(width, colour=False))
    assert all(columns_of(line) <= max(width, 6 + 2 + 8 + 4) for line in found)


def test_texts_are_cut_where_it_hurts_least():
    assert lines(COLUMNS, ROWS, Screen(28, colour=False)) == [
        "NAME        N   FROM",
        "short       1   …path/indeed",
        "a name th…  22",
    ]


def test_wide_characters_take_two_columns():
    rows = [["日本語のカーネル", "x"], ["e\u0301", "y"]]
    found = lines([Column("A", 4), Column("B")], rows, Screen(14, colour=False))
    assert {columns_of(line) for line in found} == {14}
    assert "…" in found[1]
    assert "e\u0301" in found[2]


def test_styles_colour_the_text_and_not_the_gaps():
    found = lines([Column("A"), Column("B")], [["x", "y"]], Screen(40, colour=True), [["32", ""]])
    assert found == ["\033[1mA  B\033[0m", "\033[32mx\033[0m  y"]
    assert lines([Column("A")], [["x"]], Screen(40, colour=False), [["32"]]) == ["A", "x"]


def test_foreign_text_moves_no_cursor():
    assert plain("a\x1b[2Jb\nc\u200b") == "a?[2Jb?c?"
    assert "\x1b" not in "".join(lines([Column("A")], [["\x1b[31m"]], Screen(None, colour=False)))


def test_a_file_is_no_terminal_and_a_terminal_is_one():
    assert Screen.of(io.StringIO()) == Screen(None, colour=False)
    leader, follower = pty.openpty()
    try:
        with os.fdopen(follower, "w", encoding="utf-8") as stream:
            assert Screen.of(stream, {}).colour
            assert not Screen.of(stream, {"NO_COLOR": "1"}).colour
            assert not Screen.of(stream, {"TERM": "dumb"}).colour
            assert Screen.of(stream, {}).width > 0
    finally:
        os.close(leader)


def test_dots_that_cannot_be_written_are_written_otherwise():
    leader, follower = pty.openpty()
    try:
        with os.fdopen(follower, "w", encoding="ascii") as stream:
            assert Screen.of(stream, {}).dots == "..."
    finally:
        os.close(leader)


def test_paragraphs_break_between_words():
    screen = Screen(20, colour=False)
    assert screen.wrapped("one two three four five", 2).splitlines() == ["  one two three four", "  five"]
    assert Screen(None, colour=False).wrapped("one two", 2) == "  one two"


@pytest.mark.parametrize(
    ("path", "shown"),
    [("/home/me/x", "~/x"), ("/home/me", "~"), ("/home/mean", "/home/mean"), ("the box", "the box")],
)
def test_the_home_is_short(path, shown):
    assert short_path(path, "/home/me") == shown


def test_names_of_any_length_are_cut_in_time():
    name = "n" * 1_000_000
    began = time.process_time()
    found = lines([*COLUMNS, Column("FIXED")], [[name, "1", name, "x"]], Screen(60, colour=False))
    assert time.process_time() - began < 60
    assert columns_of(found[1]) <= 60
    assert found[1].count("…") == 2
