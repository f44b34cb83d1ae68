"""Where environments lie."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import replace

import pytest

from moorage.discovery.environment_folders import (
    EnvironmentFolder,
    environment_at,
    environment_folders,
    project_environments,
    project_folders,
)

UV = "uv = 0.8.0\n"


def found(made, **environ):
    around = replace(made.around, environ=made.environ | environ)
    # What the machine has under /opt is not the test's.
    return [each for each in environment_folders(around) if each.prefix.is_relative_to(made.home)]


def test_a_project_reaches_up_to_its_repository_else_to_its_manifest(tmp_path):
    inner = tmp_path / "a/b/c"
    inner.mkdir(parents=True)
    assert project_folders(inner)[0] == inner
    (inner.parent / "pyproject.toml").touch()
    assert project_folders(inner) == [inner, inner.parent]
    (tmp_path / "a/.git").touch()  # of a worktree it is a file
    assert project_folders(inner) == [inner, inner.parent, tmp_path / "a"]


def test_a_folder_without_a_project_is_looked_at_alone():
    assert [str(each) for each in project_folders(at_nowhere())] == ["/nowhere/at/all"]


def at_nowhere():
    from pathlib import Path

    return Path("/nowhere/at/all")


def test_the_projects_own_come_first_nearest_first(made):
    (made.home / "work/.git").mkdir()
    inner = made.venv(".venv", marker=UV)
    outer = made.venv(made.home / "work/venv")
    users = made.venv(made.home / ".virtualenvs/old")
    assert found(made) == [
        EnvironmentFolder(inner, "uv", ".venv", made.project),
        EnvironmentFolder(outer, "venv", "venv", made.home / "work"),
        EnvironmentFolder(users, "venv", "old"),
    ]
    assert project_environments(made.project) == (str(inner), str(outer))


def test_the_usual_places(made):
    work = made.venv(made.home / "elsewhere/w")
    pyenv = made.venv(made.home / ".pyenv/versions/3.12.4")
    (pyenv / "pyvenv.cfg").unlink()
    base = made.conda(made.home / "miniforge3")
    (base / "condabin").mkdir()
    science = made.conda(made.home / "miniforge3/envs/science")
    listed = made.conda(made.home / "far/away")
    (made.home / ".conda").mkdir()
    (made.home / ".conda/environments.txt").write_text(f"{listed}\n\n/gone\nrelative\n{science}\n")
    assert found(made, WORKON_HOME=str(work.parent)) == [
        EnvironmentFolder(work, "venv", "w"),
        EnvironmentFolder(pyenv, "pyenv", "3.12.4"),
        EnvironmentFolder(listed, "conda", "away"),
        EnvironmentFolder(science, "conda", "science"),
        EnvironmentFolder(base, "conda", "base"),
    ]


def test_what_variables_say(made):
    active = made.venv(made.home / "active")
    mamba = made.conda(made.home / "mm/envs/a")
    conda = made.conda(made.home / "root")
    (conda / "envs").mkdir()
    other = made.conda(made.home / "more/b")
    names = {
        "VIRTUAL_ENV": str(active),
        "MAMBA_ROOT_PREFIX": str(mamba.parent.parent),
        "CONDA_EXE": str(conda / "bin/conda"),
        "CONDA_ENVS_DIRS": str(other.parent),
        "CONDA_PREFIX": "relative",
    }
    assert [each.name for each in found(made, **names)] == ["active", "a", "base", "b"]


def test_pixi(made):
    default = made.conda(".pixi/envs/default")
    docs = made.conda(".pixi/envs/docs")
    assert found(made) == [
        EnvironmentFolder(default, "pixi", "default", made.project),
        EnvironmentFolder(docs, "pixi", "docs", made.project),
    ]
    assert environment_at(docs) == EnvironmentFolder(docs, "pixi", "docs", made.project)


@pytest.mark.parametrize("where", ["default", "variable", "poetry.toml", "cache"])
def test_poetry_keeps_them_elsewhere_by_the_projects_path(made, where):
    (made.project / "pyproject.toml").write_text("[tool.poetry]\nname = 'Proj'")
    digest = base64.urlsafe_b64encode(hashlib.sha256(os.fsencode(os.path.realpath(made.project))).digest())
    environ = {}
    home = made.home / ".cache/pypoetry/virtualenvs"
    if where == "variable":
        home = made.home / "vs"
        environ = {"POETRY_VIRTUALENVS_PATH": str(home)}
    elif where == "cache":
        home = made.home / "c/virtualenvs"
        environ = {"POETRY_CACHE_DIR": str(made.home / "c")}
    elif where == "poetry.toml":
        home = made.home / ".cache/pypoetry/here"
        (made.project / "poetry.toml").write_text('[virtualenvs]\npath = "{cache-dir}/here"')
    mine = made.venv(home / f"proj-{digest.decode()[:8]}-py3.12")
    made.venv(home / "other-12345678-py3.12")
    assert found(made, **environ) == [EnvironmentFolder(mine, "poetry", mine.name, made.project)]


def test_poetrys_own_way_of_naming_is_known(made):
    # https://python-poetry.org/docs/configuration/#virtualenvsin-project
    (made.project / "poetry.lock").touch()
    inside = made.venv(".venv", marker=UV)
    assert found(made) == [EnvironmentFolder(inside, "poetry", ".venv", made.project)]


def test_configured_paths_are_environments_or_hold_them(made):
    one = made.venv(made.home / "one")
    two = made.venv(made.home / "all/two")
    (made.home / "all/file").touch()
    around = replace(made.around, paths=(one, two.parent, made.home / "gone"))
    assert [each.prefix for each in environment_folders(around)][:2] == [one, two]


def test_each_is_found_once_by_the_nearest_of_its_names(made):
    real = made.venv(made.home / ".virtualenvs/real")
    (made.project / ".venv").symlink_to(real)
    assert [each.name for each in found(made, VIRTUAL_ENV=str(real))] == ["real"]
    assert [each.name for each in found(made)] == [".venv"]


def test_the_active_one_of_a_project_belongs_to_it(made):
    prefix = made.venv(".venv")
    assert found(made, VIRTUAL_ENV=str(prefix)) == [EnvironmentFolder(prefix, "venv", ".venv", made.project)]


def test_what_is_broken_is_passed_over(made):
    (made.project / "venv").symlink_to("gone")
    (made.project / "env").symlink_to("env")  # to itself
    (made.project / ".venv").mkdir()
    (made.home / ".virtualenvs").touch()
    (made.home / ".conda").mkdir()
    (made.home / ".conda/environments.txt").write_bytes(b"/\xff\xfe\n/a\0b\n")
    (made.project / "pyproject.toml").write_bytes(b"[tool.poetry\xff")
    (made.project / "poetry.toml").write_text("virtualenvs = 3")
    assert found(made) == []


def test_what_may_not_be_looked_into_is_passed_over(made):
    hidden = made.venv(".venv")
    hidden.chmod(0)
    (made.home / ".virtualenvs").mkdir(mode=0)
    if os.access(hidden, os.R_OK):
        pytest.skip("this user may look everywhere")
    try:
        assert found(made) == []
    finally:
        hidden.chmod(0o700)
        (made.home / ".virtualenvs").chmod(0o700)
