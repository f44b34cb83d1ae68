from __future__ import annotations

import io

from moorage.notebooks.events import CellStarted, MemorySampled, NotebookStarted, RunStarted
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


def test_failures_in_full_and_again_by_name():
    text = plain(run(*ALL))
    assert "▶ 90 │ flux = u + T" in text
    assert "retry   demos/rebound.py: the kernel ended with exit code 1" in text
    assert "skipped            demos/needs.py: demos/cavity.py, which it needs, failed" in text
    last = text.splitlines()[-5:]
    assert last[0] == "failed  demos/cavity.py  ValueError: shapes (64,32) (32,64)"
    assert last[-1].endswith("1 ok, 1 cached, 1 failed, 1 timeout, 1 died, 1 skipped")


def test_an_interrupted_run_says_how_to_go_on():
    events = [RunStarted(("demos/box.py", "b", "c"), 1, "", ""), *run(OK, interrupted=True)[1:]]
    *_, total, hint = plain(events).splitlines()
    assert total == "3 notebooks in 12.8 s: 1 ok, 2 not run"
    assert "the same command goes on" in hint


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


def test_quiet_shows_failures_alone():
    stream = io.StringIO()
    text = shown(Quiet(Sink(stream)), stream, run(OK, FAILED, CACHED))
    assert text.startswith("✗ demos/cavity.py")
    assert "box" not in text
    assert shown(Quiet(Sink(io.StringIO())), io.StringIO(), run(OK)) == ""
