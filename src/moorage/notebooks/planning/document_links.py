"""Links from one document of a run to another, which shall lead to what was rendered of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, unquote

from moorage.notebooks.documents.references import references
from moorage.notebooks.planning.item import Item


def document_links(items: Iterable[Item], to: Sequence[str]) -> dict[str, dict[str, dict[str, str]]]:
    """Return where the links of each document lead in what is rendered of it.

    Args:
        items: the notebooks of a run.
        to: the formats wanted.

    Returns:
        By the notebook's name and by format, the new link of each link. Those of ``html`` and ``md`` go by
        the links of the notebook that the page is made from.
    """
    items = tuple(items)
    if len(items) < 2:
        return {}
    known = {path: item for item in items for path in (item.file.output, *item.documents.values())}
    known |= {item.file.path: item for item in items}
    found = {}
    for item in items:
        leads = {link: other for link in references(item.data) if (other := _document(item, link, known))}
        if leads:
            found[item.name] = _by_format(item, leads, to)
    return found


def _by_format(item: Item, leads: Mapping[str, Item], to: Sequence[str]) -> dict[str, dict[str, str]]:
    notebook = {link: _led(item, link, other, "ipynb") for link, other in leads.items()}
    if "ipynb" not in to:  # the notebook is private, and its pages are what a link leads to
        notebook = {}
    pages = {
        form: {notebook.get(link, link): _led(item, link, other, form) for link, other in leads.items()}
        for form in to
        if form != "ipynb"
    }
    return {"ipynb": notebook, **pages}


def _document(item: Item, link: str, known: Mapping[Path, Item]) -> Item | None:
    """Return the document that a link leads to: a source, or what is rendered of one."""
    path = unquote(_parts(link)[0])
    for folder in (item.directory, item.file.output.parent):
        if other := known.get(Path(os.path.normpath(folder / path))):
            return other
    return None


def _led(item: Item, link: str, other: Item, form: str) -> str:
    path = os.path.relpath(other.documents[form], item.documents[form].parent)
    return quote(path) + _parts(link)[1]


def _parts(link: str) -> tuple[str, str]:
    """Part a link from what follows its path: a query, or a place in the document."""
    path = re.split("[?#]", link, maxsplit=1)[0]
    return path, link[len(path) :]
