"""Which files a page shows: images that its text embeds, whether they are there or not."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

from moorage.json_types import JsonMapping

_INLINE = re.compile(r"\]\(\s*(?:<([^>\n]+)>|((?:[^\s()]|\([^\s()]*\))+))")
_REFERENCE = re.compile(r"^ {0,3}\[[^\]\n]+\]:\s*(?:<([^>\n]+)>|(\S+))", re.MULTILINE)
_ATTRIBUTE = re.compile(
    r"""\b(?:src|href|data|poster)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE
)
_ELSEWHERE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//|#|$")
_MOST = 10_000


def shown_files(notebook: JsonMapping, folder: Path) -> list[Path]:
    """Return every file that Markdown or HTML in a notebook refers to by a relative name, sorted.

    More than a page embeds: also links, and names as they are written as well as decoded (``%20``). A file
    too many costs a look at its time.

    Args:
        notebook: nbformat-4 JSON, executed.
        folder: what the names are relative to.
    """
    names = {name for text in _texts(notebook) for name in _references(text)}
    found: set[Path] = set()
    for name in names:
        for plain in {name, unquote(name), unquote(name).partition("#")[0].partition("?")[0]}:
            if plain and "\0" not in plain and len(found) < _MOST:
                found.add(Path(os.path.normpath(folder / plain)))
    return sorted(found - {folder})


def _references(text: str) -> Iterator[str]:
    for pattern in (_INLINE, _REFERENCE, _ATTRIBUTE):
        for groups in pattern.findall(text):
            name = next((group for group in groups if group), "")
            if not _ELSEWHERE.match(name):
                yield name


def _texts(notebook: JsonMapping) -> Iterator[str]:
    for cell in notebook["cells"]:
        if cell["cell_type"] in ("markdown", "raw"):
            yield _joined(cell.get("source", ""))
        for output in cell.get("outputs", ()):
            data = output.get("data")
            if isinstance(data, Mapping):
                yield from (_joined(data[mime]) for mime in ("text/markdown", "text/html") if mime in data)


def _joined(text: object) -> str:
    return "".join(str(part) for part in text) if isinstance(text, list) else str(text)
