"""Writing notebooks in nbformat's layout, without nbformat.

A notebook that passes through unchanged is byte-identical with what Jupyter writes.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from moorage.render.documents.ipynb import TRANSIENT

_quote = json.encoder.encode_basestring

_SPLIT_MIMES = frozenset({"application/javascript", "image/svg+xml"})


def dumps(notebook: dict[str, Any]) -> bytes:
    """Write a notebook in nbformat's layout.

    Byte-identical with ``nbformat.writes(notebook, version=NO_CONVERT)`` and a newline: one space of
    indentation, sorted keys, texts as lists of lines, UTF-8. A lone surrogate, which UTF-8 cannot hold and at
    which nbformat fails, becomes its JSON escape and survives. The notebook is not changed.

    Raises:
        TypeError: it holds something JSON has no word for.
    """
    out: list[str] = []
    _put(out, _split_lines(notebook), "\n")
    out.append("\n")
    # Outside strings the text is ASCII; inside a string backslashreplace writes exactly JSON's \udXXX.
    return "".join(out).encode("utf-8", "backslashreplace")


def _split_lines(notebook: dict[str, Any]) -> dict[str, Any]:
    """Copy as much as needed to have the texts as lists of lines; payloads are shared, not copied."""
    metadata = {key: value for key, value in notebook["metadata"].items() if key not in TRANSIENT}
    return {**notebook, "metadata": metadata, "cells": [_split_cell(cell) for cell in notebook["cells"]]}


def _split_cell(cell: dict[str, Any]) -> dict[str, Any]:
    cell = dict(cell)
    cell["metadata"] = {key: value for key, value in cell["metadata"].items() if key != "trusted"}
    if isinstance(cell.get("source"), str):
        cell["source"] = cell["source"].splitlines(keepends=True)
    if "attachments" in cell:
        cell["attachments"] = {key: _split_bundle(value) for key, value in cell["attachments"].items()}
    if cell["cell_type"] == "code":
        cell["outputs"] = [_split_output(output) for output in cell.get("outputs", ())]
    return cell


def _split_output(output: dict[str, Any]) -> dict[str, Any]:
    if output["output_type"] in {"execute_result", "display_data"}:
        return {**output, "data": _split_bundle(output.get("data", {}))}
    if output["output_type"] == "stream" and isinstance(output.get("text"), str):
        return {**output, "text": output["text"].splitlines(keepends=True)}
    return output


def _split_bundle(bundle: dict[str, Any]) -> dict[str, Any]:
    return {
        mime: value.splitlines(keepends=True)
        if isinstance(value, str) and (mime.startswith("text/") or mime in _SPLIT_MIMES)
        else value
        for mime, value in bundle.items()
    }


def _put(out: list[str], value: Any, newline: str) -> None:
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
    elif isinstance(value, str):
        out.append(_quote(value))
    elif isinstance(value, bytes):  # base64, as nbformat takes it
        out.append(_quote(value.decode("ascii")))
    else:
        out.append(json.dumps(value, ensure_ascii=False))
