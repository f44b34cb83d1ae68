"""Outputs that need an extension of JupyterLab, in a page."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest

from moorage.notebooks.output.showable import WIDGET_STATE, WIDGET_VIEW, showable
from notebooks.made_up import notebook

PLOTLY = "application/vnd.plotly.v1+json"
VEGA = "application/vnd.vegalite.v5+json"


def shown(data, **metadata):
    whole = notebook(data=data)
    whole["metadata"] = metadata
    before = deepcopy(whole)
    (result,) = [cell["outputs"][0]["data"] for cell in showable(whole)["cells"] if cell.get("outputs")]
    assert whole == before
    return result


@pytest.mark.parametrize(
    ("kind", "call", "module"),
    [
        (PLOTLY, "Plotly.newPlot(place, [", "plotly.js-dist-min@3"),
        (VEGA, "embed(place, {", "vega-embed@7"),
        ("application/vnd.vegalite.v6.json", "embed(place, {", "vega-embed@7"),
    ],
)
def test_plots_are_drawn_by_their_libraries(kind, call, module):
    content = {"data": [{"x": ["</script><script>alert(1)"]}], "layout": {}}
    text = shown({kind: content, "text/plain": "Figure()"})["text/html"]
    assert text == shown({kind: json.dumps(content)})["text/html"]
    assert call in text
    assert module in text
    assert text.count("</script>") == 1
    assert "<script>alert" not in text


def test_a_figure_of_plotly_follows_the_window_unless_it_says_otherwise():
    assert '{"responsive": true}' in shown({PLOTLY: {}})["text/html"]
    assert '{"responsive": false}' in shown({PLOTLY: {"config": {"responsive": False}}})["text/html"]


def test_what_a_page_can_show_stays():
    for data in ({PLOTLY: {}, "text/html": "x"}, {PLOTLY: {}, "image/png": "x"}, {"text/plain": "x"}):
        assert shown(data) == data


def test_what_a_page_cannot_show_says_so():
    for text in ("no figure", "[1]", "[" * 100_000):
        assert shown({"application/vnd.vegalite.v6.json": text, "text/plain": "x"}) == {
            "application/vnd.vegalite.v6.json": text,
            "text/plain": "x",
        }
    assert shown({"application/x-foo": {}})["text/plain"] == "[A page cannot show application/x-foo.]"
    assert shown({"application/x-foo": {}, "text/plain": "Foo()"})["text/plain"] == "Foo()"


def test_widgets_without_a_state_say_so_and_others_stay():
    view = {WIDGET_VIEW: {"model_id": "m"}, "text/plain": "IntSlider()"}
    assert "state was not saved" in shown(view)["text/plain"]
    assert shown({**view, "text/html": "x"}) == {"text/plain": "IntSlider()", "text/html": "x"}
    assert shown(view, widgets={WIDGET_STATE: {"state": {"m": {}}}}) == view
