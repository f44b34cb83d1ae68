"""Globs of paths."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.notebooks.globs import matches


@pytest.mark.parametrize(
    ("name", "pattern", "yes"),
    [
        ("x.py", "x.py", True),
        ("a/x.py", "x.py", False),
        ("a/x.py", "*.py", True),
        ("a/x.py", "a/*.py", True),
        ("a/b/x.py", "a/*.py", False),
        ("a/b/x.py", "a/**", True),
        ("a/b/x.py", "a/**/x.py", True),
        ("a/x.py", "a/**/x.py", True),
        ("a/b/x.py", "a", True),
        ("a/b/x.py", "a/", True),
        ("ab/x.py", "a", False),
        ("x1.py", "x[0-9].py", True),
        ("xa.py", "x[!0-9].py", True),
        ("x1.py", "x[!0-9].py", False),
        ("x[1.py", "x[1.py", True),
        ("x[1].py", "x[[]1].py", True),
        ("x^.py", "x[^a].py", True),
        ("x].py", "x[]].py", True),
        ("x&.py", "x[&&~~].py", True),
        ("x[z-a].py", "x[z-a].py", True),
        ("x+1.py", "./x+?.py", True),
        ("axx.py", "**/x.py", False),
        ("a/ax.py", "a/**/x.py", False),
        ("x.py", "**/**/x.py", True),
        ("a/b/x.py", "a**x.py", True),
        ("a/b/x.py", "***/x.py", True),
        ("a/x.py", "a/****/x.py", True),
        ("a/x.py", "a/?.py", True),
        ("a/x", "a?x", False),
        ("a\nb.py", "a*.py", True),
        ("a/b", "a/b/c", False),
        ("a/b/c", "*/b", True),
    ],
)
def test_patterns(name, pattern, yes):
    assert matches(name, pattern) is yes


@pytest.mark.parametrize("pattern", ["a*" * 500 + "b", "**/*a" * 300, "[a-z]*" * 300 + "0", "*?" * 400 + "b"])
def test_no_pattern_takes_more_time_than_its_length(pattern):
    assert not matches("a" * 900 + "c", pattern)


@given(
    st.text("ab/", max_size=8), st.lists(st.sampled_from(["a", "b", "*", "**", "**/", "?", "/"]), max_size=6)
)
def test_it_agrees_with_a_regular_expression(name, tokens):
    pattern = "a/" + "".join(tokens).rstrip("/")
    wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.findall(r"\*\*/|\*\*|\*|\?|.", pattern.rstrip("/"))
    expression = re.compile("".join(wild.get(part, re.escape(part)) for part in parts))
    cut = name.split("/")
    wanted = any(expression.fullmatch("/".join(cut[:end])) for end in range(len(cut), 0, -1))
    assert matches(name, pattern) is wanted
