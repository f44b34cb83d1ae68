"""Records there and back, and outputs put into a document."""

from __future__ import annotations

import msgspec
import pytest

from moorage.notebooks.cache.environment import read_environment
from moorage.notebooks.cache.recipe import Recipe
from moorage.notebooks.cache.store import FileState
from moorage.notebooks.cache.stored import (
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
    "e" * 64,
    {"a": FileState("1", 2, 3)},
    {"b": Stored("4" * 64, 5, {})},
    {"ipynb": Stored("7" * 64, 8, {"out/x": (9, 10)})},
    "d" * 64,
    1.5,
    1,
)


def test_a_record_comes_back_and_another_version_is_none():
    assert decode(encode(RECORD)) == RECORD
    assert RECORD.blobs() == {digest * 64 for digest in "e47d"}
    for payload in (b"", b"{}", b"[]", b"\xff", b'{"kernel": 1}', b"[" * 100_000):
        assert decode(payload) is None


@pytest.mark.parametrize("name", ["/etc/x", "", ".", "a/../b", "a//b", "a\0b", "./a"])
def test_names_that_no_run_gives_are_refused(name):
    stored = {name: Stored("4" * 64, 5, {})}
    assert decode(encode(msgspec.structs.replace(RECORD, artifacts=stored))) is None


@pytest.mark.parametrize(
    "digest", ["", "../../../etc/passwd", "/etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n"]
)
def test_digests_that_are_none_are_refused(digest):
    assert decode(encode(msgspec.structs.replace(RECORD, outputs=digest))) is None
    stored = {"a": Stored(digest, 5, {})}
    assert decode(encode(msgspec.structs.replace(RECORD, artifacts=stored))) is None
    assert decode(encode(msgspec.structs.replace(RECORD, documents=stored))) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b'{"cells": 1, "metadata": {}}',
        b'{"cells": [1], "metadata": {}}',
        b'{"cells": [], "metadata": []}',
        b'{"cells": [{"outputs": {}, "metadata": {}, "execution_count": 1}], "metadata": {}}',
        b'{"cells": [{"metadata": {}, "execution_count": 1}], "metadata": {}}',
    ],
)
def test_a_blob_of_another_shape_is_none(data):
    assert read_outputs(data) is None
    assert read_environment(data) is None


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
