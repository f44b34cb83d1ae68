"""What changes a key and what does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.notebooks.cache.recipe import Recipe, ambient, content_of
from moorage.notebooks.resources import thread_environment

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_the_order_of_parameters_is_nothing(params):
    one = Recipe("a.py", "x", params=params)
    other = Recipe("a.py", "x", params=dict(reversed(params.items())))
    assert one.digest == other.digest


@pytest.mark.parametrize(("one", "other"), [(1, "1"), (1, 1.0), (1, True), (0, None), ([], {}), ([1], 1)])
def test_values_of_another_kind_are_others(one, other):
    digests = {Recipe("a.py", "x", params={"v": value}).digest for value in (one, other)}
    assert len(digests) == 2


def test_directory_and_content():
    assert Recipe("a/b/c.py", "").directory == "a/b"
    assert Recipe("c.py", "").directory == ""
    assert content_of(b"") != content_of(b" ")


def test_variables_are_never_shown():
    assert "hunter2" not in repr(Recipe("a.py", "", env={"PASSWORD": "hunter2"}))


def test_display_settings_do_not_change_the_execution():
    document = {"cells": [{"cell_type": "code", "source": "1", "metadata": {}}]}
    one = Recipe("a.py", "x", display={"to": ["ipynb"]})
    other = Recipe("b.py", "y", display={"to": ["html"]})
    assert one.digest != other.digest
    assert one.execution(document, "python3", "") == other.execution(document, "python3", "")
    assert one.execution(document, "python3", "") != one.execution(document, "python3", "2")


def test_how_many_run_at_once_is_nothing():
    for jobs in (1, 8):
        assert ambient(thread_environment(jobs, 8, environ={})) == {}


def code(source, *tags):
    return {"cell_type": "code", "source": source, "metadata": {"tags": list(tags)}, "outputs": []}


def key(*cells):
    return Recipe("a.py", "x").execution({"cells": list(cells)}, "python3", "")


def test_what_is_not_run_is_no_part_of_the_execution():
    run = code("1")
    for other in (
        code("  \n"),
        code("2", "skip-execution"),
        code("2", "active-py"),
        {"cell_type": "markdown", "source": "2"},
    ):
        assert key(run, other) == key(run) == key(other, run)
    assert key(run, code("2", "active-ipynb")) != key(run)


def test_the_tags_that_change_what_is_run_are_part_of_the_execution():
    for tag in ("skip-execution", "active-py", "raises-exception"):
        assert key(code("1", tag)) != key(code("1"))
    for tag in ("parameters", "active-ipynb", "exercise", "remove-cell", "hide-input", "full-width"):
        assert key(code("1", tag)) == key(code("1"))
