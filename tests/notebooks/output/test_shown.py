"""What a page refers to."""

from __future__ import annotations

import pytest

from moorage.notebooks.output.shown import shown_files


def notebook(*texts, mime=None):
    output = {"output_type": "display_data", "data": {mime: list(texts)}}
    code = {"cell_type": "code", "source": "![](no.png)", "outputs": [output] if mime else []}
    text = [] if mime else [{"cell_type": "markdown", "source": each} for each in texts]
    return {"cells": [code, *text]}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("![a](a.png) and ![b](../b.svg 'title')", ["../b.svg", "a.png"]),
        ("![a](<a b.png>) ![c](c%20d.png)", ["a b.png", "c d.png", "c%20d.png"]),
        ("![x][1]\n\n[1]: img/x.png", ["img/x.png"]),
        ("<img alt=x src='a.png'><IMG SRC=b.png><img src=\"c.png\">", ["a.png", "b.png", "c.png"]),
        ("![](a.png?v=1#x)", ["a.png", "a.png?v=1#x"]),
        ("![](https://x.org/a.png) ![](data:image/png;base64,xx) [up](#top) ![](attachment:a.png)", []),
        ("![](a(1).png)", ["a(1).png"]),
    ],
)
def test_relative_names_are_found(tmp_path, text, names):
    assert shown_files(notebook(text), tmp_path / "n") == sorted(
        (tmp_path / "n" / name).resolve() for name in names
    )


@pytest.mark.parametrize("mime", ["text/markdown", "text/html"])
def test_outputs_show_files_too(tmp_path, mime):
    assert shown_files(notebook('![](a.png) <img src="a.png">', mime=mime), tmp_path) == [tmp_path / "a.png"]


def test_what_is_no_text_shows_nothing(tmp_path):
    assert shown_files(notebook(None, 1, mime="text/html"), tmp_path) == []
    broken = {"cells": [{"cell_type": "code", "outputs": [{"data": 5}]}]}
    assert shown_files(broken, tmp_path) == []
