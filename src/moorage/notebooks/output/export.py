"""``--to html,md``: rendered notebooks as pages, through nbconvert.

:func:`convert` does the work and imports nbconvert, which takes seconds; :class:`ExportClient` asks a process
of :mod:`moorage.notebooks.output.export_worker` for it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from moorage.errors import MissingExtra, OutputError, UsageError
from moorage.installed import install_line
from moorage.json_types import JsonObject
from moorage.notebooks.documents.references import retargeted
from moorage.notebooks.documents.tags import apply_display
from moorage.notebooks.output.atomic import write_whole
from moorage.notebooks.output.showable import showable
from moorage.notebooks.output.writer import FILES

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Mapping

    from moorage.notebooks.output.writer import Writer

Target = Literal["html", "md"]

_MATH: Final = re.compile(r"\$|\\\(|\\\[|\\begin\{")
_GLOBALS: Final = (
    "Bokeh",
    "HoloViews",
    "MathJax",
    "Plotly",
    "define",
    "require",
    "requirejs",
    "vega",
    "vegaEmbed",
    "vegaLite",
)
"""Names under which libraries look for themselves in a page."""
_WIDGET_FONT: Final = "<style>.jupyter-widgets { font-family: var(--jp-ui-font-family) }</style>"
"""In JupyterLab labels of widgets have its font; in nbconvert's page they would have the browser's own."""
_REQUIRE: Final = re.compile(r"\brequire(js)?\s*[(.\[]|\bdefine\s*\(")
_LINE_LIMIT: Final = 64 << 20
"""Bytes of one reply, which names every file that was written."""
SILENT: Final = 15.0
"""Seconds without a word, when one is due each second, after which an export process counts as dead."""


class ExporterGone(OutputError):
    """The process that makes pages has ended, or does not answer."""


def convert(
    notebook: JsonObject,
    to: Target,
    out: Path,
    *,
    title: str | None = None,
    folder: Path | None = None,
    remove_cells: Iterable[str] = (),
    links: Mapping[str, str] | None = None,
    write: Callable[[Path, bytes], None] = write_whole,
) -> list[Path]:
    """Write ``notebook`` as a page and return the files written, the page first.

    Args:
        notebook: a notebook of format 4 as plain data.
        to: ``html``, one self-contained file, or ``md``, with images in ``STEM_files/`` beside it.
        out: the file to write; its folder is made.
        title: the page's title, else the file's stem.
        folder: where relative images of Markdown cells are looked for; None leaves them as links.
        remove_cells: further tags whose cells are left out.
        links: where links of Markdown cells lead instead, by the link.
        write: writes one file.

    Raises:
        MissingExtra: nbconvert is not installed.
        UsageError: ``to`` is something else.
        OutputError: a file cannot be written, or would be written elsewhere than beside the page.
    """
    try:
        import nbconvert
        from nbformat import from_dict
        from nbformat.v4.rwbase import rejoin_lines
    except ModuleNotFoundError as error:
        what = f"exporting to {to} needs {error.name}"
        raise MissingExtra(what, do=f"Type: {install_line('render')}") from error
    notebook = apply_display(retargeted(rejoin_lines(from_dict(notebook)), links), frozenset(remove_cells))
    if to == "html":
        notebook = _with_images(showable(notebook), folder)
    node = from_dict(notebook)
    exporter: Any
    if to == "html":
        exporter = _page_exporter(notebook, folder)
    elif to == "md":
        exporter = nbconvert.MarkdownExporter()
    else:
        raise UsageError(f"there is no way to make {to} of a notebook", do="Choose html or md")
    resources: JsonObject = {
        "metadata": {"name": title or out.stem, "path": str(folder or "")},
        "output_files_dir": out.stem + FILES,
        "unique_key": out.stem,
    }
    text, found = exporter.from_notebook_node(node, resources=resources)
    files = {_beside(out, name): bytes(data) for name, data in (found.get("outputs") or {}).items()}
    # The page goes last: where it is, its images are.
    for path, data in [*files.items(), (out, text.encode("utf-8", "replace"))]:
        write(path, data)
    return [out, *files]


def _beside(out: Path, name: str) -> Path:
    """Return where a file that a page refers to goes: into the page's own folder and nowhere else.

    nbconvert before 7.17.2 takes the names of attachments as they are, and so may templates and exporters.
    """
    folder = out.parent / (out.stem + FILES)
    path = Path(os.path.normpath(out.parent / name))
    if "\0" in name or folder not in path.parents:
        what = f"{out} cannot be written"
        raise OutputError(
            what, why=f"A file it shows would be written to {name!r}", do="Rename the attachment"
        )
    return path


class ExportClient:
    """Asks an export process for pages, one after the other.

    Args:
        connection: a connected stream socket whose other end is the process's descriptor 0. The client closes
            it, which ends the process.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._lock = asyncio.Lock()
        self._ids = itertools.count(1)

    async def __aenter__(self) -> Self:
        self._connection.setblocking(False)
        self._streams = await asyncio.open_connection(sock=self._connection, limit=_LINE_LIMIT)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._streams is not None:
            writer = self._streams[1]
            self._streams = None
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def convert(
        self,
        source_ipynb: Path,
        to: Target,
        out: Path,
        *,
        title: str | None = None,
        folder: Path | None = None,
        remove_cells: Iterable[str] = (),
        links: Mapping[str, str] | None = None,
        writer: Writer | None = None,
    ) -> list[Path]:
        """Have a rendered notebook written as a page; see :func:`convert`.

        Cancelling gives up waiting; the page may still appear, and the next request is not disturbed.

        Raises:
            OutputError: the page could not be made.
            ExporterGone: the process is gone or silent.
        """
        request = {
            "id": next(self._ids),
            "source_ipynb": _whole(source_ipynb),
            "to": to,
            "out": _whole(out),
            "title": title,
            "folder": _whole(folder) if folder is not None else None,
            "remove_cells": list(remove_cells),
            "links": dict(links or {}),
            "within": None if writer is None or writer.is_private(out) else _whole(writer.folder),
            "overwrite": writer is not None and writer.overwrite,
            "kept": [] if writer is None else list(map(_whole, writer.kept(out.with_name(out.stem + FILES)))),
        }
        async with self._lock:
            try:
                reply = await self._ask(request)
            except (OSError, ValueError, EOFError, asyncio.LimitOverrunError) as error:
                what = f"{out} cannot be written"
                raise ExporterGone(what, why=f"the process that makes pages {_lost(error)}") from error
        if "error" in reply:
            raise OutputError(f"{out} cannot be made from {source_ipynb}", why=reply["error"])
        return [Path(name) for name in reply["files"]]

    async def _ask(self, request: JsonObject) -> JsonObject:
        if self._streams is None:
            raise ConnectionError("not connected")
        reader, writer = self._streams
        async with asyncio.timeout(SILENT):
            writer.write(json.dumps(request).encode() + b"\n")
            await writer.drain()
        while True:
            async with asyncio.timeout(SILENT):
                line = await reader.readuntil(b"\n")
            reply: JsonObject = json.loads(line)
            # A sign of life has none; the answer to a request whose caller was cancelled has another one.
            if reply.get("id") == request["id"]:
                return reply


def _lost(error: Exception) -> str:
    """Say why a process is not asked again."""
    if isinstance(error, TimeoutError):
        return f"has said nothing for {SILENT:g} s"
    return "says no end of words" if isinstance(error, asyncio.LimitOverrunError) else "ended"


def _whole(path: Path) -> str:
    """Return ``path`` so that a process with another working directory finds it."""
    return str(path.absolute())


def _page_exporter(notebook: JsonObject, folder: Path | None) -> Any:
    from moorage.notebooks.output.page_exporter import PageExporter

    return PageExporter(raw_template=_template(notebook), embed_images=folder is not None)


def _with_images(notebook: JsonObject, folder: Path | None) -> JsonObject:
    """Return the notebook with the images embedded that HTML of outputs and raw cells shows."""
    if folder is None:
        return notebook
    from moorage.notebooks.output.page_exporter import with_images

    cells = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "raw":
            cell = {**cell, "source": with_images(_joined(cell["source"]), folder)}  # noqa: PLW2901 - a copy
        outputs = [_image_output(output, folder) for output in cell.get("outputs", ())]
        cells.append({**cell, "outputs": outputs} if outputs else cell)
    return {**notebook, "cells": cells}


def _image_output(output: JsonObject, folder: Path) -> JsonObject:
    from moorage.notebooks.output.page_exporter import with_images

    data = output.get("data")
    if not isinstance(data, dict) or "text/html" not in data:
        return output
    return {**output, "data": {**data, "text/html": with_images(_joined(data["text/html"]), folder)}}


def _template(notebook: JsonObject) -> str:
    """Return nbconvert's page without the network scripts that this notebook has no use for.

    By default every page loads require.js, MathJax and mermaid from a CDN. What is left is needed: widgets
    and scripts that call ``require``, formulas, diagrams.
    """
    markdown, other = _texts(notebook)
    widgets = bool(notebook.get("metadata", {}).get("widgets") is not None)
    needed = {
        "html_head_js_requirejs": widgets or bool(_REQUIRE.search(other)),
        "html_head_js_mathjax": bool(_MATH.search(markdown)),
        "html_head_js_mermaidjs": "mermaid" in markdown,
    }
    blocks = [f"{{% block {name} %}}{{% endblock %}}" for name, wanted in needed.items() if not wanted]
    loaded = "require requirejs define" if needed["html_head_js_requirejs"] else ""
    loaded += " MathJax" if needed["html_head_js_mathjax"] else ""
    blocks.append(_block("html_head_js", _cleared(markdown, f"{other}\n{loaded}") + "{{ super() }}"))
    blocks.append(_block("html_head_css", "{{ super() }}" + _WIDGET_FONT) if widgets else "")
    return "{% extends 'lab/index.html.j2' %}" + "".join(blocks)


def _block(name: str, content: str) -> str:
    return f"{{% block {name} %}}{content}{{% endblock %}}"


def _cleared(markdown: str, scripts: str) -> str:
    """Return a script that keeps elements from standing in for libraries.

    A heading "Bokeh" has the id ``Bokeh``, and so the page a global of that name, which Bokeh's scripts take
    for the library. A property of the window goes before elements:
    https://html.spec.whatwg.org/multipage/nav-history-apis.html#named-access-on-the-window-object
    """
    heading = r"^ {{0,3}}(?:#{{1,6}}[ \t]+)?{}[ \t#]*$"
    names = [
        name
        for name in _GLOBALS
        if name in scripts and re.search(heading.format(name), markdown, re.MULTILINE)
    ]
    return f"<script>{' = '.join(f'window.{name}' for name in names)} = undefined;</script>" if names else ""


def _texts(notebook: JsonObject) -> tuple[str, str]:
    """Return what may hold formulas, with mermaid's type where it is used; and what may hold scripts."""
    markdown: list[str] = []
    other: list[str] = []
    for cell in notebook.get("cells", []):
        if cell.get("cell_type") in ("markdown", "raw"):
            markdown.append(_joined(cell.get("source", "")))
            other.append(_joined(cell.get("source", "")))
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            kinds = ("text/markdown", "text/latex", "text/html")
            markdown += [_joined(data[mime]) for mime in kinds if mime in data]
            markdown += ["$" for mime in data if mime == "text/latex"]
            markdown += [mime for mime in data if mime == "text/vnd.mermaid"]
            other += [_joined(data[m]) for m in ("text/html", "application/javascript") if m in data]
    return "\n".join(markdown), "\n".join(other)


def _joined(text: object) -> str:
    return "".join(str(part) for part in text) if isinstance(text, list) else str(text)
