"""Every text format rendered, and written back by jupytext: nothing of the source is lost on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command import typed_in, write
from moorage.notebooks.documents.document import load
from moorage.notebooks.documents.libraries import load_jupytext

pytestmark = pytest.mark.real

CELLS = [
    ("markdown", {}, "# Sums\n\nA text with $x^2$ and `code`."),
    ("code", {}, "import math\n\n\ndef area(radius):\n    return math.pi * radius**2"),
    ("code", {"tags": ["raises-exception"]}, "1 / 0"),
    ("markdown", {}, "More."),
    ("code", {}, "%time total = sum(range(10))\nprint(total)"),
    ("code", {"tags": ["skip-execution"]}, "area(None)"),
]
FORMATS = ("py:light", "py:percent", "py:hydrogen", "md:markdown", "md:myst", "Rmd:rmarkdown")


def written(notebook: Any, form: str) -> str:
    suffix, name = form.split(":")
    text = load_jupytext().writes(notebook, fmt={"extension": f".{suffix}", "format_name": name})
    return str(text)


def source(form: str) -> str:
    import nbformat

    make = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
    # In the order that every notebook file has them in.
    spec = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    # MyST's cells name the lexer of the kernel that ran them.
    language = {"name": "python", "pygments_lexer": "ipython3"}
    cells = [make[kind](text, metadata=metadata) for kind, metadata, text in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec, "language_info": language})
    return written(notebook, form)


def name(form: str) -> str:
    suffix, kind = form.split(":")
    return f"{kind}.{suffix}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = write(tmp_path_factory.mktemp("formats"), {name(form): source(form) for form in FORMATS})
    with typed_in(folder) as moorage:
        names = [name(form) for form in FORMATS]
        moorage("render", *names, "-o", "out", "--no-cache", "-j", 2, "--json", "-", code=0)
        yield folder


@pytest.mark.parametrize("form", FORMATS)
def test_a_rendered_text_gives_its_source_back(folder: Path, form: str) -> None:
    nbformat = pytest.importorskip("nbformat")
    path = folder / "out" / Path(name(form)).with_suffix(".ipynb")
    rendered = nbformat.read(path, as_version=4)
    nbformat.validate(rendered)
    assert written(rendered, form) == (folder / name(form)).read_text()
    assert load(folder / name(form)).format == form


def test_every_format_runs_the_same_cells_to_the_same_end(folder: Path) -> None:
    seen = {form: _results(folder / "out" / Path(name(form)).with_suffix(".ipynb")) for form in FORMATS}
    first = seen[FORMATS[0]]
    assert first[0] == (1, [])
    assert first[1] == (2, ["ZeroDivisionError"])
    assert first[2][1][-1] == "45\n"
    assert first[3] == (None, [])
    for cells in seen.values():
        assert [count for count, _ in cells] == [1, 2, 3, None]
        assert cells[1] == first[1]


def _results(path: Path) -> list[tuple[int | None, list[str]]]:
    cells = [cell for cell in json.loads(path.read_bytes())["cells"] if cell["cell_type"] == "code"]
    return [
        (
            cell["execution_count"],
            [line for each in cell["outputs"] for line in each.get("text") or [each.get("ename", "?")]],
        )
        for cell in cells
    ]
