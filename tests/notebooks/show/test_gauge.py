from __future__ import annotations

import pytest
from rich.cells import cell_len

from moorage.notebooks.events import NotebookStarted, RunStarted
from moorage.notebooks.show.failed_notebook import ASCII, Symbols
from moorage.notebooks.show.gauge import bar, fitted, more_line, preparing_line, running_line, total_line
from moorage.notebooks.show.tally import RunningNotebook, Tally
from notebooks.made_up import ALL, run


def test_a_long_name_keeps_its_end():
    assert fitted("demos/convection.py", 12, "…") == "…nvection.py"
    assert fitted("short.py", 12, "…") == "short.py"
    assert cell_len(fitted("地震波/伝播伝播伝播.ipynb", 11, "…")) <= 11
    assert fitted("abc", 0, "..") == ""


@pytest.mark.parametrize("width", [20, 40, 59, 60, 80, 200])
@pytest.mark.parametrize("name", ["a.py", "demos/" + "x" * 300 + ".py", "地震波/" * 30, "a\x1b[31m\nb.py"])
def test_running_lines_fit(width, name):
    for symbols in (Symbols(), ASCII):
        entry = RunningNotebook(name, 0.0, 0, 2, 12, 1234, 3 << 30)
        line = running_line(entry, 3725.0, width, symbols)
        assert "\n" not in line.plain
        if width >= 40:
            assert line.cell_len < width
            assert "12/1234" in line.plain


@pytest.mark.parametrize("width", [40, 80])
def test_a_kernel_that_is_stopped_is_told_in_place_of_the_cell(width):
    entry = RunningNotebook("a.py", 0.0, 0, 1, 3, 9, stopped="stopped (SIGSTOP)")
    line = running_line(entry, 1.0, width, Symbols()).plain
    assert " stopped " in line
    assert "3/9" not in line


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_the_total_fits_and_keeps_what_matters(width):
    tally = Tally()
    for event in run(*ALL):
        tally.handle(event)
    tally.plan = RunStarted(tuple(f"{at}.py" for at in range(500)), 16, "", "", {"1.py": 5.0})
    line = total_line(tally, 3725.0, width, Symbols())
    assert line.cell_len < width
    assert "6/500" in line.plain
    assert ("3 failed" in line.plain) is (width >= 40) or width == 20
    assert ("16 jobs" in line.plain) is (width >= 100)


def test_a_last_notebook_that_runs_on_is_told_and_no_time_grows():
    tally = Tally()
    tally.handle(RunStarted(("a.py",), 1, "", "", {"a.py": 60.0}))
    assert "1:00 left" in total_line(tally, 0.0, 100, Symbols()).plain
    tally.handle(NotebookStarted("a.py", 0.0, 0, 1))
    assert "0:01 left" in total_line(tally, 59.0, 100, Symbols()).plain
    for now in (61.0, 600.0, 6000.0):
        told = total_line(tally, now, 100, Symbols()).plain
        assert "longer than expected" in told
        assert "left" not in told


def test_the_bar_stands_near_the_names_in_a_wide_terminal():
    entry = RunningNotebook("demos/convection.py", 0.0, 0, 1, 3, 9)
    line = running_line(entry, 1.0, 200, Symbols(), longest=30).plain
    assert 30 < line.index("━") < 36
    assert running_line(entry, 1.0, 200, Symbols(), longest=150).plain.index("━") < 110
    assert running_line(entry, 1.0, 80, Symbols(), longest=150).cell_len < 80


def test_what_is_done_before_the_run_fits():
    assert preparing_line("reading the documents", 1.0, 80, ASCII).plain.endswith("reading the documents")
    assert preparing_line("reading the documents", 1.0, 12, Symbols()).cell_len < 12


def test_bars():
    assert bar(1, 4, 8, ASCII) == ("##", "......")
    assert bar(0, 0, 3, ASCII) == ("", "...")


def test_the_rest_is_counted():
    assert more_line(5, ASCII).plain == "  .. 5 more running"
