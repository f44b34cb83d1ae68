"""Where the configuration stands."""

from __future__ import annotations

import os

import pytest

from moorage.configuration import nearest_table, read_table
from moorage.errors import ConfigurationError


def test_the_nearest_file_counts_and_of_two_moorage_toml(tmp_path):
    below = tmp_path / "a/b"
    below.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.moorage]\nx = 1")
    assert nearest_table(below) == (tmp_path / "pyproject.toml", {"x": 1})
    (tmp_path / "a/pyproject.toml").write_text("[project]\nname = 'no table of ours'")
    assert nearest_table(below) == (tmp_path / "pyproject.toml", {"x": 1})
    (tmp_path / "a/pyproject.toml").write_text("[tool.moorage]\nx = 2")
    (tmp_path / "a/moorage.toml").write_text("x = 3")
    assert nearest_table(below) == (tmp_path / "a/moorage.toml", {"x": 3})


def test_where_there_is_none(tmp_path):
    assert read_table(tmp_path / "moorage.toml") is None
    (tmp_path / "moorage.toml").mkdir()
    assert read_table(tmp_path / "moorage.toml") is None


def test_what_is_no_toml_is_told(tmp_path):
    for name, content in (("moorage.toml", "x ="), ("pyproject.toml", "[tool.moorage\n")):
        (tmp_path / name).write_text(content)
        with pytest.raises(ConfigurationError, match="no valid TOML"):
            read_table(tmp_path / name)
    (tmp_path / "pyproject.toml").write_text("moorage =")  # somebody else's to tell
    assert read_table(tmp_path / "pyproject.toml") is None


def test_one_that_may_not_be_read_is_told(tmp_path):
    path = tmp_path / "moorage.toml"
    path.write_text("")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_table(path)
