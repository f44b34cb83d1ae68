from __future__ import annotations

import io
import re

from msgspec.structs import replace

from moorage.notebooks.events import INTERRUPTED, Failure, Note, NotebookFinished, Outcome, RunStarted
from moorage.notebooks.show.github import GitHub, annotation, escape_data, escape_property, step_summary
from moorage.notebooks.show.plain import Plain, Quiet
from moorage.notebooks.show.sink import Sink
from moorage.notebooks.show.tally import Tally
from notebooks.made_up import ALL, FAILED, FAILURE, HOSTILE, OK, SKIPPED, run


def log(events, tmp_path, *, inner=Plain, **environ):
    stream = io.StringIO()
    sink = Sink(stream, runner=True)
    workspace = {"GITHUB_WORKSPACE": str(tmp_path)}
    with GitHub(inner(sink), sink=sink, environ=workspace | environ) as presenter:
        for event in events:
            presenter.handle(event)
            presenter.tick(1.0)
    return stream.getvalue()


def tallied(*outcomes):
    tally = Tally()
    for event in run(*outcomes):
        tally.handle(event)
    return tally


def test_escapes_are_github_s():
    assert escape_data("50%\r\na:b,c") == "50%25%0D%0Aa:b,c"
    assert escape_property("50%\na:b,c") == "50%25%0Aa%3Ab%2Cc"


def test_a_failure_is_annotated_at_its_line():
    assert annotation(FAILED, "docs/demos/cavity.py") == (
        "::error file=docs/demos/cavity.py,title=demos/cavity.py%3A failed in cell 14 after 4.6 s,line=90"
        "::ValueError: shapes (64,32) (32,64)"
    )
    assert annotation(SKIPPED, "x").startswith("::warning file=x,")


def test_the_file_is_relative_to_the_repository(tmp_path):
    text = log(run(FAILED, root=str(tmp_path / "docs")), tmp_path)
    assert "::error file=docs/demos/cavity.py," in text


def test_the_traceback_is_folded_and_inert(tmp_path):
    bad = replace(FAILED, error=replace(FAILURE, traceback=("::set-output name=x::y", "::endgroup::")))
    text = log(run(bad, root=str(tmp_path)), tmp_path)
    match = re.search(
        r"^::group::demos/cavity.py: failed.*\n::stop-commands::(\w{32})\n(.*?)\n::\1::\n::endgroup::$",
        text, re.DOTALL | re.MULTILINE,
    )  # fmt: skip
    assert match is not None
    assert "::set-output" in match[2]
    assert text.count("::set-output") == 1


def test_quiet_runs_are_annotated_too(tmp_path):
    text = log(run(OK, FAILED, root=str(tmp_path)), tmp_path, inner=Quiet)
    assert "::error" in text
    assert "box.py  " not in text


def test_what_an_interruption_left_undone_is_not_annotated(tmp_path):
    left = Outcome("b.py", None, "skipped", reason=INTERRUPTED)
    text = log(run(OK, left, interrupted=True, root=str(tmp_path)), tmp_path)
    assert "::warning file" not in text
    assert "1 ok, 1 not run" in text


def test_notes_become_annotations(tmp_path):
    events = [
        RunStarted((), 1, str(tmp_path), ""),
        Note("warning", "written\ntwice", "a,b.py"),
        Note("notice", "x"),
    ]
    assert log(events, tmp_path).splitlines()[1:] == [
        "::warning file=a%2Cb.py::written%0Atwice",
        "::notice ::x",
    ]


def test_the_summary_is_appended(tmp_path):
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    log(run(*ALL), tmp_path, GITHUB_STEP_SUMMARY=str(file))
    text = file.read_text(encoding="utf-8")
    assert text.startswith("before\n### 6 notebooks in")
    assert "| ❌ | demos/cavity.py | failed | 4.6 | 1 |" in text
    assert text.index("cavity.py | failed") < text.index("box.py | ok")
    assert text.count("<details>") == text.count("</details>") == 3
    assert "▶ 90 │ flux = u + T" in text


def test_a_summary_that_cannot_be_written_is_said(tmp_path):
    text = log(run(OK), tmp_path, GITHUB_STEP_SUMMARY=str(tmp_path / "no" / "where"))
    assert "::warning::the step summary could not be written" in text


def test_hostile_content_stays_text():
    bad = replace(FAILED, source=f"a|b`*{HOSTILE}\n.py", error=Failure(1, "E", HOSTILE, (HOSTILE,), HOSTILE))
    text = step_summary(tallied(bad), seconds=1)
    assert "<script" not in text
    assert "<img" not in text
    assert "</pre></style" not in text
    row = next(line for line in text.splitlines() if line.startswith("| ❌"))
    assert row.count("|") == 6


def test_the_summary_stays_below_the_limit_and_says_what_is_missing():
    error = replace(FAILURE, traceback=("long line é " * 5000,))
    many = [replace(FAILED, source=f"{at}é.py", error=error) for at in range(300)]
    good = [Outcome(f"good_{at}.py", None, "ok", 1.0, attempts=1) for at in range(300)]
    text = step_summary(tallied(*good, *many), seconds=1)
    assert len(text.encode()) <= 1_000_000
    assert "Left out for want of room: 0 rows," in text
    small = step_summary(tallied(*good, *many), seconds=1, limit=3000)
    assert len(small.encode()) <= 3000
    assert "Left out" in small
    assert step_summary(tallied(*good), seconds=1, limit=50) == ""


def test_an_empty_run_has_a_summary():
    assert step_summary(tallied(), seconds=0) == "### 0 notebooks in 0.0 s: none\n\n\n"


def test_a_finished_notebook_passes_through(tmp_path):
    assert "ok         12.3 s" in log([NotebookFinished(1, OK)], tmp_path)


def test_nothing_of_a_notebook_is_a_command_or_a_line_of_its_own(tmp_path):
    name = "a\n::error::forged\n##[set-env]x\x1b]0;t\x07.py"
    evil = Failure(1, f"E\n::error::{name}", f"{name}\n::error::forged", (f"##[endgroup]\n::error::{name}",))
    outcomes = [
        replace(FAILED, source=name, error=evil, reason=name),
        replace(SKIPPED, source=f"s{name}", reason=name),
        replace(OK, source=f"o{name}"),
    ]
    summary = tmp_path / "summary.md"
    text = log(run(*outcomes, root=str(tmp_path)), tmp_path, GITHUB_STEP_SUMMARY=str(summary))
    told = [line for line in text.splitlines() if re.match(r"\s*::", line) or "##[" in line]
    begins = (
        "::error file=",
        "::notice file=",
        "::warning file=",
        "::group::a%0A",
        "::group::sa%0A",
        "::stop-commands::",
    )
    rest = [line for line in told if not line.startswith(begins) and line != "::endgroup::"]
    assert len(rest) == 2
    assert all(re.fullmatch(r"::\w{32}::", line) for line in rest)
    assert "\x1b" not in text + summary.read_text()
    outside = re.sub(r"<pre>.*?</pre>", "", summary.read_text(), flags=re.DOTALL)
    assert not re.search(r"[<\[]\w*(?<!details)(?<!summary)[>\]]|##\[|^::", outside, re.MULTILINE)


def test_a_name_in_the_summary_is_no_address(tmp_path):
    tally = tallied(replace(OK, source="www.example.org/x.py"))
    assert "www.example" not in step_summary(tally, seconds=1.0)
