"""What the configuration says about discovery."""

from __future__ import annotations

from pathlib import Path

import pytest

from moorage.discovery import KernelSpec, KernelType
from moorage.discovery.settings import DiscoverySettings, load_settings
from moorage.errors import ConfigurationError


def kernel_type(name, where=""):
    return KernelType(KernelSpec(name, (), "", "", provider="env"), where=where)


def test_paths_count_from_the_files_folder_and_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/h")
    (tmp_path / "moorage.toml").write_text(
        '[discovery]\npaths = ["envs", "~/e", "/abs"]\nexclude = "~/old/*"\ninclude = ["spec/*"]'
    )
    (tmp_path / "below").mkdir()
    assert load_settings(tmp_path / "below") == DiscoverySettings(
        paths=(tmp_path / "envs", Path("/h/e"), Path("/abs")), include=("spec/*",), exclude=("/h/old/*",)
    )


def test_without_a_table_everything_is_listed(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.moorage.render]\njobs = 2")
    assert load_settings(tmp_path) == DiscoverySettings()
    (tmp_path / "pyproject.toml").write_text("[tool.moorage.discovery]\nexclude = 'x'")
    assert load_settings(tmp_path) == DiscoverySettings(exclude=("x",))
    assert DiscoverySettings().lists(kernel_type("x"))


@pytest.mark.parametrize(
    ("include", "exclude", "listed"),
    [
        ((), ("env/old-*",), ["new"]),
        ((), ("/opt/*",), ["new"]),
        (("env/new", "spec/*"), (), ["new"]),
        (("env/*",), ("*old*",), ["new"]),
        (("spec/*",), (), []),
    ],
)
def test_patterns_are_of_names_or_places(include, exclude, listed):
    settings = DiscoverySettings(include=include, exclude=exclude)
    types = [kernel_type("old-1", "/opt/old-1"), kernel_type("new", "/home/new")]
    assert [each.spec.name for each in types if settings.lists(each)] == listed


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("discovery = 3", "a table"),
        ("[discovery]\npath = []", "Did you mean paths"),
        ("[discovery]\nzzz = []", "Known are"),
        ("[discovery]\npaths = 3", "a list of texts"),
        ('[discovery]\npaths = [""]', "a list of texts"),
    ],
)
def test_what_cannot_be_is_reported(tmp_path, text, says):
    (tmp_path / "moorage.toml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path)
    assert says in str(caught.value)
    assert "moorage.toml: discovery" in str(caught.value)
