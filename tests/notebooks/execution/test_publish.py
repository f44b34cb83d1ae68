"""Results put in place: documents, pages, artefacts."""

from __future__ import annotations

import json

import pytest

from command import script, write
from contexts import planned
from moorage.errors import OutputError
from moorage.notebooks.events import Failure, Outcome
from moorage.notebooks.execution.publish import Publisher, count_cells, not_made, unwritten

pytestmark = pytest.mark.anyio

NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def test_a_missing_declared_output_fails_only_what_was_well():
    well, failed = Outcome("x", "o", "ok"), Outcome("x", "o", "failed", error=Failure(1, "E", "v"))
    assert not_made(["a.h5"], well).status == "failed"
    assert "a.h5" in not_made(["a.h5"], well).error.evalue
    assert not_made(["a.h5"], failed) is failed
    assert not_made([], well) is well


def test_what_could_not_be_written_is_failed_and_has_no_output():
    outcome = unwritten(Outcome("x", "o", "ok"), OutputError("cannot write o", why="The disk is full"))
    assert (outcome.status, outcome.output) == ("failed", None)
    assert outcome.error.evalue == "cannot write o (E-OUTPUT). The disk is full."


def test_only_cells_that_run_are_counted():
    code = {"cell_type": "code", "source": "1", "metadata": {}}
    skipped = {"cell_type": "code", "source": "1", "metadata": {"tags": ["skip-execution"]}}
    text = {"cell_type": "markdown", "source": "1", "metadata": {}}
    assert count_cells({"cells": [code, skipped, text]}) == 1


async def test_the_written_bytes_are_the_returned_ones(tmp_path):
    write(tmp_path, {"a/x.py": script("1")})
    async with planned(tmp_path, ["a"]) as run:
        publisher = Publisher(run.context, run.plan.items["x.py"])
        data = publisher.write(NOTEBOOK)
        assert (tmp_path / "out/x.ipynb").read_bytes() == data
        assert json.loads(data)["nbformat"] == 4
        assert await publisher.export(data) == {"ipynb": data}


async def test_artefacts_lie_beside_the_output_and_are_named_from_the_output_folder(tmp_path):
    write(tmp_path, {"a/b/x.py": script("1"), "a/b/old.gif": "old"})
    async with planned(tmp_path, ["a"], artifacts=["*.gif"]) as run:
        publisher = Publisher(run.context, run.plan.items["b/x.py"])
        await publisher.begin()
        write(tmp_path, {"a/b/new.gif": "new"})
        made, missing = await publisher.collect()
        assert (set(made), missing) == ({"new.gif"}, ())
        assert publisher.outcome(Outcome("b/x.py", None, "ok")).artifacts == ("b/new.gif",)
        assert (tmp_path / "out/b/new.gif").read_text() == "new"
        assert publisher.waits


async def test_restored_artefacts_have_the_same_names(tmp_path):
    write(tmp_path, {"a/b/x.py": script("1")})
    async with planned(tmp_path, ["a"], artifacts=["*.gif"]) as run:
        publisher = Publisher(run.context, run.plan.items["b/x.py"])
        outcome = publisher.cached("python3", 2, ["new.gif", "../other.gif"])
        assert outcome.artifacts == ("b/new.gif", "other.gif")
        assert (outcome.status, outcome.kernel, outcome.cells) == ("cached", "python3", 2)


async def test_files_that_are_not_named_are_not_waited_for(tmp_path):
    write(tmp_path, {"x.py": script("1")})
    async with planned(tmp_path, ["x.py"]) as run:
        publisher = Publisher(run.context, run.plan.items["x.py"])
        await publisher.begin()
        write(tmp_path, {"x.gif": ""})
        assert not publisher.waits
        assert await publisher.collect() == ({}, ())


async def test_a_file_in_the_way_is_an_output_error(tmp_path):
    write(tmp_path, {"x.py": script("1"), "out": "a file"})
    async with planned(tmp_path, ["x.py"]) as run:
        with pytest.raises(OutputError, match="cannot write"):
            Publisher(run.context, run.plan.items["x.py"]).write(NOTEBOOK)
