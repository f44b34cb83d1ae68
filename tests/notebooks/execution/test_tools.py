"""Versions and configuration of what reads documents and makes pages."""

from __future__ import annotations

import os

import jupytext.config
import pytest

from command import write
from moorage.notebooks.execution.tools import CONFIGURATIONS, Tools


def reading(folder, source="a/b/x.py", **environ):
    return Tools({"HOME": str(folder / "home"), **environ}).reading(folder / source)


def test_the_names_are_jupytexts():
    assert set(CONFIGURATIONS) == set(jupytext.config.JUPYTEXT_CONFIG_FILES)


@pytest.mark.parametrize(
    "name", ["a/b/jupytext.toml", "a/.jupytext.py", "home/.config/jupytext/jupytext.yml"]
)
def test_a_configuration_that_counts_is_seen_to_change(tmp_path, name):
    seen = [reading(tmp_path)]
    for text in ("one", "two"):
        write(tmp_path, {name: text})
        seen.append(reading(tmp_path))
    assert len({repr(each) for each in seen}) == 3


def test_of_a_pyproject_only_the_table_of_jupytext_counts(tmp_path):
    before = reading(tmp_path)
    for text, same in (
        ("[tool.x]\ny = 'jupytext'", True),
        ("[tool.jupytext]\nformats = 'ipynb,py'", False),
        ("not [ jupytext", True),
    ):
        write(tmp_path, {"a/pyproject.toml": text})
        assert (reading(tmp_path) == before) is same


@pytest.mark.timeout(60)
def test_pipes_and_endless_files_are_none(tmp_path):
    before = reading(tmp_path)
    (tmp_path / "a/b").mkdir(parents=True)
    os.mkfifo(tmp_path / "a/pyproject.toml")
    os.mkfifo(tmp_path / "a/b/jupytext.toml")
    (tmp_path / "a/b/pyproject.toml").symlink_to("/dev/zero")
    (tmp_path / "a/.jupytext.py").symlink_to("/dev/zero")
    assert reading(tmp_path) == before


def test_notebooks_are_read_without_jupytext(tmp_path):
    write(tmp_path, {"jupytext.toml": ""})
    assert reading(tmp_path, "x.ipynb") == {}


def test_versions_are_told(tmp_path, monkeypatch):
    assert reading(tmp_path)["jupytext"] == jupytext.__version__
    assert Tools().pages()["nbconvert"]
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"another {name}")
    assert reading(tmp_path)["jupytext"] == "another jupytext"
    assert Tools({"JUPYTER_PATH": "/x"}).pages() == {**Tools({}).pages(), "JUPYTER_PATH": "/x"}


def test_templates_are_looked_for_where_jupyter_looks(tmp_path):
    from jupyter_core.paths import jupyter_path

    ours = {str(path) for path in Tools().templates()}
    environ = dict(os.environ)
    assert {each for each in jupyter_path("nbconvert", "templates") if ".venv" not in each} <= ours
    assert tmp_path / "nbconvert/templates" in Tools({**environ, "JUPYTER_PATH": str(tmp_path)}).templates()
