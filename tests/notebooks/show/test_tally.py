from __future__ import annotations

from msgspec.structs import replace

from moorage.notebooks.events import (
    CellStarted,
    KernelStandstill,
    MemorySampled,
    NotebookFinished,
    NotebookRetried,
    NotebookStarted,
    Outcome,
    RunStarted,
)
from moorage.notebooks.show.tally import Tally
from notebooks.made_up import ALL, run


def fed(*events):
    tally = Tally()
    for event in events:
        tally.handle(event)
    return tally


def test_a_run_is_counted():
    tally = fed(*run(*ALL))
    assert tally.total == 6
    assert tally.running == {}
    assert tally.counts["ok"] == 1
    assert {done.status for done in tally.bad} == {"failed", "died", "timeout", "skipped"}


def test_what_runs_is_known():
    tally = fed(NotebookStarted("a", 1.0, 2, 1), CellStarted("a", 1.5, 3, 9, 5), MemorySampled("a", 2.0, 7))
    entry = tally.running["a"]
    assert (entry.worker, entry.index, entry.total, entry.memory) == (2, 3, 9, 7)
    for why in ("stopped (SIGSTOP)", ""):
        tally.handle(KernelStandstill("a", 2.0, why))
        assert entry.stopped == why
    tally.handle(NotebookRetried("a", 3.0, 2, "died"))
    assert tally.running == {}


def test_events_about_strangers_are_harmless():
    tally = fed(
        CellStarted("x", 0, 1, 2, 1),
        MemorySampled("x", 0, 1),
        KernelStandstill("x", 0, "stopped"),
        NotebookRetried("x", 0, 1, ""),
    )
    assert tally.running == {}


def test_nothing_to_go_by_is_no_estimate():
    assert fed(RunStarted(("a", "b"), 1, "", "")).remaining(0) is None


def test_a_finished_run_needs_no_more():
    tally = fed(RunStarted(("a",), 1, "", ""), NotebookFinished(1, Outcome("a", None, "cached")))
    assert tally.remaining(5) == 0


def test_the_last_run_gives_the_estimate():
    plan = RunStarted(("a", "b", "c"), 2, "", "", {"a": 10.0, "b": 10.0, "c": 40.0})
    assert fed(plan).remaining(0) == 40
    assert fed(replace(plan, expected={"a": 10.0, "b": 10.0, "c": 10.0})).remaining(0) == 15


def test_a_slower_run_stretches_the_estimate_and_time_shortens_it():
    plan = RunStarted(("a", "b"), 1, "", "", {"a": 10.0, "b": 10.0})
    tally = fed(plan, NotebookFinished(20, Outcome("a", None, "ok", 20.0)), NotebookStarted("b", 20, 0, 1))
    assert tally.remaining(20) == 20
    assert tally.remaining(32) == 8


def test_the_estimate_never_grows_while_nothing_ends():
    plan = RunStarted(("a", "b", "c"), 2, "", "", {"a": 10.0, "b": 4.0, "c": 2.0})
    tally = fed(plan, NotebookStarted("a", 0, 0, 1), NotebookStarted("b", 0, 1, 1))
    seen = [tally.remaining(now) for now in range(200)]
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == 2, "what has not begun is still to come"


def test_of_notebooks_past_their_estimates_nothing_is_known():
    plan = RunStarted(("a",), 1, "", "", {"a": 10.0})
    tally = fed(plan, NotebookStarted("a", 0, 0, 1))
    assert [tally.remaining(now) for now in (0, 9, 10, 100)] == [10, 1, 0, 0]


def test_a_new_notebook_counts_as_the_average():
    plan = RunStarted(("a", "b"), 1, "", "")
    assert fed(plan, NotebookFinished(6, Outcome("a", None, "ok", 6.0))).remaining(6) == 6
