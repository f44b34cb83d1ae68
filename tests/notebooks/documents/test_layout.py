"""Writing notebooks as nbformat does."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.errors import OutputError
from moorage.notebooks.documents import ipynb
from moorage.notebooks.documents.layout import dumps
from moorage.notebooks.documents.libraries import lean_imports

FILES = Path(__file__).parent / "files"


def nbformats_own(notebook):
    with lean_imports():
        import nbformat
    node = nbformat.from_dict(deepcopy(notebook))
    return (nbformat.v4.writes_json(node) + "\n").encode()


@pytest.mark.parametrize("name", ["old.ipynb", "new.ipynb"])
def test_what_passes_through_is_not_changed_by_a_byte(name):
    data = (FILES / name).read_bytes()
    assert dumps(ipynb.loads(data, name)) == data


@pytest.mark.parametrize("name", ["old.ipynb", "new.ipynb"])
def test_byte_identical_with_nbformat(name):
    notebook = ipynb.loads((FILES / name).read_bytes(), name)
    assert dumps(notebook) == nbformats_own(notebook)


def test_the_notebook_is_not_changed():
    notebook = ipynb.loads((FILES / "new.ipynb").read_bytes(), "new")
    before = deepcopy(notebook)
    dumps(notebook)
    assert notebook == before


def with_output(text):
    output = {"output_type": "stream", "name": "stdout", "text": text}
    cell = {
        "cell_type": "code", "execution_count": 1, "id": "a", "metadata": {},
        "outputs": [output], "source": text,
    }  # fmt: skip
    return {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.mark.parametrize("text", ["\ud800", "a\\\udfff\n\ud83dx", '"\udc80"'])
def test_lone_surrogates_survive(text):
    data = dumps(with_output(text))
    data.decode("utf-8")
    assert ipynb.loads(data, "x") == with_output(text)


def test_base64_as_bytes_is_taken_and_other_things_are_not():
    notebook = with_output("")
    notebook["cells"][0]["outputs"] = [
        {"output_type": "display_data", "metadata": {}, "data": {"image/png": b"aGk="}}
    ]
    assert b'"image/png": "aGk="' in dumps(notebook)
    notebook["metadata"]["x"] = object()
    with pytest.raises(TypeError):
        dumps(notebook)


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)
bundles = st.dictionaries(
    st.sampled_from(["text/plain", "text/html", "image/png", "image/svg+xml", "application/javascript"]),
    texts,
)
outputs = st.one_of(
    st.fixed_dictionaries({"output_type": st.just("stream"), "name": texts, "text": texts}),
    st.fixed_dictionaries(
        {
            "output_type": st.just("display_data"),
            "data": bundles | st.fixed_dictionaries({"application/json": values}),
            "metadata": st.dictionaries(texts, values, max_size=2),
        }
    ),
)


@settings(deadline=None, max_examples=60)
@given(texts, st.lists(outputs, max_size=3), st.dictionaries(texts, values, max_size=3))
def test_any_notebook_is_written_like_nbformat_and_read_back(source, outputs, metadata):
    notebook = with_output(source)
    notebook["cells"][0]["outputs"] = outputs
    notebook["cells"][0]["metadata"] = {**metadata, "tags": []}
    notebook["cells"][0]["metadata"].pop("trusted", None)
    data = dumps(notebook)
    assert data == nbformats_own(notebook)
    # Through JSON text, for NaN is not equal to itself.
    assert json.dumps(ipynb.loads(data, "x"), sort_keys=True) == json.dumps(notebook, sort_keys=True)


@pytest.mark.parametrize(
    "text",
    ["line\n" * 300_000, "x" * 3_000_000, "a\r\nb\u2028c\x0b" * 300_000 + "\n\n", "\ud800\n" * 600_000],
)
def test_a_long_text_is_written_like_a_short_one(text):
    output = {"output_type": "stream", "name": "stdout", "text": text}
    cell = {"cell_type": "code", "metadata": {}, "source": "1", "execution_count": None, "outputs": [output]}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    again = json.loads(dumps(notebook))["cells"][0]["outputs"][0]["text"]
    assert again == text.splitlines(keepends=True)


def test_what_is_nested_too_deeply_is_told():
    deep = [1]
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(OutputError, match="nested too deeply"):
        dumps({"cells": [], "metadata": {"deep": deep}, "nbformat": 4, "nbformat_minor": 4})
