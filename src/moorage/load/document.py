"""The notebook that a visitor works on: cells with answers that are known before. No I/O."""

from __future__ import annotations

from msgspec import Struct, field

from moorage.json_types import JsonObject


class RanCell(Struct, frozen=True):
    """A cell that has run: its source and what it printed."""

    source: str
    printed: str


class Workbook(Struct):
    """A notebook.

    Attributes:
        path: of its file.
        cells: that have run.
    """

    path: str
    cells: list[RanCell] = field(default_factory=list)

    def next_cell(self) -> RanCell:
        """Return the next cell with what it has to print."""
        number = len(self.cells) + 1
        return RanCell(f"x = [n * n for n in range({number})]\nprint({number}, sum(x))", _printed(number))

    def model(self) -> JsonObject:
        """Return it as it is saved over ``/api/contents``."""
        cells = [_cell(number, ran) for number, ran in enumerate(self.cells, 1)]
        spec = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
        content = {"cells": cells, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
        return {"type": "notebook", "format": "json", "path": self.path, "content": content}


def _printed(number: int) -> str:
    return f"{number} {sum(n * n for n in range(number))}"


def _cell(number: int, ran: RanCell) -> JsonObject:
    output = {"output_type": "stream", "name": "stdout", "text": f"{ran.printed}\n"}
    return {
        "cell_type": "code",
        "id": f"cell-{number}",
        "metadata": {},
        "execution_count": number,
        "source": ran.source,
        "outputs": [output],
    }
