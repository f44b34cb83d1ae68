"""The notebook that visitors work on."""

from __future__ import annotations

import pytest

from moorage.load.document import Workbook


def test_cells_print_what_is_known_before(capsys: pytest.CaptureFixture[str]) -> None:
    document = Workbook("a.ipynb")
    for _ in range(3):
        cell = document.next_cell()
        exec(cell.source, {})
        assert capsys.readouterr().out.strip() == cell.printed
        document.cells.append(cell)
    assert [cell.printed for cell in document.cells] == ["1 0", "2 1", "3 5"]


def test_it_is_a_notebook() -> None:
    nbformat = pytest.importorskip("nbformat")
    document = Workbook("a.ipynb")
    document.cells.append(document.next_cell())
    model = document.model()
    assert (model["type"], model["path"]) == ("notebook", "a.ipynb")
    nbformat.validate(nbformat.from_dict(model["content"]))
    assert model["content"]["cells"][0]["outputs"][0]["text"] == "1 0\n"
