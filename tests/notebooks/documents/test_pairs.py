from __future__ import annotations

import json
from pathlib import Path

import pytest

from moorage.notebooks.documents.pairs import is_pair

PLAIN = "# %%\n1 + 1\n"


def put(
    folder: Path, *, text: str = PLAIN, metadata: dict | None = None, suffix: str = ".py"
) -> tuple[Path, Path]:
    paths = (folder / f"a{suffix}", folder / "a.ipynb")
    paths[0].write_text(text)
    notebook = {"cells": [], "metadata": metadata or {}, "nbformat": 4, "nbformat_minor": 5}
    paths[1].write_text(json.dumps(notebook))
    return paths


def header(formats: str) -> str:
    return f"# ---\n# jupyter:\n#   jupytext:\n#     formats: {formats}\n# ---\n\n{PLAIN}"


@pytest.mark.parametrize(
    ("formats", "paired"),
    [
        ("ipynb,py", True),
        ("ipynb,py:percent", True),
        ("py:light,ipynb", True),
        ("ipynb,auto:percent", True),
        ("ipynb,md", False),
        ("ipynb", False),
        ("notebooks//ipynb,scripts//py", False),
        ("ipynb,.pct.py:percent", False),
    ],
)
def test_either_of_the_two_may_pair_them(tmp_path, formats, paired):
    assert is_pair(*put(tmp_path, metadata={"jupytext": {"formats": formats}})) == paired
    assert is_pair(*put(tmp_path, text=header(formats))) == paired
    assert is_pair(*put(tmp_path, text=header(f'"{formats}"'))) == paired


def test_a_text_that_jupytext_wrote_once_is_half_of_no_pair(tmp_path):
    text = header("x").replace("formats: x", "text_representation:\n#       extension: .py")
    assert not is_pair(*put(tmp_path, text=text))
    assert not is_pair(*put(tmp_path, metadata={"jupytext": {"text_representation": {"extension": ".py"}}}))


@pytest.mark.parametrize(
    ("formats", "paired"),
    [
        ('"ipynb,py:percent"', True),
        ('"ipynb,md:myst"', False),
        ('{"notebooks/" = "ipynb", "scripts/" = "py:percent"}', False),
    ],
)
@pytest.mark.parametrize(
    ("file", "line"),
    [("jupytext.toml", "formats = {}\n"), ("pyproject.toml", "[tool.jupytext]\nformats = {}\n")],
)
def test_the_configuration_of_jupytext_pairs_them(tmp_path, file, line, formats, paired):
    (tmp_path / file).write_text(line.format(formats))
    (tmp_path / "docs").mkdir()
    assert is_pair(*put(tmp_path / "docs")) == paired


def test_what_cannot_be_read_pairs_nothing(tmp_path):
    text, notebook = put(tmp_path)
    notebook.write_text('{"jupytext"')
    text.write_bytes(b"\xff\xfe")
    (tmp_path / "jupytext.toml").write_text("formats = ")
    assert not is_pair(text, notebook)
    assert not is_pair(tmp_path / "gone.py", tmp_path / "gone.ipynb")
