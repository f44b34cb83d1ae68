"""Where the configuration stands."""

from __future__ import annotations

import os

import pytest

from foreign_user import give_away
from moorage.configuration import nearest_table, read_table, searched
from moorage.errors import ConfigurationError


def test_the_nearest_file_counts_and_of_two_moorage_toml(tmp_path):
    below = tmp_path / "a/b"
    below.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.moorage]\nx = 1")
    assert nearest_table(below) == (tmp_path / "pyproject.toml", {"x": 1})
    (tmp_path / ".git").mkdir()
    (tmp_path / "a/pyproject.toml").write_text("[project]\nname = 'no table of ours'")
    assert nearest_table(below) == (tmp_path / "pyproject.toml", {"x": 1})
    (tmp_path / "a/pyproject.toml").write_text("[tool.moorage]\nx = 2")
    (tmp_path / "a/moorage.toml").write_text("x = 3")
    assert nearest_table(below) == (tmp_path / "a/moorage.toml", {"x": 3})


def test_where_there_is_none(tmp_path):
    assert read_table(tmp_path / "moorage.toml") is None
    (tmp_path / "moorage.toml").mkdir()
    assert read_table(tmp_path / "moorage.toml") is None


@pytest.mark.parametrize("name", ["morage", "moorge", "mooragee", "Moorage"])
def test_a_mistyped_table_is_reported(tmp_path, name):
    (tmp_path / "pyproject.toml").write_text(f"[tool.{name}.render]\nout = 'site'")
    with pytest.raises(ConfigurationError, match=rf"\[tool\.{name}\].*Did you mean \[tool\.moorage\]"):
        nearest_table(tmp_path)


@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_mistyped_table_in_quotes_is_reported_too(tmp_path, quote):
    (tmp_path / "pyproject.toml").write_text(f"[tool.{quote}morage{quote}]\nquiet = true")
    with pytest.raises(ConfigurationError, match=r"\[tool\.morage\].*Did you mean \[tool\.moorage\]"):
        nearest_table(tmp_path)


@pytest.mark.parametrize("name", ["mooring", "storage", "mypy", "manage", "m", "moorage-docs"])
def test_tables_of_other_tools_are_theirs(tmp_path, name):
    (tmp_path / "pyproject.toml").write_text(f"[tool.{name}]\nx = 1")
    assert read_table(tmp_path / "pyproject.toml") is None


def test_what_is_no_toml_is_reported(tmp_path):
    for name, content in (("moorage.toml", "x ="), ("pyproject.toml", "[tool.moorage\n")):
        (tmp_path / name).write_text(content)
        with pytest.raises(ConfigurationError, match="no valid TOML"):
            read_table(tmp_path / name)
    (tmp_path / "pyproject.toml").write_text("moorage =")  # other tools report it
    assert read_table(tmp_path / "pyproject.toml") is None


def test_one_that_may_not_be_read_is_reported(tmp_path):
    path = tmp_path / "moorage.toml"
    path.write_text("")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_table(path)


def test_the_search_ends_at_the_root_of_the_project(tmp_path):
    below = tmp_path / "a/b/c"
    below.mkdir(parents=True)
    assert searched(below)[:3] == [below, below.parent, tmp_path / "a"]
    assert searched(below)[-1] == tmp_path.parents[-1]
    (tmp_path / "a/pyproject.toml").touch()
    (tmp_path / "moorage.toml").write_text("x = 1")
    assert searched(below)[-1] == tmp_path / "a"
    assert nearest_table(below) is None
    (tmp_path / ".git").touch()  # a work tree or a submodule: its root counts before that of a package in it
    assert searched(below)[-1] == tmp_path
    assert nearest_table(below) == (tmp_path / "moorage.toml", {"x": 1})


def test_the_search_ends_at_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "a"))
    below = tmp_path / "a/b"
    below.mkdir(parents=True)
    (tmp_path / "moorage.toml").write_text("x = 1")
    assert searched(below) == [below, tmp_path / "a"]
    assert nearest_table(below) is None


def test_a_pipe_is_no_configuration(tmp_path):
    os.mkfifo(tmp_path / "pyproject.toml")
    assert nearest_table(tmp_path) is None
    os.mkfifo(tmp_path / "moorage.toml")
    with pytest.raises(ConfigurationError) as caught:
        nearest_table(tmp_path)
    assert "no regular file" in caught.value.why


@pytest.mark.parametrize("name", ["moorage.toml", "pyproject.toml"])
@pytest.mark.parametrize("kind", ["table", "broken", "pipe"])
def test_what_another_user_planted_above_is_passed_over(tmp_path, name, kind):
    shared = tmp_path / "tmp"
    below = shared / "mine"
    below.mkdir(parents=True)
    shared.chmod(0o1777)
    path = shared / name
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_text("[tool.moorage]\nx = 1" if kind == "table" else "[tool.moorage]\nx = [")
    give_away(path)
    assert nearest_table(below) is None


@pytest.mark.parametrize("name", ["moorage.toml", "pyproject.toml"])
def test_the_checkout_of_another_user_is_refused_until_it_is_trusted(tmp_path, name, monkeypatch):
    """The root of a container in CI, where the checkout belongs to the machine's own user."""
    monkeypatch.delenv("MOORAGE_TRUST", raising=False)
    path = tmp_path / "checkout" / name
    (path.parent / "demos").mkdir(parents=True)
    path.write_text("[tool.moorage]\nx = 1")
    for each in (path.parent / "demos", path.parent, path):
        give_away(each)
    with pytest.raises(ConfigurationError, match="is not read") as caught:
        nearest_table(path.parent / "demos")
    assert "belongs to the user" in caught.value.why
    assert f"MOORAGE_TRUST={path.parent}" in caught.value.do
    monkeypatch.setenv("MOORAGE_TRUST", str(path.parent))
    assert nearest_table(path.parent / "demos") is not None


def test_a_pyproject_without_a_table_of_ours_may_belong_to_any_user(tmp_path):
    path = tmp_path / "pyproject.toml"
    path.write_text("[project]\ndependencies = ['moorage']")
    give_away(path)
    assert nearest_table(tmp_path) is None


def test_other_peoples_pipes_and_devices_are_passed_over(tmp_path):
    (tmp_path / "pyproject.toml").symlink_to("/dev/zero")
    assert read_table(tmp_path / "pyproject.toml") is None
