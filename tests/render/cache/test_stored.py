"""Records there and back, and outputs put into a document."""

from __future__ import annotations

from moorage.render.cache.recipe import Recipe
from moorage.render.cache.store import FileState
from moorage.render.cache.stored import (
    Entry,
    Record,
    Stored,
    applied,
    decode,
    encode,
    outputs_of,
    read_outputs,
)

RECORD = Record(
    "python3",
    "id",
    "env",
    {"a": FileState("1", 2, 3)},
    {"b": Stored("4", 5, {})},
    {"ipynb": Stored("7", 8, {"out/x": (9, 10)})},
    "outputs",
    1.5,
    1,
)


def test_a_record_comes_back_and_another_version_is_none():
    assert decode(encode(RECORD)) == RECORD
    assert RECORD.blobs() == {"env", "4", "7", "outputs"}
    for payload in (b"", b"{}", b"[]", b"\xff", b'{"kernel": 1}'):
        assert decode(payload) is None


def test_outputs_survive_what_json_does_not_know():
    cell = {"cell_type": "code", "source": "x", "execution_count": 3, "metadata": {"tags": ["x"]}}
    cell["outputs"] = [{"text": "\ud800", "data": float("inf")}]
    cells, metadata = read_outputs(outputs_of({"cells": [cell], "metadata": {"title": "T", "widgets": {}}}))
    assert cells == ({"outputs": cell["outputs"], "execution_count": 3, "metadata": {}},)
    assert metadata == {"widgets": {}}


def test_applied_changes_nothing_in_place():
    entry = Entry(Recipe("a", ""), RECORD, ({"outputs": [1], "execution_count": 2, "metadata": {}},), {})
    cell = {"cell_type": "code", "source": "x", "metadata": {"tags": []}, "outputs": []}
    document = {"cells": [{"cell_type": "raw", "source": ""}, cell], "metadata": {}}
    assert applied(entry, document)["cells"][1] == {**cell, "outputs": [1], "execution_count": 2}
    assert cell["outputs"] == []


def test_cells_that_were_not_run_keep_what_is_saved_with_them():
    def code(source, *tags):
        saved = [{"text": f"saved {source}"}]
        metadata = {"tags": list(tags)}
        return {
            "cell_type": "code",
            "source": source,
            "metadata": metadata,
            "outputs": saved,
            "execution_count": 9,
        }

    skipped, blank, run = code("s", "skip-execution"), code(""), code("r")
    ran = {**run, "outputs": [{"text": "ran"}], "execution_count": 1}
    document = {"cells": [skipped, ran], "metadata": {}}
    cells, metadata = read_outputs(outputs_of(document))
    entry = Entry(Recipe("a", ""), RECORD, cells, metadata)
    newer = {**skipped, "outputs": [{"text": "saved anew"}]}
    result = applied(entry, {"cells": [blank, newer, run, blank], "metadata": {}})
    assert result["cells"] == [blank, newer, ran, blank]
