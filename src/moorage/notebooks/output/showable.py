"""Outputs that only JupyterLab's extensions can show, made into what a page can show, or a word on why not.

Plots of plotly and Vega are drawn by their own libraries, loaded from a CDN as modules, so that an AMD loader
in the page (require.js) changes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from moorage.json_types import JsonMapping, JsonObject

WIDGET_VIEW: Final = "application/vnd.jupyter.widget-view+json"
WIDGET_STATE: Final = "application/vnd.jupyter.widget-state+json"
_SHOWN: Final = re.compile(
    r"image/(?:png|jpeg|svg\+xml)|text/(?:html|markdown|latex|vnd\.mermaid)|application/javascript"
)
"""What nbconvert's page shows, beside plain text and widgets."""
_PLOTLY: Final = "application/vnd.plotly.v1+json"
_VEGA: Final = re.compile(r"application/vnd\.vega(?:lite)?\.v\d+(?:\.\d+)*[.+]json")


def showable(notebook: JsonMapping) -> JsonObject:
    """Return the notebook so that a page shows each of its outputs, or says why not.

    Args:
        notebook: nbformat-4 dicts, which are not changed.
    """
    metadata = notebook.get("metadata", {}).get("widgets", {})
    states = metadata.get(WIDGET_STATE, {}).get("state", {}) if isinstance(metadata, Mapping) else {}
    cells = []
    for number, cell in enumerate(notebook["cells"]):
        outputs = [
            _output(output, states, f"{number}-{at}") for at, output in enumerate(cell.get("outputs", []))
        ]
        cells.append({**cell, "outputs": outputs} if outputs else cell)
    return {**notebook, "cells": cells}


def _output(output: JsonMapping, states: JsonMapping, name: str) -> JsonMapping:
    data = output.get("data")
    if not isinstance(data, Mapping) or not data:
        return output
    view = data.get(WIDGET_VIEW)
    if isinstance(view, Mapping) and view.get("model_id") not in states:
        data = {kind: content for kind, content in data.items() if kind != WIDGET_VIEW}
        if not data.keys() - {"text/plain"}:
            data = {"text/plain": "[A widget, whose state was not saved: run the notebook to see it.]"}
    elif view is None and not any(_SHOWN.fullmatch(kind) for kind in data):
        data = {**data, **_instead(data, name)}
    return {**output, "data": data}


def _instead(data: JsonMapping, name: str) -> dict[str, str]:
    """Return what a page shows of a bundle in which nothing is for pages."""
    for kind, content in data.items():
        if kind != _PLOTLY and not _VEGA.fullmatch(kind):
            continue
        figure = _figure(content)
        if figure is not None:
            return {"text/html": _plotly(figure, name) if kind == _PLOTLY else _vega(figure, name)}
    return {} if "text/plain" in data else {"text/plain": f"[A page cannot show {', '.join(data)}.]"}


def _figure(content: object) -> JsonMapping | None:
    """Return a figure; a type whose name does not end in ``+json``, as Altair's, has it as a text."""
    if isinstance(content, str):
        try:
            content = json.loads(content)
        except (ValueError, RecursionError):
            return None
    return content if isinstance(content, Mapping) else None


def _plotly(figure: JsonMapping, name: str) -> str:
    config = figure.get("config")
    # As plotly's own pages have it: a figure that was drawn at one width does not follow the window.
    config = {"responsive": True, **config} if isinstance(config, Mapping) else {"responsive": True}
    parts = [_json(figure.get("data") or []), _json(figure.get("layout") or {}), _json(config)]
    return _module(
        f"plotly-{name}",
        'import Plotly from "https://cdn.jsdelivr.net/npm/plotly.js-dist-min@3/+esm";',
        f"Plotly.newPlot(place, {', '.join(parts)});",
    )


def _vega(figure: JsonMapping, name: str) -> str:
    return _module(
        f"vega-{name}",
        'import embed from "https://cdn.jsdelivr.net/npm/vega-embed@7/+esm";',
        f"embed(place, {_json(figure)});",
    )


def _module(name: str, load: str, draw: str) -> str:
    find = f'const place = document.getElementById("{name}");'
    return f'<div id="{name}"></div>\n<script type="module">\n{load}\n{find}\n{draw}\n</script>'


def _json(value: object) -> str:
    """Return JSON that can stand within ``<script>``, where ``</script`` and ``<!--`` would be markup."""
    return json.dumps(value).replace("<", "\\u003c")
