"""What cell tags mean. Pure functions over notebooks as plain dicts."""

from __future__ import annotations

import re

from moorage.json_types import JsonObject

SKIP = "skip-execution"
RAISES = "raises-exception"


def tags(cell: JsonObject) -> list[str]:
    """The cell's tags, in order."""
    found: list[str] = cell.get("metadata", {}).get("tags", [])
    return found


def runnable(cell: JsonObject) -> bool:
    """Whether a cell is sent to the kernel.

    Code that is not blank, not tagged ``skip-execution``, and active in notebooks: ``active-py`` alone means
    that a cell belongs to the script only (jupytext turns such cells of a text into raw ones).
    """
    return (
        cell["cell_type"] == "code"
        and bool(cell["source"].strip())
        and SKIP not in tags(cell)
        and _active_in_notebooks(cell)
    )


def _active_in_notebooks(cell: JsonObject) -> bool:
    for tag in tags(cell):
        if tag.startswith("active-"):
            return "ipynb" in tag.split("-")
    active = cell.get("metadata", {}).get("active")
    return not isinstance(active, str) or "ipynb" in re.split(r"[.,]", active)


def expects_error(cell: JsonObject) -> bool:
    """Whether an error in this cell is meant (``raises-exception``): the notebook goes on and is ok."""
    return RAISES in tags(cell)


def without_cells(notebook: JsonObject, remove_cells: frozenset[str]) -> JsonObject:
    """Return the notebook without the cells that carry one of the tags of ``--remove-cells``.

    For use *before* execution: such cells are neither run nor written, as with ``nbconvert --execute``, whose
    TagRemovePreprocessor comes before its ExecutePreprocessor (``Exporter.default_preprocessors``).
    The notebook given is not changed.
    """
    if not remove_cells:
        return notebook
    cells = [cell for cell in notebook["cells"] if remove_cells.isdisjoint(tags(cell))]
    return {**notebook, "cells": cells}


def apply_display(notebook: JsonObject, remove_cells: frozenset[str] = frozenset()) -> JsonObject:
    """Return the notebook as an export to HTML or Markdown shows it.

    ``remove-cell`` and ``hide-cell`` take the cell away, ``-output`` its outputs, ``-input`` its source, in
    the way nbconvert's templates understand (``metadata.transient.remove_source``). A cell that raised what
    was not expected stays to be seen, with its source and its error. In a written ``.ipynb`` the tags are
    kept instead, for tools that build a site from it. The notebook given is not changed.

    Args:
        notebook: nbformat-4 dicts.
        remove_cells: further tags that take the whole cell away.
    """
    gone = remove_cells | {"remove-cell", "hide-cell"}
    cells = [
        _displayed(cell) for cell in notebook["cells"] if gone.isdisjoint(_dashed(cell)) or _failed(cell)
    ]
    return {**notebook, "cells": cells}


def _failed(cell: JsonObject) -> bool:
    """Whether a cell raised what was not expected."""
    errors = (output.get("output_type") == "error" for output in cell.get("outputs", []))
    return any(errors) and not expects_error(cell)


def _dashed(cell: JsonObject) -> set[str]:
    """Tags in both spellings: older Jupyter Books wrote ``remove_input``."""
    found = set(tags(cell))
    return found | {tag.replace("_", "-") for tag in found}


def _displayed(cell: JsonObject) -> JsonObject:
    found = _dashed(cell)
    cell = dict(cell)
    if cell["cell_type"] == "code":
        cell["outputs"] = [
            output for output in cell.get("outputs", []) if not _output_removed(cell, output, found)
        ]
    if found & {"remove-input", "hide-input"} and not _failed(cell):
        transient = {**cell.get("metadata", {}).get("transient", {}), "remove_source": True}
        cell["metadata"] = {**cell.get("metadata", {}), "transient": transient}
    return cell


def _output_removed(cell: JsonObject, output: JsonObject, found: set[str]) -> bool:
    if output["output_type"] == "error" and not expects_error(cell):
        return False
    if output["output_type"] == "stream" and f"remove-{output.get('name')}" in found:
        return True
    return bool(found & {"remove-output", "hide-output"})
