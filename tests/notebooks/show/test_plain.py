from __future__ import annotations

import io

from moorage.notebooks.events import (
    INTERRUPTED,
    Abandoned,
    CellStarted,
    FilesWritten,
    Interrupted,
    KernelStandstill,
    MemorySampled,
    NotebookFinished,
    NotebookStarted,
    Outcome,
    RunFinished,
    RunStarted,
)
from moorage.notebooks.show.plain import Plain, Quiet
from moorage.notebooks.show.sink import Sink
from notebooks.made_up import ALL, CACHED, FAILED, OK, run


def shown(presenter, stream, events):
    with presenter:
        for event in events:
            presenter.handle(event)
    return stream.getvalue()


def plain(events):
    stream = io.StringIO()
    return shown(Plain(Sink(stream)), stream, events)


def test_one_line_per_finished_notebook_and_a_total():
    lines = plain(run(OK, CACHED)).splitlines()
    assert lines == [
        "rendering 2 notebooks, 2 at once",
        "ok         12.3 s  demos/box.py",
        "cached      0.0 s  demos/old.py",
        "notice: demos/box.py: python3 is the nearest by language",
        "2 notebooks in 12.8 s: 1 ok, 1 cached",
    ]


def test_each_failure_is_told_once_and_in_full():
    text = plain(run(*ALL))
    assert "▶ 90 │ flux = u + T" in text
    assert "retry   demos/rebound.py: the kernel ended with exit code 1" in text
    assert "skipped            demos/needs.py: demos/cavity.py, which it needs, failed" in text
    assert text.count("✗ demos/cavity.py") == text.count("skipped            demos/needs.py") == 1
    assert text.splitlines()[-1].endswith("1 ok, 1 cached, 1 failed, 1 timeout, 1 died, 1 skipped")


LEFT = tuple(Outcome(name, None, "skipped", reason=INTERRUPTED) for name in "bcde")


def stopped(*, by="SIGINT", **plan):
    """Return the events of a run of five notebooks that was stopped when one was done and four ran."""
    sources = (OK.source, *"bcde")
    ended = [*run(OK, *LEFT, interrupted=True)[1:-2], RunFinished(13.0, (OK, *LEFT), interrupted=True)]
    return [RunStarted(sources, 4, "", "out", **plan), Interrupted(12.9, tuple("bcde"), by), *ended]


def test_an_interrupted_run_says_what_it_waits_for_what_is_kept_and_how_to_go_on():
    first, *rest = plain(stopped()).splitlines()[1:]
    assert first == (
        "interrupted: waiting for 4 kernels to end (b, c, d, 1 more). Ctrl-C again ends everything at once"
    )
    assert [line for line in rest if not line.startswith("ok ")] == [
        "5 notebooks in 13.0 s: 1 ok, 4 not run",
        "interrupted: 1 of 5 notebooks is done and kept in out; the same command goes on from there",
    ]


def test_nothing_is_promised_that_is_not_kept():
    assert "the same command begins anew" in plain(stopped(again="the same command begins anew"))
    events = [RunStarted(("b",), 1, "", "out"), Interrupted(0.1, ()), RunFinished(0.2, LEFT[:1], True)]
    lines = plain(events).splitlines()
    assert lines[1] == "interrupted: nothing more is started. Ctrl-C again ends everything at once"
    assert lines[-1] == "interrupted: no notebook was finished"


def test_another_signal_is_told_by_its_name():
    assert "SIGTERM was sent: waiting for 4 kernels to end" in plain(stopped(by="SIGTERM"))


def test_leaving_at_once_says_what_is_kept():
    events = [*stopped()[:1], NotebookFinished(1.0, OK), Abandoned(13.0)]
    said = "ended at once: 1 of 5 notebooks is done and kept in out; the same command goes on from there"
    assert plain(events).splitlines()[-1] == said
    stream = io.StringIO()
    assert shown(Quiet(Sink(stream)), stream, events).splitlines()[-1] == said


def test_the_last_line_says_where_results_and_report_are():
    events = [*run(OK), FilesWritten("out", (("report", "out/report.html"),))]
    assert plain(events).splitlines()[-1] == "results: out  report: out/report.html"
    assert plain([*run(OK), FilesWritten("")]) == plain(run(OK))


def test_an_empty_run():
    assert plain(run()).splitlines() == [
        "rendering 0 notebooks, 2 at once",
        "notice: demos/box.py: python3 is the nearest by language",
        "0 notebooks in 0.0 s",
    ]


def test_a_sign_of_life_every_half_minute():
    stream = io.StringIO()
    with Plain(Sink(stream)) as presenter:
        presenter.handle(RunStarted(("a.py", "b.py"), 2, "", "", {"a.py": 100.0}))
        presenter.handle(NotebookStarted("a.py", 0.0, 0, 1))
        presenter.handle(CellStarted("a.py", 1.0, 3, 9, 5))
        presenter.handle(MemorySampled("a.py", 1.0, 212 << 20))
        presenter.handle(NotebookStarted("b.py", 20.0, 1, 1))
        for now in (1, 29, 30.5, 31, 59, 61, 200):
            presenter.tick(now)
    lines = [line for line in stream.getvalue().splitlines() if line.startswith("still")]
    assert len(lines) == 3
    assert "(0/2 done, longer than expected)" in lines[2]
    assert lines[0] == (
        "still running after 30.5 s (0/2 done, about 1 min 30 s left): "
        "a.py cell 3/9 (30.5 s, 212 MiB), b.py starting (10.5 s)"
    )


def test_quiet_tells_of_an_interruption_and_not_of_each_notebook():
    stream = io.StringIO()
    lines = shown(Quiet(Sink(stream)), stream, stopped()).splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("interrupted: 1 of 5 notebooks is done")


def test_quiet_shows_failures_alone():
    stream = io.StringIO()
    text = shown(Quiet(Sink(stream)), stream, run(OK, FAILED, CACHED))
    assert text.startswith("✗ demos/cavity.py")
    assert "box" not in text
    assert shown(Quiet(Sink(io.StringIO())), io.StringIO(), run(OK)) == ""


def test_a_kernel_that_is_stopped_is_told_and_so_is_that_it_goes_on():
    stream = io.StringIO()
    presenter = Plain(Sink(stream))
    presenter.handle(RunStarted(("a.py",), 1, "", ""))
    presenter.handle(NotebookStarted("a.py", 0.0, 0, 1))
    presenter.handle(CellStarted("a.py", 0.1, 2, 3, 2))
    presenter.handle(KernelStandstill("a.py", 1.0, "stopped (SIGSTOP)", "`kill -CONT 7` lets it go on"))
    presenter.tick(40.0)
    presenter.handle(KernelStandstill("a.py", 41.0, ""))
    assert stream.getvalue().splitlines()[1:] == [
        "warning: a.py: its kernel is stopped (SIGSTOP) and waited for: `kill -CONT 7` lets it go on",
        "still running after 40.0 s (0/1 done): a.py cell 2/3, stopped (SIGSTOP) (40.0 s)",
        "notice: a.py: its kernel goes on",
    ]
