"""Relative links in the text of a document: finding them, and leading them elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from moorage.json_types import JsonMapping, JsonObject

MOST: Final = 1000
"""Different links of one document that are followed."""

_BARE: Final = rb"""([^\s<>()"'\\]{1,1000})"""
_NAME: Final = rb"<?" + _BARE
# Each begins with fixed bytes, for which a search takes a millisecond for a megabyte.
_LINKS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rb"\]\([ ]?<([^<>\n\\]{1,1000})>",
        rb"\]\([ ]?" + _BARE,
        rb"\]:[ \t]{1,4}" + _NAME,
        (
            rb"<(?:img|a|audio|embed|iframe|object|source|video)\b[^<>]{0,2000}?\b"
            rb"""(?:src|href|data|poster)\s{0,8}=\s{0,8}\\?["']([^"'<>\n\\]{1,1000})"""
        ),
        rb"\{(?:figure|image)\}[ \t]{1,4}" + _NAME,
        rb"\{download\}`(?:[^`<\n]{0,200}<)?([^`<>\n\\]{1,1000})",
        rb"\.\. (?:figure|image)::[ \t]{1,4}" + _NAME,
    )
)
_ELSEWHERE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|/|#|\?")


def references(source: bytes) -> list[str]:
    """Return the relative links of a document, each once: of Markdown, HTML, MyST and reStructuredText."""
    found: dict[str, None] = {}
    for pattern in _LINKS:
        for match in pattern.finditer(source):
            name = match[1].decode(errors="replace")
            if not _ELSEWHERE.match(name) and "\0" not in unquote(name):
                found.setdefault(name)
            if len(found) >= MOST:
                return list(found)
    return list(found)


_TARGETS: Final = re.compile(
    r"""(\]\([ ]?<)([^<>\n\\]{1,1000})(?=>)"""
    r"""|(\]\([ ]?|\]:[ \t]{1,4}<?|<a\b[^<>]{0,2000}?\bhref\s{0,8}=\s{0,8}["'])([^\s<>()"'\\]{1,1000})""",
    re.IGNORECASE,
)
"""What stands before a link of Markdown or HTML, and the link."""


def retargeted(notebook: JsonMapping, links: Mapping[str, str] | None) -> JsonObject:
    """Return the notebook with links of its Markdown cells led elsewhere.

    Args:
        notebook: nbformat-4 dicts, which are not changed.
        links: where each link leads instead, by the link as the text has it.
    """
    if not links:
        return dict(notebook)

    def led(match: re.Match[str]) -> str:
        before, link = (match[1], match[2]) if match[1] else (match[3], match[4])
        return before + links.get(link, link)

    cells = [
        {**cell, "source": _TARGETS.sub(led, _joined(cell["source"]))}
        if cell["cell_type"] == "markdown"
        else cell
        for cell in notebook["cells"]
    ]
    return {**notebook, "cells": cells}


def _joined(text: object) -> str:
    return "".join(str(part) for part in text) if isinstance(text, list) else str(text)
