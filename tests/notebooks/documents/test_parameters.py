"""Parameters are written in the notebook's language, after the cell that declares them."""

from __future__ import annotations

import json
import math
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.errors import UsageError
from moorage.notebooks.documents import parameters


def cell(*names, source="1", kind="code"):
    made = {"cell_type": kind, "metadata": {"tags": list(names)}, "source": source}
    return made | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def notebook(*cells, minor=5):
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": minor}


def test_parameters_come_after_the_defaults():
    whole = notebook(cell(kind="markdown"), cell("parameters", source="n = 1"), cell())
    got = parameters.inject_parameters(whole, {"n": 2}, "python")
    assert len(whole["cells"]) == 3
    assert got["cells"][2] == {
        "cell_type": "code",
        "execution_count": None,
        "id": "injected-parameters",
        "metadata": {"tags": ["injected-parameters"]},
        "outputs": [],
        "source": "# Parameters\nn = 2",
    }


def test_parameters_replace_injected_ones_or_come_first():
    once = parameters.inject_parameters(notebook(cell(), minor=4), {"n": 2}, "python")
    assert once["cells"][0]["source"] == "# Parameters\nn = 2"
    assert "id" not in once["cells"][0]
    twice = parameters.inject_parameters(once, {"n": 3}, "python")
    assert [made["source"] for made in twice["cells"]] == ["# Parameters\nn = 3", "1"]
    assert parameters.inject_parameters(once, {}, None) is once


VALUES = {
    "none": None, "yes": True, "no": False, "count": -3, "ratio": 1.5e-9, "inf": -math.inf, "nan": math.nan,
    "text": 'a "b" $c \\ \n\'d\' é', "items": [1, "a", [True, None]], "table": {"k": [1], "é": {"x": 2.0}},
}  # fmt: skip


def test_python_literals():
    names: dict = {}
    exec(parameters.parameters_source(VALUES, "python"), names)
    assert math.isnan(names.pop("nan"))
    assert {key: names[key] for key in VALUES if key != "nan"} == {
        k: v for k, v in VALUES.items() if k != "nan"
    }


@pytest.mark.parametrize(
    ("language", "lines"),
    [
        ("R", [
            "none = NULL", "yes = TRUE", "no = FALSE", "count = -3", "ratio = 1.5e-09", "inf = -Inf",
            "nan = NaN", 'text = "a \\"b\\" $c \\\\ \\n\'d\' é"', 'items = list(1, "a", list(TRUE, NULL))',
            'table = list("k" = list(1), "é" = list("x" = 2.0))',
        ]),
        ("julia", [
            "none = nothing", "yes = true", "no = false", "count = -3", "ratio = 1.5e-09", "inf = -Inf",
            "nan = NaN", 'text = "a \\"b\\" \\$c \\\\ \\n\'d\' é"', 'items = [1, "a", [true, nothing]]',
            'table = Dict("k" => [1], "é" => Dict("x" => 2.0))',
        ]),
        ("typescript", [
            "var none = null;", "var yes = true;", "var no = false;", "var count = -3;",
            "var ratio = 1.5e-09;", "var inf = -Infinity;", "var nan = NaN;",
            'var text = "a \\"b\\" $c \\\\ \\n\'d\' \\u00e9";', 'var items = [1, "a", [true, null]];',
            'var table = {"k": [1], "\\u00e9": {"x": 2.0}};',
        ]),
    ],
)  # fmt: skip
def test_literals_of_other_languages(language, lines):
    assert parameters.parameters_source(VALUES, language).split("\n")[1:] == lines


def test_javascript_does_not_declare_twice():
    source = parameters.parameters_source({"n": 1, "m": 2}, "javascript", declared="let n = 0;")
    assert source == "// Parameters\nn = 1;\nvar m = 2;"


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_reads_its_parameters():
    params = {"t": "a 'b' $c `d` \\", "n": 3, "yes": True, "none": None, "items": ["x y", 2]}
    script = (
        parameters.parameters_source(params, "bash") + '\nprintf \'%s|\' "$t" $n $yes "$none" "${items[@]}"'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "a 'b' $c `d` \\|3|true||x y|2|"


@pytest.mark.parametrize(
    ("params", "language"),
    [
        ({"n": 1}, "cobol"),
        ({"n": 1}, None),
        ({"a b": 1}, "python"),
        ({"class": 1}, "python"),
        ({"x; import os": 1}, "python"),
        ({"_x": 1}, "R"),
        ({"t": {"a": 1}}, "bash"),
        ({"t": [[1]]}, "bash"),
    ],
)
def test_what_cannot_be_written_is_refused(params, language):
    with pytest.raises(UsageError) as caught:
        parameters.parameters_source(params, language)
    assert caught.value.do


@pytest.mark.parametrize(
    ("source", "unknown"),
    [
        ("alpha = 1\nbeta: int = 2", ["gamma"]),
        ("alpha <- 1; gamma <- 3", ["beta"]),
        ("alphabet = 1", ["alpha", "beta", "gamma"]),
        ("", ["alpha", "beta", "gamma"]),
        ("alpha = beta = gamma = 1", []),
    ],
)
def test_parameters_that_no_cell_declares_are_found(source, unknown):
    cell = {"cell_type": "code", "source": source, "metadata": {"tags": ["parameters"]}}
    assert parameters.undeclared({"cells": [cell]}, ["gamma", "alpha", "beta"]) == unknown
    assert parameters.undeclared({"cells": []}, ["gamma"]) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_any_value_reaches_python_as_it_is(value):
    names: dict = {}
    exec(parameters.parameters_source({"value": value}, "ipython"), names)
    assert names["value"] == value
    assert json.dumps(names["value"]) == json.dumps(value)
