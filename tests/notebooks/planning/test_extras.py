"""Packages that a run needs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from moorage.errors import MissingExtra
from moorage.notebooks.planning.extras import check_extras
from moorage.notebooks.planning.settings import RenderSettings


@pytest.mark.parametrize(
    ("module", "names", "settings", "said"),
    [
        ("jupytext", ["a.ipynb", "b.py"], {}, "reading b.py needs jupytext (E-EXTRA). It is not installed"),
        ("nbconvert", ["a.ipynb"], {"to": ("ipynb", "html")}, "writing html needs nbconvert"),
        ("jinja2", ["a.ipynb"], {"report": Path("r.html")}, "--report needs jinja2"),
    ],
)
def test_what_is_missing_is_told_with_the_command_to_type(monkeypatch, module, names, settings, said):
    check_extras(names, RenderSettings(**settings), told=True)
    monkeypatch.setattr(sys, "path", [])  # as in an environment without it
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(MissingExtra) as caught:
        check_extras(names, RenderSettings(**settings), told=True)
    assert said in str(caught.value)
    assert "Type: pip install" in str(caught.value)
    check_extras(["a.ipynb"], RenderSettings(), told=True)


def test_a_program_gets_no_report_and_needs_nothing_for_it():
    check_extras(["a.ipynb"], RenderSettings(report=Path("r.html")), told=False)
