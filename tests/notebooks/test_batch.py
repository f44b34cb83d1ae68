"""The driver of the schedule. Documents that cannot be read need no kernel to fail."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace

import pytest
from msgspec import structs

from command import write
from contexts import Planned, planned
from moorage.notebooks.batch import Batch
from moorage.notebooks.events import NotebookFinished, NotebookStarted, Outcome
from moorage.notebooks.jobserver import Fifo

pytestmark = pytest.mark.anyio


def nothing(**moorage: object) -> str:
    """Return a document whose settings can be read but that has a kernel which is installed nowhere."""
    metadata = {"kernelspec": {"name": "x", "language": "nolang", "display_name": "X"}, "moorage": moorage}
    return json.dumps({"cells": [], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


async def run(planned: Planned, *, slots: int = 1, **rest) -> dict[str, Outcome]:
    batch = Batch(planned.context, planned.plan.items, planned.plan.jobs, slots=slots, **rest)
    return {outcome.source: outcome for outcome in await batch.run()}


async def test_outcomes_come_in_the_order_of_the_sources(tmp_path):
    write(tmp_path, {f"{name}.ipynb": "" for name in "cab"})
    async with planned(tmp_path, ["c.ipynb", "a.ipynb", "b.ipynb"]) as made:
        outcomes = await run(made, slots=3)
    assert list(outcomes) == ["c.ipynb", "a.ipynb", "b.ipynb"]
    assert {outcome.status for outcome in outcomes.values()} == {"failed"}


async def test_longest_first(tmp_path):
    seconds = {"a.ipynb": 1.0, "b.ipynb": 9.0, "c.ipynb": 4.0}
    timings = json.dumps({"version": 1, "seconds": seconds})
    write(tmp_path, {**dict.fromkeys(seconds, ""), ".moorage/timings.json": timings})
    async with planned(tmp_path, ["."]) as made:
        await run(made)
    assert [e.source for e in made.events if isinstance(e, NotebookStarted)] == [
        "b.ipynb",
        "c.ipynb",
        "a.ipynb",
    ]


async def test_a_notebook_that_needs_what_none_makes_is_skipped_and_so_are_its_dependants(tmp_path):
    files = {"a.ipynb": nothing(needs=["x.h5"]), "b.ipynb": nothing(needs=["a.ipynb"])}
    async with planned(write(tmp_path, files), ["."]) as made:
        outcomes = await run(made, slots=2)
    assert {each.status for each in outcomes.values()} == {"skipped"}
    assert outcomes["a.ipynb"].reason == "needs x.h5, which no notebook makes"
    assert "a.ipynb" in outcomes["b.ipynb"].reason


async def test_after_a_failure_nothing_more_is_started_if_that_is_wanted(tmp_path):
    write(tmp_path, {f"{name}.ipynb": "" for name in "abc"})
    async with planned(tmp_path, ["."], fail_fast=True) as made:
        outcomes = await run(made)
    assert [each.status for each in outcomes.values()] == ["failed", "skipped", "skipped"]
    assert outcomes["c.ipynb"].reason


async def test_an_optional_kernel_that_is_not_here_excuses(tmp_path):
    async with planned(write(tmp_path, {"a.ipynb": nothing(optional=True)}), ["."]) as made:
        outcome = (await run(made))["a.ipynb"]
    assert (outcome.status, outcome.excused, outcome.good) == ("skipped", True, True)


async def test_a_defect_is_the_failure_of_one_notebook(tmp_path):
    write(tmp_path, {"a.ipynb": nothing(), "b.ipynb": nothing()})
    async with planned(tmp_path, ["."]) as made:
        results = structs.replace(made.context.results, cache=object())
        outcomes = await run(replace(made, context=structs.replace(made.context, results=results)), slots=2)
    assert [each.status for each in outcomes.values()] == ["failed", "failed"]
    assert "AttributeError" in outcomes["a.ipynb"].error.evalue
    assert "report" in outcomes["a.ipynb"].error.evalue


async def test_stopped_before_it_began_it_skips_everything(tmp_path):
    write(tmp_path, {"a.ipynb": "", "b.ipynb": ""})
    async with planned(tmp_path, ["."]) as made:
        batch = Batch(made.context, made.plan.items, made.plan.jobs, slots=1)
        batch.stop("interrupted")
        outcomes = await batch.run()
    assert {each.source: each.status for each in outcomes}["b.ipynb"] == "skipped"


@pytest.mark.parametrize("moment", [NotebookStarted, NotebookFinished])
async def test_stopped_while_another_one_starts_it_ends_that_too(tmp_path, moment):
    write(tmp_path, {f"{name}.ipynb": "" for name in "abc"})
    async with planned(tmp_path, ["."]) as made, asyncio.timeout(60):

        def emit(event: object) -> None:
            if isinstance(event, moment):
                batch.stop("interrupted")

        context = structs.replace(made.context, emit=emit)
        batch = Batch(context, made.plan.items, made.plan.jobs, slots=1)
        statuses = [outcome.status for outcome in await batch.run()]
    assert statuses[1:] == ["skipped", "skipped"]
    assert statuses[0] == ("skipped" if moment is NotebookStarted else "failed")


async def test_the_end_of_each_notebook_is_told_once(tmp_path):
    write(tmp_path, {"a.ipynb": "", "b.ipynb": nothing(needs=["a.ipynb"])})
    async with planned(tmp_path, ["."]) as made:
        await run(made, slots=2)
    finished = [event.outcome.source for event in made.events if isinstance(event, NotebookFinished)]
    assert finished == ["a.ipynb", "b.ipynb"]


async def test_tokens_of_make_are_taken_and_given_back(tmp_path):
    write(tmp_path, {f"{name}.ipynb": "" for name in "abcd"})
    fifo = tmp_path / "jobserver"
    os.mkfifo(fifo)
    pipe = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    try:
        os.write(pipe, b"xyz")
        async with planned(tmp_path, ["."]) as made, asyncio.timeout(60):
            outcomes = await run(made, slots=4, server=Fifo(str(fifo)))
        assert len(outcomes) == 4
        assert sorted(os.read(pipe, 16)) == sorted(b"xyz")
    finally:
        os.close(pipe)


async def test_without_its_jobserver_one_runs_at_a_time_and_that_is_said(tmp_path):
    write(tmp_path, {f"{name}.ipynb": "" for name in "ab"})
    async with planned(tmp_path, ["."]) as made, asyncio.timeout(60):
        outcomes = await run(made, slots=4, server=Fifo(str(tmp_path / "gone")))
    assert len(outcomes) == 2
    assert any("one notebook runs at a time" in note for note in made.notes)
