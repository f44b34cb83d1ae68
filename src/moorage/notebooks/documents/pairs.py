"""Whether a text and a notebook of one name are one document in two files, as jupytext pairs them.

Source: https://jupytext.readthedocs.io/en/latest/paired-notebooks.html
"""

from __future__ import annotations

import re
from pathlib import Path

from moorage.errors import MoorageError
from moorage.notebooks.documents import formats, ipynb
from moorage.regular import MOST_DOCUMENT, open_regular, read_regular

_HEAD = 64 * 1024
_FORMATS = re.compile(rb"^\W{0,20}formats:[ \t]*(\S.{0,1000}?)[ \t\r]*$", re.MULTILINE)


def is_pair(text: Path, notebook: Path) -> bool:
    """Say whether one of the two, or jupytext's configuration, pairs them. What cannot be read pairs nothing.

    Args:
        text: an existing script or Markdown file.
        notebook: the ``.ipynb`` of the same name beside it.
    """
    told = (_formats_of_notebook, notebook), (_formats_of_text, text), (formats.configured_pairs, notebook)
    for read, path in told:
        try:
            found = read(path)
        except (MoorageError, OSError, ValueError):  # told when the document's turn comes
            continue
        if _pairs(found, text.suffix):
            return True
    return False


def _formats_of_notebook(path: Path) -> str:
    data = read_regular(path, MOST_DOCUMENT)
    if b'"jupytext"' not in data:
        return ""
    metadata = ipynb.loads(data, str(path))["metadata"].get("jupytext")
    return str(metadata.get("formats", "")) if isinstance(metadata, dict) else ""


def _formats_of_text(path: Path) -> str:
    with open_regular(path) as file:
        found = _FORMATS.search(file.read(_HEAD))
    return found[1].decode(errors="replace").strip("\"'") if found else ""


def _pairs(written: str, suffix: str) -> bool:
    """Say whether formats such as ``ipynb,py:percent`` pair a notebook with a suffix in the same folder."""
    places: dict[str, set[str]] = {}
    for each in re.split("[,;]", written):
        folder, _, name = each.strip().rpartition("/")
        places.setdefault(folder, set()).add(name.partition(":")[0].removeprefix("."))
    return any("ipynb" in names and names & {suffix[1:], "auto"} for names in places.values())
