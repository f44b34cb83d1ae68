"""Writing notebooks in nbformat's layout, without nbformat.

A notebook that passes through unchanged is byte-identical with what Jupyter writes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import suppress

from moorage.errors import OutputError
from moorage.json_types import JsonObject
from moorage.notebooks.documents.ipynb import TRANSIENT

_quote = json.encoder.encode_basestring

_LONG = 1024 * 1024
_SPLIT_MIMES = frozenset({"application/javascript", "image/svg+xml"})


def dumps(notebook: JsonObject) -> bytes:
    """Write a notebook in nbformat's layout.

    Byte-identical with ``nbformat.writes(notebook, version=NO_CONVERT)`` and a newline: one space of
    indentation, sorted keys, texts as lists of lines, UTF-8. A lone surrogate, which UTF-8 cannot hold and at
    which nbformat fails, becomes its JSON escape and survives. The notebook is not changed.

    Raises:
        OutputError: it is nested too deeply.
        TypeError: it holds something JSON has no word for.
    """
    out = _Written()
    try:
        _put(out, _split_lines(notebook), "\n")
    except RecursionError:
        raise OutputError(
            "the notebook cannot be written",
            why="Something in its metadata or outputs is nested too deeply",
            do="See which cell shows it, or which tool wrote it",
        ) from None
    out.append("\n")
    return out.data()


class _Written:
    """What is written so far: bytes, since a notebook in characters as well would take its memory twice."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._bytes = io.BytesIO()
        self._length = 0

    def append(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
        if self._length > _LONG:
            self._settle()

    def data(self) -> bytes:
        self._settle()
        return self._bytes.getvalue()

    def _settle(self) -> None:
        # Outside strings the text is ASCII; inside a string backslashreplace writes exactly JSON's \udXXX.
        self._bytes.write("".join(self._parts).encode("utf-8", "backslashreplace"))
        self._parts.clear()
        self._length = 0


class _LongText(str):
    """A text that is written as lines, a part of them at a time: as a list they take thrice the memory."""

    __slots__ = ()

    def parts(self) -> Iterator[list[str]]:
        """Yield all its lines, some at a time."""
        start = 0
        while start < len(self):
            end = self.find("\n", start + _LONG) + 1 or len(self)
            yield self[start:end].splitlines(keepends=True)
            start = end


def _lines(text: str) -> list[str] | _LongText:
    return text.splitlines(keepends=True) if len(text) <= _LONG else _LongText(text)


def _split_lines(notebook: JsonObject) -> JsonObject:
    """Copy as much as needed to have the texts as lists of lines; payloads are shared, not copied."""
    metadata = {key: value for key, value in notebook["metadata"].items() if key not in TRANSIENT}
    return {**notebook, "metadata": metadata, "cells": [_split_cell(cell) for cell in notebook["cells"]]}


def _split_cell(cell: JsonObject) -> JsonObject:
    cell = dict(cell)
    cell["metadata"] = {key: value for key, value in cell["metadata"].items() if key != "trusted"}
    if isinstance(cell.get("source"), str):
        cell["source"] = _lines(cell["source"])
    if "attachments" in cell:
        cell["attachments"] = {key: _split_bundle(value) for key, value in cell["attachments"].items()}
    if cell["cell_type"] == "code":
        cell["outputs"] = [_split_output(output) for output in cell.get("outputs", ())]
    return cell


def _split_output(output: JsonObject) -> JsonObject:
    if output["output_type"] in {"execute_result", "display_data"}:
        return {**output, "data": _split_bundle(output.get("data", {}))}
    if output["output_type"] == "stream" and isinstance(output.get("text"), str):
        return {**output, "text": _lines(output["text"])}
    return output


def _split_bundle(bundle: JsonObject) -> JsonObject:
    return {
        mime: _lines(value)
        if isinstance(value, str) and (mime.startswith("text/") or mime in _SPLIT_MIMES)
        else value
        for mime, value in bundle.items()
    }


def _put(out: _Written, value: object, newline: str) -> None:
    """Append ``value`` as ``json.dumps(indent=1, sort_keys=True, ensure_ascii=False)`` writes it.

    The standard library writes indented JSON line by line in Python; a list of strings in one join makes
    notebooks with long texts several times faster.
    """
    if isinstance(value, dict) and value:
        inner = newline + " "
        before = "{" + inner
        for key in sorted(value):
            out.append(f"{before}{_quote(key) if isinstance(key, str) else _quote(json.dumps(key))}: ")
            _put(out, value[key], inner)
            before = "," + inner
        out.append(newline + "}")
    elif isinstance(value, (list, tuple)) and value:
        inner = newline + " "
        if isinstance(value[0], str):
            with suppress(TypeError):  # they are not all strings
                out.append(f"[{inner}{(',' + inner).join(map(_quote, value))}{newline}]")
                return
        before = "[" + inner
        for item in value:
            out.append(before)
            _put(out, item, inner)
            before = "," + inner
        out.append(newline + "]")
    elif isinstance(value, _LongText):
        inner = newline + " "
        before = "[" + inner
        for lines in value.parts():
            out.append(before + ("," + inner).join(map(_quote, lines)))
            before = "," + inner
        out.append(newline + "]")
    elif isinstance(value, str):
        out.append(_quote(value))
    elif isinstance(value, bytes):  # base64, as nbformat takes it
        out.append(_quote(value.decode("ascii")))
    else:
        out.append(json.dumps(value, ensure_ascii=False))
