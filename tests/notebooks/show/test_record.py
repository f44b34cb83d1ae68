from __future__ import annotations

from msgspec.structs import replace

from moorage.notebooks.events import NotebookFinished, NotebookRetried, NotebookStarted, Outcome, RunStarted
from moorage.notebooks.show.record import LostAttempt, RunRecord
from notebooks.made_up import ALL, DIED, OK, run


def recorded(*events):
    record = RunRecord()
    for event in events:
        record.handle(event)
    return record


def test_a_run_is_recorded():
    record = recorded(*run(*ALL, interrupted=True))
    assert record.outcomes == list(ALL)
    assert record.interrupted
    assert record.seconds == 70.0
    assert record.not_run == 0
    assert [note.text for note in record.notes] == ["python3 is the nearest by language"]


def test_lost_attempts_are_kept():
    assert recorded(*run(DIED)).lost == [
        LostAttempt(DIED.source, 1, 5.0, 7.0, "the kernel ended with exit code 1")
    ]
    assert recorded(NotebookRetried("x", 1, 2, "died")).lost == []


def test_outcomes_are_in_the_order_given_and_strangers_last():
    plan = RunStarted(("b", "a"), 1, "", "")
    done = [NotebookFinished(1, Outcome(name, None, "ok")) for name in ("x", "a", "b")]
    assert [outcome.source for outcome in recorded(plan, *done).outcomes] == ["b", "a", "x"]


def test_what_was_never_done_is_counted():
    assert recorded(RunStarted(("a", "b"), 1, "", "")).not_run == 2


def test_events_tell_where_a_notebook_ran_when_its_outcome_does_not():
    bare = replace(OK, started=None, worker=None)
    record = recorded(NotebookStarted(OK.source, 3.0, 2, 1), NotebookFinished(9.0, bare))
    assert (record.outcomes[0].started, record.outcomes[0].worker) == (3.0, 2)
