from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from moorage.notebooks.events import (
    INTERRUPTED,
    Abandoned,
    CellStarted,
    FilesWritten,
    Interrupted,
    KernelStandstill,
    Note,
    NotebookFinished,
    NotebookRetried,
    NotebookStarted,
    Outcome,
    Preparing,
    RunFinished,
    RunStarted,
)
from moorage.notebooks.show.live import Live
from moorage.notebooks.show.sink import Sink
from notebooks.made_up import ALL, FAILED, OK, run


@pytest.fixture
def screen():
    return io.StringIO()


def live(screen, *, width=80, height=24, colour=True):
    console = Console(file=screen, force_terminal=True, width=width, height=height, no_color=not colour)
    return Live(Sink(screen), colour=colour, console=console)


def bare(screen):
    return re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", screen.getvalue())


def test_running_notebooks_and_the_total_are_drawn(screen):
    with live(screen) as presenter:
        presenter.handle(RunStarted(("demos/box.py", "b.py"), 2, "", ""))
        presenter.handle(NotebookStarted("demos/box.py", 0.0, 0, 1))
        presenter.handle(CellStarted("demos/box.py", 1.0, 7, 23, 9))
        presenter.tick(12.0)
        text = bare(screen)
    assert re.search(r"demos/box\.py .*7/23 +0:12", text)
    assert "0/2 · 0:12 · 2 jobs" in text


def test_drawing_is_limited_to_ten_a_second(screen):
    with live(screen) as presenter:
        presenter.handle(RunStarted(("a",), 1, "", ""))
        for at in range(100):
            presenter.tick(at * 0.01)
        assert bare(screen).count("0/1") <= 10


def test_failures_are_printed_at_once_and_successes_scroll_above(screen):
    with live(screen) as presenter:
        presenter.handle(RunStarted((FAILED.source, OK.source), 2, "", ""))
        presenter.handle(NotebookFinished(1.0, OK))
        presenter.handle(NotebookFinished(1.0, FAILED))
        text = bare(screen)
        assert "▶ 90 │ flux = u + T" in text
        assert text.index("✓ demos/box.py  12.3 s") < text.index("✗ demos/cavity.py")


def test_many_cached_are_counted_and_few_are_named(screen):
    many = [Outcome(f"{at}.py", None, "cached") for at in range(40)]
    with live(screen) as presenter:
        for event in run(*many, OK, Outcome("last.py", None, "cached")):
            presenter.handle(event)
    text = bare(screen)
    assert "≡ 40 notebooks cached" in text
    assert "39.py" not in text
    assert "≡ last.py  cached" in text


def test_the_end_of_the_run_is_summed_up_below_nothing_live(screen):
    with live(screen) as presenter:
        for event in run(*ALL):
            presenter.handle(event)
            presenter.tick(getattr(event, "at", 0.0))
    tail = bare(screen).splitlines()[-5:]
    assert "1 ok, 1 cached, 1 failed, 1 timeout, 1 died, 1 skipped" in "".join(tail)
    assert screen.getvalue().count("\x1b[?25l") == screen.getvalue().count("\x1b[?25h") > 0


def test_leaving_by_an_error_restores_the_terminal(screen):
    presenter = live(screen)

    def interrupted():
        with presenter:
            presenter.handle(NotebookFinished(1.0, OK))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "✓ demos/box.py" in bare(screen)
    assert screen.getvalue().count("\x1b[?25h") == 1


def test_it_tells_what_is_done_before_the_first_notebook_runs(screen):
    with live(screen) as presenter:
        presenter.tick(0.0)
        assert bare(screen).strip() == ""
        presenter.handle(Preparing("reading the documents"))
        assert "reading the documents" in bare(screen)
        presenter.handle(RunStarted(("a",), 1, "", ""))
        presenter.tick(1.0)
        assert "0/1" in bare(screen).split("reading the documents")[-1]


def test_an_interruption_is_told_with_what_it_waits_for(screen):
    with live(screen) as presenter:
        presenter.handle(RunStarted(("a", "b"), 2, "", "out"))
        presenter.handle(NotebookStarted("a", 0.0, 0, 1))
        presenter.handle(Interrupted(1.0, ("a",)))
        assert "! interrupted: waiting for 1 kernel to end (a). Ctrl-C again" in bare(screen)
        skipped = tuple(Outcome(name, None, "skipped", reason=INTERRUPTED) for name in "ab")
        for each in skipped:
            presenter.handle(NotebookFinished(2.0, each))
        presenter.handle(RunFinished(2.0, skipped, interrupted=True))
    tail = bare(screen).partition("at once")[2]
    assert "skipped" not in tail
    assert tail.endswith("2 notebooks in 2.0 s: 2 not run\ninterrupted: no notebook was finished\n")


def test_leaving_at_once_shows_the_cursor_and_says_what_is_kept(screen):
    presenter = live(screen)
    presenter.__enter__()
    presenter.handle(RunStarted((OK.source, "b"), 2, "", "out"))
    presenter.handle(NotebookFinished(1.0, OK))
    presenter.tick(2.0)
    presenter.handle(Abandoned(3.0))
    end = screen.getvalue().rpartition("\x1b[?25h")[2]
    assert "ended at once: 1 of 2 notebooks is done and kept in out; the same command goes on" in end


def test_the_last_line_says_where_results_are(screen):
    with live(screen) as presenter:
        for event in [*run(OK), FilesWritten("out", (("report", "r.html"),))]:
            presenter.handle(event)
    assert bare(screen).splitlines()[-1] == "results: out  report: r.html"


def test_a_low_terminal_shows_what_it_can(screen):
    with live(screen, height=10) as presenter:
        presenter.handle(RunStarted(tuple("abcdefghijkl"), 12, "", ""))
        for worker, name in enumerate("abcdefghijkl"):
            presenter.handle(NotebookStarted(name, 0.0, worker, 1))
        presenter.tick(1.0)
        assert "… 8 more running" in bare(screen)


def test_no_colours_when_not_wanted(screen):
    with live(screen, colour=False) as presenter:
        for event in [
            *run(*ALL)[:-1],
            NotebookRetried("x", 1, 2, "died"),
            Note("warning", "twice", "x"),
            KernelStandstill("x", 1, "stopped", ""),
        ]:
            presenter.handle(event)
        presenter.tick(99.0)
        presenter.handle(RunFinished(99.0, ALL))
    assert not re.search(r"\x1b\[[0-9;]*3[0-7][;m]", screen.getvalue())
    assert "! x: twice" in bare(screen)
    assert "! x: its kernel is stopped and waited for: " in bare(screen)


def test_an_ascii_terminal_gets_ascii():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with Live(Sink(stream), colour=False) as presenter:
        for event in run(*ALL, Outcome("地.py", None, "ok", 1.0)):
            presenter.handle(event)
            presenter.tick(getattr(event, "at", 0.0))
    stream.flush()
    assert "ok demos/box.py" in raw.getvalue().decode("ascii")
    assert "\\u5730.py" in raw.getvalue().decode("ascii")


@pytest.mark.parametrize("expected", [1e308, float("inf"), float("nan"), 1e7])
def test_times_that_nothing_took_draw_no_traceback(screen, expected):
    with live(screen) as presenter:
        presenter.handle(
            RunStarted(("a", "b", "c"), 1, "", "", {"a": expected, "b": expected, "c": expected})
        )
        presenter.handle(NotebookStarted("a", 0.0, 0, 1))
        presenter.tick(1.0)
        presenter.handle(NotebookFinished(2.0, Outcome("a", "a", "ok", seconds=1.0)))
        presenter.tick(3.0)
    assert "1/3" in bare(screen)


def test_names_stay_in_their_line_and_draw_nothing(screen):
    name = "a\n::error::forged\x1b]0;owned\x07\x1b[2J"
    with live(screen) as presenter:
        for status in ("ok", "cached", "failed", "skipped"):
            presenter.handle(NotebookFinished(1.0, Outcome(status + name, None, status, reason=name)))
        presenter.handle(Note("warning", name, name))
        presenter.tick(3.0)
    assert "\x1b]" not in screen.getvalue()
    assert "\x1b[2J" not in screen.getvalue()
    assert not re.search(r"^\s*::error", bare(screen), re.MULTILINE)
