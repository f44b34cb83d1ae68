"""Kernels inside environments."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from foreign_user import give_away
from moorage.discovery import environments
from moorage.discovery.activation import Activation
from moorage.discovery.environment_folders import EnvironmentFolder, environment_at
from moorage.discovery.environments import get, has_ipykernel, install_command, python_version

UV = "uv = 0.8.0\n"


def look(made):
    # What the machine has under /opt is not the test's.
    return [each for each in environments.look(made.around) if str(made.home) in each.where]


def names(made):
    return [each.name for each in look(made)]


def test_the_python_of_an_environment_is_launched_inside_it(made):
    prefix = made.venv(".venv")
    (only,) = look(made)
    assert (only.name, only.lack, only.where) == ("env/.venv", None, str(prefix))
    assert only.spec.argv == (
        str(prefix / "bin/python"),
        "-m",
        "ipykernel_launcher",
        "-f",
        "{connection_file}",
    )
    assert only.spec.display_name == "Python 3.12 (.venv)"
    assert only.spec.activation == Activation(prefix, "venv", ".venv")
    assert only.spec.environment({"PATH": "/bin"})["VIRTUAL_ENV"] == str(prefix)


@pytest.mark.parametrize(
    ("prefix", "marker", "says"),
    [
        (".venv", UV, "uv pip install --python {prefix} ipykernel"),
        ("venv", "", "{prefix}/bin/python -m ensurepip && {prefix}/bin/python -m pip install ipykernel"),
    ],
)
def test_without_ipykernel_it_says_how_to_get_it(made, prefix, marker, says):
    prefix = made.venv(prefix, marker=marker, ipykernel=False)
    (only,) = look(made)
    assert only.lack.why == "it has no ipykernel"
    assert only.lack.do == "Type: " + says.format(prefix=prefix)


def test_the_command_is_that_of_the_tool_that_made_it(made, monkeypatch):
    monkeypatch.setattr(environments, "_conda_program", lambda: "conda")
    project = made.project
    assert (
        install_command(EnvironmentFolder(project / ".venv", "poetry", "x"))
        == "poetry add --group dev ipykernel"
    )
    assert install_command(EnvironmentFolder(project / "x", "pixi", "x", project)) == "pixi add ipykernel"
    assert (
        install_command(EnvironmentFolder(project / "envs/x", "conda", "x")) == "conda install -n x ipykernel"
    )
    elsewhere = Path("/some where/x")
    assert (
        install_command(EnvironmentFolder(elsewhere, "conda", "x"))
        == "conda install -p '/some where/x' ipykernel"
    )
    with_pip = made.venv("v")
    (with_pip / "lib/python3.12/site-packages/pip").mkdir()
    assert (
        install_command(EnvironmentFolder(with_pip, "venv", "v"))
        == f"{with_pip}/bin/python -m pip install ipykernel"
    )


def test_an_interpreter_that_is_gone_is_reported(made):
    prefix = made.venv(".venv", marker=UV)
    (prefix / "bin/python").unlink()
    (prefix / "bin/python").symlink_to("/gone/python3.9")
    (only,) = look(made)
    assert only.lack.why == "its interpreter is gone: /gone/python3.9"
    assert only.lack.do == f"Make it anew: uv venv --clear {prefix}"
    (prefix / "bin/python").unlink()
    assert "its interpreter is gone" in look(made)[0].lack.why


def test_other_kernels_of_an_environment_are_launched_inside_it_too(made):
    prefix = made.conda(made.home / "miniconda3/envs/stats")
    own = made.kernel(prefix, "python3", ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"])
    made.kernel(prefix, "ir", ["R", "--args", "{connection_file}"])
    made.kernel(prefix, "bash", ["python", "-m", "bash_kernel", "{connection_file}"], "bash")
    made.kernel(prefix, "broken", [])
    python, bash, r = look(made)
    assert [python.name, bash.name, r.name] == ["env/stats", "env/stats/bash", "env/stats/ir"]
    assert python.spec.resource_dir == own
    assert bash.spec.argv[0] == str(prefix / "bin/python")
    assert r.spec.argv[0] == "R"
    assert r.spec.display_name == "IR (stats)"
    assert r.spec.environment({})["PATH"].startswith(f"{prefix}/bin:")
    assert get("stats/ir", made.around) == r


def test_an_environment_without_python_may_have_kernels_all_the_same(made):
    prefix = made.conda(made.home / "miniconda3/envs/r", python=False)
    made.conda(made.home / "miniconda3/envs/nothing", python=False)
    made.kernel(prefix, "ir", ["R", "{connection_file}"])
    assert names(made) == ["env/r/ir"]


def test_pixis_environments_know_their_project(made):
    prefix = made.conda(".pixi/envs/default", ipykernel=False)
    (only,) = look(made)
    assert only.spec.activation == Activation(prefix, "conda", "default", made.project)
    assert only.lack.do == "Type: pixi add ipykernel"


def test_two_alike_are_kept_apart_and_the_nearer_keeps_the_name(made):
    (made.home / "work/.git").mkdir()
    inner, outer = made.venv(".venv"), made.venv(made.home / "work/.venv")
    one = made.conda(made.home / "miniconda3/envs/w")
    two = made.conda(made.home / "miniforge3/envs/w")
    for base in (one, two):
        made.conda(base.parent.parent / "x/..")
    named = {each.name: Path(each.where) for each in look(made)}
    assert named["env/.venv"] == inner
    assert named["env/work/.venv"] == outer
    assert named["env/w"] == one
    assert named["env/miniforge3/w"] == two
    assert named["env/base"] == one.parent.parent
    assert named["env/miniforge3/base"] == two.parent.parent
    assert get("work/.venv", made.around).where == str(outer)


@pytest.mark.parametrize("written", ["./.venv", "{prefix}", "~/work/proj/.venv", "../proj/.venv"])
def test_a_path_is_a_name_too(made, monkeypatch, written):
    monkeypatch.setenv("HOME", str(made.home))
    prefix = made.venv(".venv")
    found = get(written.format(prefix=prefix), made.around)
    assert found.name == f"env/{prefix}"
    assert found.spec.activation.prefix == prefix


def test_a_kernel_by_its_environments_path(made):
    prefix = made.conda("c")
    made.kernel(prefix, "ir", ["R", "{connection_file}"])
    assert get(f"{prefix}/ir", made.around).spec.argv == ("R", "{connection_file}")
    assert get(f"{prefix}/no", made.around) is None
    assert get("/nowhere", made.around) is None
    assert get("nowhere", made.around) is None


def test_interpreters_of_pyenv_are_listed_when_they_can_run_something(made):
    for version, ipykernel in (("3.11.1", False), ("3.12.4", True)):
        prefix = made.venv(made.home / ".pyenv/versions" / version, ipykernel=ipykernel)
        (prefix / "pyvenv.cfg").unlink()
    assert names(made) == ["env/3.12.4"]
    assert get("3.11.1", made.around).lack.do.endswith("pip install ipykernel")


def test_kernelspecs_of_moorages_own_environment_are_not_listed_twice(made, monkeypatch):
    prefix = made.venv(".venv")
    made.kernel(prefix, "ir", ["R", "{connection_file}"])
    monkeypatch.setattr(sys, "prefix", str(prefix))
    assert names(made) == ["env/.venv"]
    assert get(".venv/ir", made.around).name == "env/.venv/ir"


@pytest.mark.parametrize("record", ["ipykernel_launcher.py", "ipykernel-7.0.dist-info"])
def test_ipykernel_is_known_by_its_module_or_its_record(made, record):
    prefix = made.venv("v", ipykernel=False)
    assert not has_ipykernel(prefix)
    (prefix / "lib/python3.12/site-packages" / record).touch()
    assert has_ipykernel(prefix)


def test_ipykernel_of_the_system_counts_where_the_environment_sees_it(made, tmp_path):
    system = tmp_path / "usr"
    packages = system / "lib/python3/dist-packages"
    packages.mkdir(parents=True)
    (packages / "ipykernel_launcher.py").touch()
    prefix = made.venv("v", ipykernel=False)
    for sees in ("false", "true"):
        text = f"home = {system}/bin\ninclude-system-site-packages = {sees}\n"
        (prefix / "pyvenv.cfg").write_text(text)
        assert has_ipykernel(prefix) is (sees == "true")


def test_versions(made):
    prefix = made.venv("v")
    assert python_version(environment_at(prefix)) == "3.12"
    (prefix / "pyvenv.cfg").write_text("version_info = 3.13.0rc1\n")
    assert python_version(environment_at(prefix)) == "3.13"
    (prefix / "pyvenv.cfg").write_text("")
    assert python_version(environment_at(prefix)) == "3.12"
    shutil.rmtree(prefix / "lib")
    assert python_version(environment_at(prefix)) == ""
    assert look(replace_project(made, prefix)) == []


def replace_project(made, prefix):
    """Look from inside an environment: there is none in it."""
    made.project = prefix
    return made


def test_the_surroundings_are_those_given(made):
    made.venv(made.home / "e/x")
    around = replace(made.around, paths=(made.home / "e",))
    assert "env/x" in [each.name for each in environments.look(around)]


def test_an_environment_of_another_user_is_listed_and_not_launched(made, monkeypatch):
    monkeypatch.delenv("MOORAGE_TRUST", raising=False)
    prefix = made.venv(".venv", marker="version = \x1b]0;hi\x07")
    give_away(prefix)
    (only,) = look(made)
    assert only.lack.why.startswith(f"{prefix} belongs to the user")
    assert only.lack.do.endswith(f"MOORAGE_TRUST={prefix}")
    assert (only.name, only.spec.display_name, only.spec.argv) == ("env/.venv", "Python (.venv)", ())
    named = get("./.venv", made.around)
    assert named.lack == only.lack
    monkeypatch.setenv("MOORAGE_TRUST", str(made.project))
    assert look(made)[0].lack is None
    assert get("./.venv", made.around).lack is None


@pytest.mark.parametrize("what", ["pyvenv.cfg", "bin/python"])
def test_nor_is_one_whose_programs_another_user_may_replace(made, what):
    prefix = made.venv(".venv")
    give_away(prefix / what)
    assert look(made)[0].lack is not None


def test_nor_is_one_in_a_folder_that_any_user_may_change(made):
    made.venv(".venv")
    made.project.chmod(0o777)
    assert look(made)[0].lack.why == f"Any user may write to {made.project}"
    made.project.chmod(0o1777)
    assert look(made)[0].lack is None  # in /tmp no other user can take its place


def test_one_that_is_active_is_the_users_choice(made):
    prefix = made.venv(".venv")
    give_away(prefix)
    made.environ["VIRTUAL_ENV"] = str(prefix)
    assert look(made)[0].lack is None


def test_pipes_where_files_are_expected_hold_nothing_up(made):
    for name in (".venv/pyvenv.cfg", "pyproject.toml", "poetry.toml"):
        (made.project / name).parent.mkdir(exist_ok=True)
        os.mkfifo(made.project / name)
    assert look(made) == []
