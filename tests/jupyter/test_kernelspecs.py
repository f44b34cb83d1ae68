from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyter_client.kernelspec import NoSuchKernel, _is_valid_kernel_name

from moorage.jupyter.kernelspecs import MoorageKernelSpecManager, decode, encode

# bash_kernel's own kernelspec holds a key that traitlets does not know.
pytestmark = pytest.mark.filterwarnings("ignore:Passing unrecognized arguments:DeprecationWarning")

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(NAMES, NAMES)
def test_names_are_coded_for_jupyter_and_back(provider: str, name: str) -> None:
    coded = encode(f"{provider}/{name}")
    assert _is_valid_kernel_name(coded)
    assert decode(coded) == f"{provider}/{name}"
    assert coded == coded.lower()


@pytest.mark.parametrize(
    ("name", "coded"),
    [
        ("env/.venv", "env--.venv"),
        ("env/work/my-env", "env--work--my-env"),
        ("env/My_env", "env--_4dy_5fenv"),
        ("a-/-b", "a_2d--_2db"),
        ("a--b/c", "a_2d_2db--c"),
        ("env/größe", "env--gr_c3_b6_c3_9fe"),
    ],
)
def test_usual_names_stay_readable(name: str, coded: str) -> None:
    assert encode(name) == coded
    assert decode(coded) == name


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an environment that has ipykernel, and one that has not."""
    for name in (".venv", "venv"):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / name)], check=True)
    (site,) = (tmp_path / ".venv" / "lib").glob("python*/site-packages")
    import ipykernel

    (site / "all.pth").write_text(str(Path(ipykernel.__file__).parents[1]))
    (site / "ipykernel_launcher.py").symlink_to(Path(ipykernel.__file__).parents[1] / "ipykernel_launcher.py")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    monkeypatch.setenv("MOORAGE_STATE", "seen")
    return tmp_path


def test_environments_are_listed_beside_jupyters_own(project: Path) -> None:
    manager = MoorageKernelSpecManager()
    names = manager.find_kernel_specs()
    assert {"python3", "env--.venv"} <= set(names)
    assert "env--venv" not in names  # it cannot be launched
    specs = manager.get_all_specs()
    assert set(specs) == set(names)
    spec = specs["env--.venv"]["spec"]
    assert spec["argv"][0] == str(project / ".venv" / "bin" / "python")
    assert "(.venv)" in spec["display_name"]
    assert spec["metadata"]["kernel_provisioner"]["provisioner_name"] == "moorage"
    json.dumps(specs)


def test_one_is_found_by_either_name(project: Path) -> None:
    manager = MoorageKernelSpecManager()
    assert manager.get_kernel_spec("env--.venv").to_dict() == manager.get_kernel_spec("env/.venv").to_dict()
    assert (
        manager.get_kernel_spec("python3").display_name
        == manager.get_kernel_spec("spec/python3").display_name
    )


def test_what_is_not_there_or_lacks_something_is_said(project: Path, caplog: Any) -> None:
    manager = MoorageKernelSpecManager()
    for name in ("nowhere", "env--nowhere", "env/nowhere"):
        with pytest.raises(NoSuchKernel):
            manager.get_kernel_spec(name)
    with pytest.raises(NoSuchKernel):
        manager.get_kernel_spec("env--venv")
    assert "ipykernel" in caplog.text


def test_a_kernelspec_of_jupyters_keeps_its_name(project: Path) -> None:
    folder = project / "share" / "kernels" / "env--.venv"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps({"argv": ["mine"], "display_name": "M", "language": "x"}))
    manager = MoorageKernelSpecManager()
    assert manager.get_kernel_spec("env--.venv").argv == ["mine"]
    assert manager.find_kernel_specs()["env--.venv"] == str(folder)


def test_what_is_not_allowed_is_left_out(project: Path) -> None:
    manager = MoorageKernelSpecManager(allowed_kernelspecs={"python3"})
    assert set(manager.find_kernel_specs()) == {"python3"}
    manager = MoorageKernelSpecManager(allowed_kernelspecs={"env--.venv"})
    assert set(manager.find_kernel_specs()) == {"env--.venv"}


@pytest.mark.real
def test_a_line_of_configuration_shows_them_to_every_tool(project: Path) -> None:
    config = project / "config"
    config.mkdir()
    (config / "jupyter_config.py").write_text("import moorage.jupyter.kernelspecs as k\nk.everywhere()\n")
    env = {**os.environ, "JUPYTER_CONFIG_DIR": str(config)}
    tool = Path(sys.executable).with_name("jupyter")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [tool, *arguments], check=False, env=env, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "env--.venv" in json.loads(run("kernelspec", "list", "--json"))["kernelspecs"]
    source = "import os, sys; print('in', sys.prefix, os.environ['VIRTUAL_ENV'])"
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None}
    notebook = {
        "cells": [{**cell, "source": source}],
        "metadata": {"kernelspec": {"name": "env--.venv", "display_name": "x"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (project / "a.ipynb").write_text(json.dumps(notebook))
    run("nbconvert", "--to", "notebook", "--execute", "--inplace", "a.ipynb")
    assert f"in {project}/.venv {project}/.venv" in (project / "a.ipynb").read_text()
