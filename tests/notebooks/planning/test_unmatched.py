"""Patterns and tables of the configuration that meet nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from moorage.notebooks.planning.collect import collect
from moorage.notebooks.planning.settings import load_configuration

CELLS = "# %%\n1 + 1\n"


def told(folder: Path, configuration: str, *sources: str, file: str = "moorage.toml") -> list[str]:
    for name in ("demos/base.py", "demos/drafts/x.py", "talks/y.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(CELLS)
    (folder / "demos/notes.txt").write_text("")
    (folder / "demos/plain.py").write_text("x = 1\n")
    (folder / file).write_text(configuration)
    loaded = load_configuration(folder)
    assert loaded.path == folder / file
    return list(collect(sources or ["."], out=None, configuration=loaded, cwd=folder).warnings)


@pytest.mark.parametrize(
    "line",
    [
        'exclude = ["demos/drafts"]',
        'exclude = ["**/drafts", "demos/*.txt", "demos/notes.txt"]',
        'exclude = ["rendered", "_build", ".cache", "docs/_build/*.py"]',
        'exclude = ["demos", "demos/drafts", "demos/gone.py"]',
        'documents = ["demos/pl*.py"]',
        'documents = ["**/base.py", "./talks/y.py"]',
        '[notebook."demos/base.py"]\ncores = 2',
        '[notebook."./demos/*.py"]\ncores = 2',
        'exclude = ["demos/drafts"]\n[notebook."demos/drafts/x.py"]\ncores = 2',
    ],
)
def test_what_meets_something_is_not_told(tmp_path, line):
    assert told(tmp_path, line) == []


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('exclude = ["drafts"]', 'exclude: "drafts" matches nothing'),
        ('exclude = ["*_test.py"]', 'exclude: "*_test.py" matches nothing'),
        ('documents = ["demo/*.py"]', 'documents: "demo/*.py" matches no document'),
        ('documents = ["demos/*.txt"]', 'documents: "demos/*.txt" matches no document'),
        (
            '[notebook."demos/bas.py"]\ncores = 2',
            '[notebook."demos/bas.py"] matches no document. Did you mean demos/base.py?',
        ),
        ('[notebook."talks/*.ipynb"]\ncores = 2', '[notebook."talks/*.ipynb"] matches no document'),
        ('[notebook."demos/plain.py"]\ncores = 2', '[notebook."demos/plain.py"] matches no document'),
    ],
)
def test_what_meets_nothing_is_told_with_the_file(tmp_path, line, sentence):
    (warning,) = told(tmp_path, line)
    assert warning.startswith(f"moorage.toml: {sentence}")


def test_in_pyproject_the_table_is_named_as_it_stands_there(tmp_path):
    lines = '[tool.moorage]\nexclude = ["drafts"]\n[tool.moorage.notebook."q.jl"]\ncores = 2\n'
    assert told(tmp_path, lines, file="pyproject.toml") == [
        'pyproject.toml: tool.moorage.exclude: "drafts" matches nothing',
        'pyproject.toml: [tool.moorage.notebook."q.jl"] matches no document',
    ]


def test_a_run_over_a_part_tells_nothing_of_the_rest(tmp_path):
    lines = 'exclude = ["*_test.py", "demos/*.txt"]\n[notebook."demos/*.jl"]\ncores = 2\n'
    assert told(tmp_path, lines, "talks") == []
    assert told(tmp_path, lines, "talks/y.py", "demos/base.py") == []
    assert told(tmp_path, lines, "demos") == ['moorage.toml: [notebook."demos/*.jl"] matches no document']
    there = '[notebook."demos/base.py"]\ncores = 2\n'
    assert told(tmp_path, there, "talks") == []
    gone = '[notebook."demos/gone.py"]\ncores = 2\n'
    assert len(told(tmp_path, gone, "talks/y.py")) == 1


def test_many_are_counted_and_take_no_time(tmp_path):
    lines = "".join(f'[notebook."gone/{number}/*a*a*a*b"]\ncores = 2\n' for number in range(3000))
    began = time.process_time()
    warnings = told(tmp_path, lines)
    assert time.process_time() - began < 30
    assert len(warnings) == 11
    assert warnings[-1] == "moorage.toml: 2990 more patterns match nothing"
