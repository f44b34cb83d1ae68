"""What tags mean."""

from __future__ import annotations

from copy import deepcopy

import pytest

from moorage.notebooks.documents import tags


def cell(*names, source="1", kind="code", outputs=(), **metadata):
    made = {"cell_type": kind, "metadata": {"tags": list(names), **metadata}, "source": source}
    if kind == "code":
        made |= {"outputs": list(outputs), "execution_count": None}
    return made


def notebook(*cells, minor=5):
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": minor}


def stream(name):
    return {"output_type": "stream", "name": name, "text": name}


ERROR = {"output_type": "error", "ename": "E", "evalue": "", "traceback": []}


@pytest.mark.parametrize(
    ("made", "runs"),
    [
        (cell(), True),
        (cell(source=" \n\t"), False),
        (cell("skip-execution"), False),
        (cell(kind="markdown"), False),
        (cell("active-ipynb"), True),
        (cell("active-ipynb-py"), True),
        (cell("active-py"), False),
        (cell(active="py"), False),
        (cell(active="py,ipynb"), True),
        (cell("raises-exception", "remove-cell"), True),
    ],
)
def test_what_is_run(made, runs):
    assert tags.runnable(made) is runs


def test_expected_errors():
    assert tags.expects_error(cell("raises-exception"))
    assert not tags.expects_error(cell())


def test_removed_cells_are_gone_before_execution():
    whole = notebook(cell("exercise"), cell("a"), cell())
    before = deepcopy(whole)
    assert tags.without_cells(whole, frozenset({"exercise", "none"}))["cells"] == whole["cells"][1:]
    assert whole == before
    assert tags.without_cells(whole, frozenset()) is whole


def test_the_order_of_preprocessors_is_nbconverts():
    from moorage.notebooks.documents.libraries import lean_imports

    with lean_imports():
        from nbconvert.exporters import Exporter
    order = [name.rpartition(".")[2] for name in Exporter.default_preprocessors.default_args[0]]
    assert order.index("TagRemovePreprocessor") < order.index("ExecutePreprocessor")


def test_display_of_an_export():
    both = [stream("stdout"), stream("stderr")]
    whole = notebook(
        cell("remove-cell"),
        cell("hide_cell"),
        cell("exercise"),
        cell("remove-input", outputs=both),
        cell("remove_output", outputs=both),
        cell("remove-stderr", outputs=both),
        cell("remove-output", outputs=[ERROR, stream("stdout")]),
        cell("remove-output", "raises-exception", outputs=[ERROR]),
        cell("remove-input", kind="markdown"),
    )
    before = deepcopy(whole)
    shown = tags.apply_display(whole, frozenset({"exercise"}))["cells"]
    assert whole == before
    assert shown[0]["metadata"] == {"tags": ["remove-input"], "transient": {"remove_source": True}}
    assert shown[0]["outputs"] == both
    assert shown[1]["outputs"] == []
    assert shown[2]["outputs"] == both[:1]
    assert shown[3]["outputs"] == [ERROR]
    assert shown[4]["outputs"] == []
    assert shown[5]["metadata"]["transient"] == {"remove_source": True}
    assert len(shown) == 6
