from __future__ import annotations

import html
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.notebooks.show import ansi


def test_strip_takes_out_colours_titles_and_cursor_movement():
    text = "\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b[2Jwiped\x1b[3;4Hmoved\x1b(B\x08\x00\ttab\nline\r\n"
    assert ansi.strip(text) == "red wipedmoved\ttab\nline\n"


def test_strip_takes_out_what_turns_the_order_of_a_line_and_leaves_marks_of_a_script():
    assert ansi.strip("a\u202eyp.x\u202c\u2066b\u2069\u2028c\u2029") == "ayp.xbc"
    assert ansi.strip("\u05d0\u200f!") == "\u05d0\u200f!"
    assert ansi.one_line("x\u202egpj.py") == "xgpj.py"
    assert ansi.to_html("\x1b[31mx\u202ey") == '<span class="a-red">xy</span>'


def test_strip_survives_a_sequence_that_never_ends():
    text = "before\x1b]52;c;secret"
    assert ansi.strip(text) == "before"
    assert ansi.strip("end\x1b[") == "end"


def test_only_colours_keeps_colours_and_closes_them():
    assert ansi.only_colours("\x1b[31mred\x1b[2J\x1b]0;x\x07") == "\x1b[31mred\x1b[0m"
    assert ansi.only_colours("\x1b[31mred\x1b[0m") == "\x1b[31mred\x1b[0m"
    assert ansi.only_colours("plain") == "plain"


def test_html_escapes_everything_and_names_colours():
    assert ansi.to_html("\x1b[1;31m<b>&\x1b[0m'") == '<span class="a-red a-bold">&lt;b&gt;&amp;</span>&#x27;'
    assert ansi.to_html("\x1b[38;5;196mx\x1b[39my") == '<span class="a-red">x</span>y'
    assert ansi.to_html("\x1b[38;2;0;200;0mx") == '<span class="a-green">x</span>'
    assert ansi.to_html("\x1b[48;5;21;34mx") == '<span class="a-blue">x</span>'
    assert ansi.to_html("\x1b[38;5;240mgrey") == "grey"


def test_html_survives_broken_parameters():
    assert ansi.to_html("\x1b[38mx") == "x"
    assert ansi.to_html("\x1b[38;5mx\x1b[38;2;1mx\x1b[;;mx\x1b[999mx") == "xxxx"


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("\x1b[];:m0123458<>&\"'a\n\x07")))
def test_html_never_holds_more_than_spans_and_text(text):
    made = ansi.to_html(text)
    bare = re.sub(r'<span class="[a-z -]+">|</span>', "", made)
    assert "<" not in bare
    assert html.unescape(bare) == ansi.strip(ansi.only_colours(text))


def test_nothing_shown_is_a_command():
    lines = ["::a::b", "  ::a::b", "\u2003::a", "\u200b::a", "x ##[a]b", "##vso[a]b", "##teamcity[a]"]
    for line in lines:
        told = ansi.shown(f"x\n{line}", runner=True).split("\n")[1]
        assert told.replace("\\", "") == line
        assert not told.strip("\u200b\u2003 ").startswith("::")
        assert "##" not in told
    innocent = "a::b\n# x\n## y\n##\n[1::2]"
    assert ansi.shown(innocent, runner=True) == innocent


def test_one_line_is_one_line():
    assert ansi.one_line("a\nb\tc\r\nd\x1b[1m") == "a\\nb c\\nd"


def test_a_colour_of_many_digits_is_no_colour():
    text = f"\x1b[{'9' * 5000}mx\x1b[{'3' * 60}my"
    assert ansi.to_html(text) == "xy"
