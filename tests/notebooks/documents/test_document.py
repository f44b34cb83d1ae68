"""Documents: one door for every format, and which files in a tree are documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from moorage.errors import DocumentError
from moorage.notebooks.documents.document import dumps, is_document, load
from moorage.notebooks.documents.parameters import inject_parameters
from moorage.notebooks.documents.tags import without_cells

FILES = Path(__file__).parent / "files"


@pytest.mark.parametrize(
    ("name", "kernel", "language"),
    [
        ("new.ipynb", "python3", "python"),
        ("light.py", None, "python"),
        ("header.py", "python3", "python"),
        ("gallery.py", None, "python"),
        ("myst.md", "python3", "python"),
        ("plain.md", None, "python"),
        ("report.Rmd", None, "R"),
        ("rod.jl", None, "julia"),
        ("rod.R", None, "R"),
        ("rod.js", None, "javascript"),
        ("three.ipynb", None, None),
    ],
)
def test_kernel_and_language(name, kernel, language):
    document = load(FILES / name)
    assert (document.kernel, document.language) == (kernel, language)
    assert document.path == FILES / name


@pytest.mark.parametrize(
    ("kernelspec", "kernel", "left"),
    [
        ({"language": "julia"}, None, None),
        (
            {"name": "ir", "language": "julia"},
            "ir",
            {"name": "ir", "language": "julia", "display_name": "ir"},
        ),
        ({"name": "", "display_name": "R", "language": "julia"}, None, None),
    ],
)
def test_half_a_kernelspec_is_completed_or_dropped(tmp_path, kernelspec, kernel, left):
    path = tmp_path / "half.ipynb"
    path.write_bytes(
        dumps({"cells": [], "metadata": {"kernelspec": kernelspec}, "nbformat": 4, "nbformat_minor": 4})
    )
    document = load(path)
    assert (document.kernel, document.language) == (kernel, "julia")
    assert document.notebook["metadata"].get("kernelspec") == left


def test_lines_follow_cells_that_move():
    document = load(FILES / "light.py")
    last = document.notebook["cells"][-1]
    fewer = without_cells(document.notebook, frozenset({"exercise", "parameters"}))
    moved = document.with_notebook(inject_parameters(fewer, {"steps": 3}, "python"))
    index = len(moved.notebook["cells"]) - 1
    assert moved.notebook["cells"][index] is last
    assert moved.lines[index] == document.lines[len(document.notebook["cells"]) - 1]
    assert 0 not in moved.lines


@pytest.mark.parametrize("path", sorted(FILES.iterdir()), ids=lambda path: path.name)
def test_reading_never_changes_the_source_and_writing_can_be_read(tmp_path, path):
    before = path.read_bytes()
    document = load(path)
    assert path.read_bytes() == before
    written = tmp_path / "out.ipynb"
    written.write_bytes(dumps(document.notebook))
    assert load(written).notebook == document.notebook
    assert all(isinstance(cell["source"], str) for cell in document.notebook["cells"])


@pytest.mark.parametrize(
    ("name", "says"),
    [("none.ipynb", "No such file|no such file"), ("folder.ipynb", "directory"), ("a.txt", "not .txt")],
)
def test_what_cannot_be_opened_says_why(tmp_path, name, says):
    (tmp_path / "folder.ipynb").mkdir()
    with pytest.raises(DocumentError, match=f"(?i){says}"):
        load(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("light.py", True),
        ("header.py", True),
        ("percent.py", True),
        ("hydrogen.py", True),
        ("gallery.py", True),
        ("gallery_hashes.py", False),
        ("prose.py", False),
        ("myst.md", True),
        ("plain.md", False),
        ("report.Rmd", True),
        ("rod.jl", True),
        ("rod.R", True),
        ("rod.js", True),
        ("new.ipynb", True),
    ],
)
def test_what_counts_in_a_walk(name, counts):
    assert is_document(FILES / name) is counts


@pytest.mark.parametrize(
    ("name", "text", "counts"),
    [
        ("a.py", "# +\nx = 1\n", True),
        ("a.py", "#+\nx = 1\n", True),
        ("a.py", "# + [markdown]\n# x\n", True),
        ("a.py", '# + tags=["a"]\nx\n', True),
        ("a.py", '# + {"tags": ["a"]}\nx\n', True),
        ("a.py", "# + added, not marked\nx\n", False),
        ("a.py", "  # +\n", False),
        ("a.py", "#%%\nx\n", True),
        ("a.py", "# %% a title\nx\n", True),
        ("a.py", "# %%time\nx\n", False),
        ("a.py", "# In[3]:\nx\n", True),
        ("a.py", "# ---\n# title: no notebook\n# ---\n", False),
        ("a.py", "#!/usr/bin/python\n# -*- coding: utf-8 -*-\n# ---\n# jupyter:\n#   x: 1\n# ---\n", True),
        ("a.py", "x = 1\n# ---\n# jupyter: 1\n# ---\n", False),
        ("a.py", "", False),
        ("a.py", "# \0 %%\n# +\n", False),
        ("a.m", "% %%\nx\n", True),
        ("a.m", "% +\nx\n", True),
        ("a.ml", "(* + *)\nlet x = 1\n", True),
        ("a.hs", "-- +\nmain\n", True),
        ("a.js", "# +\n", False),
        ("a.md", "---\njupytext:\n  a: 1\n---\n", True),
        ("a.md", "---\nkernelspec:\n  name: x\n---\n", True),
        ("a.md", "---\ntitle: x\n---\nkernelspec: x\n", False),
        ("a.md", "```python\n1\n```\n", False),
        ("a.qmd", "---\njupyter: python3\n---\n", True),
        ("a.txt", "# +\n", False),
        ("Makefile", "# +\n", False),
    ],
)
def test_markers_and_headers(tmp_path, name, text, counts):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert is_document(path) is counts


def test_only_the_beginning_is_read_and_a_cut_character_does_no_harm(tmp_path):
    late = tmp_path / "late.py"
    late.write_text("x = 1\n" * 20_000 + "# +\n")
    assert not is_document(late)
    cut = tmp_path / "cut.py"
    cut.write_text("# %%\n#" + "é" * 70_000)
    assert is_document(cut)
    latin = tmp_path / "latin.py"
    latin.write_bytes(b"# \xe9\n# +\n")
    assert not is_document(latin)
    assert not is_document(tmp_path / "missing.py")


@pytest.mark.parametrize(
    ("glob", "name", "counts"),
    [
        ("demos/*.py", "demos/a.py", True),
        ("demos/**/*.py", "demos/a.py", True),
        ("demos/**/*.py", "demos/x/y/a.py", True),
        ("demos/*.py", "/home/x/demos/a.py", True),
        ("a.py", "demos/a.py", True),
        ("*.txt", "demos/a.txt", False),
        ("other/*.py", "demos/a.py", False),
    ],
)
def test_globs_count_too(glob, name, counts):
    assert is_document(Path(name), [glob]) is counts
