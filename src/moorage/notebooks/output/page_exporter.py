"""nbconvert's exporter to HTML with images embedded from regular files, whatever way a text names them.

Imports nbconvert, which takes seconds: for the process that makes pages.
"""

from __future__ import annotations

import base64
import html
import mimetypes
import os
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from jinja2 import pass_context
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from moorage.regular import open_regular

LARGEST_IMAGE: Final = 64 * 1024 * 1024
"""Bytes; a larger image stays a link."""

_IMAGE: Final = re.compile(
    r"""(<img\b[^<>]{0,4000}?(?<![\w-])src\s*=\s*)("[^"]*"|'[^']*'|[^\s"'>]+)""", re.IGNORECASE
)
_ELSEWHERE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//|#")
_ATTACHMENT: Final = "attachment:"


class PageExporter(HTMLExporter):  # type: ignore[misc]  # nbconvert has no types
    """Makes pages of notebooks; ``embed_images`` is as in nbconvert."""

    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        """Return Markdown as HTML; a filter of the templates."""
        path = context.get("resources", {}).get("metadata", {}).get("path", "")
        renderer = _Renderer(
            escape=False,
            attachments=context.get("cell", {}).get("attachments", {}),
            embed_images=self.embed_images,
            path=path,
            anchor_link_text=self.anchor_link_text,
            exclude_anchor_links=self.exclude_anchor_links,
            **self.lexer_options,
        )
        rendered: str = MarkdownWithMath(renderer=renderer).render(source)
        return rendered


class _Renderer(IPythonRenderer):  # type: ignore[misc]  # nbconvert has no types
    """Embeds what nbconvert leaves out, and ends no page for an image that is missing."""

    def _embed_image_or_attachment(self, src: str) -> str:
        if src.startswith(_ATTACHMENT) or self.embed_images:
            return self._src_to_base64(src) or src
        return src

    def _src_to_base64(self, src: str) -> str | None:
        return embedded(src, Path(self.path), self.attachments)

    def _html_embed_images(self, text: str) -> str:
        # nbconvert parses each tag by itself and writes it whole, so that <b> becomes <b></b>.
        return with_images(text, Path(self.path), self.attachments)


def with_images(text: str, folder: Path, attachments: Any = None) -> str:
    """Return HTML with the images of its ``<img>`` embedded.

    Args:
        text: HTML, or a single tag of it.
        folder: what names are relative to; nothing outside of it is embedded.
        attachments: of the cell, by name.
    """

    def embed(match: re.Match[str]) -> str:
        name = html.unescape(match[2].strip("\"'"))
        found = embedded(name, folder, attachments or {})
        return match[0] if found is None else f'{match[1]}"{found}"'

    return _IMAGE.sub(embed, text)


def embedded(name: str, folder: Path, attachments: Any) -> str | None:
    """Return an image as a ``data:`` URI, or None where it stays a link.

    Args:
        name: as a text has it: ``a%20b.png``, ``a.png?v=1``, ``attachment:a.png``.
        folder: what it is relative to; nothing outside of it is embedded.
        attachments: of the cell, by name.
    """
    if name.startswith(_ATTACHMENT):
        return _attached(name.removeprefix(_ATTACHMENT), attachments)
    if _ELSEWHERE.match(name) or "\0" in unquote(name):
        return None
    for plain in dict.fromkeys((name, unquote(name), unquote(re.split("[?#]", name, maxsplit=1)[0]))):
        path = Path(os.path.abspath(folder / plain))  # noqa: PTH100 - links are followed when it is opened
        kind = mimetypes.guess_type(path.name)[0] or ""
        if not kind.startswith("image/") or Path(os.path.abspath(folder)) not in path.parents:  # noqa: PTH100 - as above
            continue
        try:
            with open_regular(path) as file:
                data = file.read(LARGEST_IMAGE + 1)
        except OSError:
            continue
        if len(data) <= LARGEST_IMAGE:
            return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return None


def _attached(name: str, attachments: Any) -> str | None:
    bundle = attachments.get(name) or attachments.get(unquote(name))
    if not bundle:
        return None
    kinds = ("image/svg+xml", "image/png", "image/jpeg", *bundle)
    kind = next(kind for kind in kinds if kind in bundle)
    content = "".join(bundle[kind])
    if kind == "image/svg+xml" and content.lstrip().startswith("<"):
        content = base64.b64encode(content.encode()).decode("ascii")
    return f"data:{kind};base64,{''.join(content.split())}"
