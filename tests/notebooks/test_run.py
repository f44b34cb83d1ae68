"""``render`` from Python: what it refuses, what it returns, what it does although something went wrong."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from command import printed, script, write
from moorage.errors import KernelTypeNotFound, OutputError, UsageError
from moorage.notebooks.events import Note, NotebookStarted, Preparing, RunFinished, RunStarted
from moorage.notebooks.run import render

pytestmark = pytest.mark.anyio


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    return write(tmp_path, {"bad.ipynb": "", "a.py": script("print(6 * 7)")})


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"to": "pdf"}, "cannot write pdf"),
        ({"to": ","}, "cannot write nothing"),
        ({"out": "y.py"}, "cannot write py"),
        ({"out": "y.html", "to": "md"}, "--to says md"),
        ({"isolate": "net", "rendezvous": "hold"}, "hold rendezvous cannot be used with isolation"),
        ({"cluster": "box"}, "this machine only"),
        ({"kernel": "pyton3"}, "pyton3"),
        ({"bundle": "x.zipp"}, "x.zipp"),
        ({"jobs": 0}, "--jobs 0"),
        ({"artifacts": ["/abs"]}, "/abs"),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_done(folder, flags, says):
    with pytest.raises((UsageError, KernelTypeNotFound), match=says):
        await render(["a.py"], **flags)
    assert {path.name for path in folder.iterdir()} == {"a.py", "bad.ipynb"}


async def test_a_notebook_that_fails_is_no_exception(folder):
    events = []
    report = await render(["bad.ipynb"], emit=events.append)
    assert [outcome.status for outcome in report.outcomes] == ["failed"]
    assert (report.ok, report.interrupted, report.executed) == (False, False, {})
    assert [type(event) for event in events[:4]] == [Preparing, Preparing, Preparing, RunStarted]
    assert isinstance(events[-1], RunFinished)


async def test_one_source_is_enough_and_unknown_options_are_refused(folder):
    report = await render("bad.ipynb", no_cache=True)
    assert [outcome.source for outcome in report.outcomes] == ["bad.ipynb"]
    with pytest.raises(UsageError, match=r"moorage.render has no option jbos .*Did you mean jobs"):
        await render("bad.ipynb", jbos=2)


async def test_what_is_well_is_there(folder):
    report = await render(["a.py"], out="a.ipynb", no_cache=True)
    assert report.ok
    assert printed(folder / "a.ipynb") == "42\n"
    assert report.executed == {"a.py": folder / "a.ipynb"}
    assert not (folder / ".moorage").exists()


async def test_the_report_comes_although_the_bundle_cannot_be_written(folder):
    reports, bundle = [], folder / "b.tar.gz"

    def in_the_way(event):
        if isinstance(event, RunFinished):
            bundle.mkdir()

    with pytest.raises(OutputError, match="cannot write"):
        await render(["bad.ipynb"], bundle=bundle, emit=in_the_way, finish=reports.append)
    assert [outcome.status for outcome in reports[0].outcomes] == ["failed"]


async def test_private_notebooks_are_there_until_the_report_is_made(folder):
    seen = []

    def finish(report):
        seen.extend(json.loads(path.read_bytes())["nbformat"] for path in report.executed.values())

    report = await render(["a.py"], to="md", finish=finish)
    assert seen == [4]
    assert not any(path.exists() for path in report.executed.values())
    assert "42" in (folder / "rendered/a.md").read_text()
    assert {path.name for path in (folder / "rendered").iterdir()} == {"a.md", ".moorage-files"}


async def test_runs_at_the_same_time_do_not_take_each_others_notebooks(folder):
    for name in "ab":
        write(folder, {f"{name}/same.py": script("import time; time.sleep(0.5)", f"print('I am {name}')")})
    async with asyncio.TaskGroup() as runs:
        for name in "ab":
            runs.create_task(render([f"{name}/same.py"], out=folder / "out" / name, to="md", no_cache=True))
    for name in "ab":
        assert f"I am {name}" in (folder / "out" / name / "same.md").read_text()


async def test_under_a_make_that_kept_its_jobserver_one_runs_at_a_time(folder, monkeypatch):
    monkeypatch.setenv("MAKEFLAGS", " -j4 --jobserver-auth=-2,-2")
    events = []
    await render(["bad.ipynb"], emit=events.append)
    assert any("mark the recipe with +" in event.text for event in events if isinstance(event, Note))


async def test_what_may_not_be_as_the_user_thinks_is_told_once_and_first(folder):
    write(folder, {"bad.py": script("1")})
    events = []
    await render(["."], emit=events.append, no_cache=True)
    warnings = [event for event in events if isinstance(event, Note) and event.level == "warning"]
    assert [event.text.partition(":")[0] for event in warnings] == ["bad.ipynb is not rendered"]
    assert events.index(warnings[0]) < min(
        events.index(event) for event in events if isinstance(event, NotebookStarted)
    )


async def test_nothing_stays_open(folder):
    await render(["bad.ipynb"])
    before = open_descriptors()
    await render(["bad.ipynb"])
    assert open_descriptors() == before
