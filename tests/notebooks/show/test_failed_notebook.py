from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from moorage.notebooks.events import Failure
from moorage.notebooks.show import ansi, failed_notebook
from moorage.notebooks.show.failed_notebook import ASCII, Symbols, failure_block
from notebooks.made_up import CACHED, DIED, FAILED, FAILURE, LOST, OK, SKIPPED, TIMEOUT


def test_the_block_says_what_where_and_what_to_open():
    block = failure_block(FAILED, root="", symbols=Symbols(), colour=False)
    lines = block.split("\n")
    assert lines[0] == "✗ demos/cavity.py  failed in cell 14 after 4.6 s"
    assert "  ValueError: shapes (64,32) (32,64)" in lines
    assert "  ▶ 90 │ flux = u + T" in lines
    assert "    88 │ u = a" in lines
    assert "  open: demos/cavity.py:90" in lines
    assert "  open: out/demos/cavity.ipynb (cell 14)" in lines
    assert "\x1b" not in block


def test_colours_stay_on_a_colour_terminal():
    assert "\x1b[32mIn[7]" in failure_block(FAILED, root="", symbols=Symbols(), colour=True)


def test_a_dangerous_sequence_never_reaches_the_terminal():
    bad = replace(FAILED, source="a\x1b]0;t\x07.py", error=replace(FAILURE, traceback=("\x1b[2J\x1b[31mx",)))
    for colour in (True, False):
        block = failure_block(bad, root="", symbols=Symbols(), colour=colour)
        assert "\x1b[2J" not in block
        assert "\x1b]" not in block


def test_a_death_tells_its_reason_once():
    block = failure_block(DIED, root="", symbols=ASCII, colour=False)
    assert block.startswith("X demos/rebound.py  died in cell 10 after 2.1 s (2 attempts)")
    assert block.count(LOST) == 1
    assert block.isascii()


def test_a_deadline_without_a_line_opens_the_source_alone():
    assert failed_notebook.headline(TIMEOUT) == "ran out of time in cell 2 after 1 min 00 s"
    assert failed_notebook.to_open(TIMEOUT, "") == ["demos/endless.ipynb", "out/demos/endless.ipynb (cell 2)"]


def test_headlines_of_what_went_well_or_was_not_run():
    assert failed_notebook.headline(OK) == "ok in 12.3 s"
    assert failed_notebook.headline(CACHED) == "cached in 0.0 s"
    assert failed_notebook.headline(SKIPPED) == "skipped"
    assert failed_notebook.message(SKIPPED) == "demos/cavity.py, which it needs, failed"


def test_sources_elsewhere_are_named_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert failed_notebook.to_open(FAILED, str(tmp_path))[0] == "demos/cavity.py:90"
    assert failed_notebook.to_open(FAILED, "/elsewhere")[0] == "/elsewhere/demos/cavity.py:90"
    assert not Path("demos").exists()


def test_the_older_traceback_style_is_read_too():
    older = replace(FAILED, error=replace(FAILURE, traceback=("Input In [1], in <cell line: 2>()",)))
    assert failed_notebook.failed_line(older) == 2


def test_a_long_cell_is_shown_around_the_line_that_raised():
    source = "\n".join(f"line_{at}" for at in range(1, 501))
    error = Failure(1, "E", "", ("Cell In[1], line 250",), source)
    shown = failed_notebook.source_block(replace(FAILED, error=error), Symbols())
    assert len(shown) == 27
    assert shown[0] == "  … 237 lines above"
    assert any(line.startswith("▶ 250") for line in shown)
    assert shown[-1] == "  … 238 lines below"


def test_a_failure_without_cell_or_traceback_is_still_told():
    error = Failure(0, "DocumentError", "demos/x.ipynb cannot be read (E-DOCUMENT). It is empty.")
    block = failure_block(replace(FAILED, output=None, error=error), root="", symbols=Symbols(), colour=False)
    assert "failed after 4.6 s" in block
    assert "E-DOCUMENT" in block


def test_no_number_in_a_traceback_is_too_long():
    lines = tuple(f"Cell In[1], line {'9' * 5000}\n\x1b[{'1' * 5000}mred\x1b[0m" for _ in range(2))
    made = replace(FAILED, error=Failure(1, "E", "x", lines, "a\nb"))
    assert failed_notebook.failed_line(made) is None
    assert "red" in failure_block(made, root="", symbols=Symbols(), colour=True)
    assert "red" in ansi.to_html("\n".join(lines))
    assert ansi.to_html(f"\x1b[{';'.join(['1'] * 1_000_000)}mred") == '<span class="a-bold">red</span>'


def test_an_error_of_megabytes_is_shown_in_part():
    made = replace(FAILED, error=Failure(1, "E", "x" * 10**7, ("first", *["y" * 100] * 10**5, "last"), "a"))
    block = failure_block(made, root="", symbols=Symbols(), colour=False)
    assert len(block) < 120_000
    assert "characters more" in block
    assert "first" in block
    assert "last" in block
