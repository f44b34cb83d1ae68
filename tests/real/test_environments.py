"""Kernels of environments: launched inside them, activated, with nothing of moorage in them."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

import moorage
from command import Command, typed_in
from environments import real_environment
from moorage.errors import LaunchError

pytestmark = pytest.mark.real

WHERE = """
import json, os, shutil, sys
print(json.dumps({
    "prefix": sys.prefix, "python": shutil.which("python"), "venv": os.environ.get("VIRTUAL_ENV"),
    "conda": os.environ.get("CONDA_PREFIX"), "data": os.environ.get("MY_DATA"),
}))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a virtual environment, and one of conda's form with an activation script."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").touch()
    real_environment(folder / ".venv")
    conda = real_environment(folder / "conda/envs/work")
    (conda / "conda-meta").mkdir()
    (conda / "conda-meta/state").write_text('{"env_vars": {"KEPT": "yes"}}')
    (conda / "etc/conda/activate.d").mkdir(parents=True)
    (conda / "etc/conda/activate.d/data.sh").write_text('export MY_DATA="$CONDA_PREFIX/share/$KEPT"')
    return folder


@pytest.fixture
def inside(project, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.setenv("CONDA_ENVS_PATH", str(project / "conda/envs"))
    monkeypatch.setenv("VIRTUAL_ENV", "/somewhere/else")
    return project


async def asked(kernel):
    result = await kernel.execute(WHERE)
    return json.loads(result.outputs[0]["text"])


@pytest.mark.anyio
@pytest.mark.parametrize("fork", [False, True])
async def test_a_virtual_environment(inside, fork):
    async with moorage.launch("env/.venv", fork=fork) as kernel:
        told = await asked(kernel)
        assert told["prefix"] == told["venv"] == str(inside / ".venv")
        assert told["python"] == str(inside / ".venv/bin/python")
        missing = await kernel.execute("import moorage")
        assert missing.error.ename == "ModuleNotFoundError"


@pytest.mark.anyio
@pytest.mark.parametrize("fork", [False, True])
async def test_one_of_condas_with_the_effect_of_its_scripts(inside, fork):
    prefix = str(inside / "conda/envs/work")
    async with moorage.launch("env/work", fork=fork) as kernel:
        told = await asked(kernel)
    assert (told["conda"], told["venv"]) == (prefix, None)
    assert told["data"] == f"{prefix}/share/yes"


@pytest.mark.anyio
async def test_by_its_path_and_from_elsewhere(inside, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with moorage.launch(f"env/{inside}/.venv", cwd=tmp_path) as kernel:
        assert (await asked(kernel))["prefix"] == str(inside / ".venv")


@pytest.mark.anyio
async def test_variables_of_the_caller_win_over_what_surrounds_and_not_over_the_environment(inside):
    async with moorage.launch("env/.venv", env={"MY_DATA": "mine", "VIRTUAL_ENV": "/x"}) as kernel:
        told = await asked(kernel)
    assert (told["data"], told["venv"]) == ("mine", str(inside / ".venv"))


@pytest.mark.anyio
async def test_one_without_ipykernel_says_what_to_type(inside):
    import venv

    venv.create(inside / "venv", symlinks=True)
    with pytest.raises(LaunchError, match=r"It has no ipykernel\. Type: .*/venv/bin/python -m ensurepip"):
        async with moorage.launch("env/venv"):
            pass


@pytest.mark.anyio
async def test_a_third_partys_type_and_its_launcher(tmp_path, monkeypatch):
    (tmp_path / "wrapped.py").write_text("""
import sys
from dataclasses import replace
from moorage.discovery import KernelSpec, KernelType, from_blocking
from moorage.places.here import Here

class Around:
    def __init__(self, inner):
        self.inner = inner
    def launch(self, spec):
        return self.inner.launch(replace(spec, env={**spec.env, "MY_DATA": "from the launcher"}))

def look(around):
    argv = (sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}")
    place = Here(wrap=Around)
    return [KernelType(KernelSpec("python", argv, "W", "python", provider="wrapped", place=place))]

provider = from_blocking("wrapped", look)
""")
    info = tmp_path / "wrapped-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wrapped\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[moorage.providers]\nwrapped = wrapped:provider\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    async with moorage.launch("wrapped/python") as kernel:
        assert (await asked(kernel))["data"] == "from the launcher"
    sys.modules.pop("wrapped", None)


# -- render ----------------------------------------------------------------------------------------


@pytest.fixture
def typed(inside) -> Command:
    with typed_in(inside) as command:
        for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
            command.env.pop(name, None)
        yield command


def notebook(folder: Path, name: str, kernel: str | None) -> None:
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": "import sys; print(sys.prefix)"}
    cell |= {"outputs": [], "execution_count": None}
    metadata = {} if kernel is None else {"kernelspec": {"name": kernel, "display_name": kernel}}
    content = {"cells": [cell], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    (folder / name).write_text(json.dumps(content))


def printed(path: Path) -> str:
    return json.loads(path.read_text())["cells"][0]["outputs"][0]["text"][0].strip()


def test_render_with_the_kernel_of_an_environment(typed, inside):
    notebook(inside, "a.ipynb", None)
    done = typed("render", "a.ipynb", "--kernel", "env/.venv", "--json", "-", code=0)
    (told,) = done.notebooks.values()
    assert (told["status"], told["kernel"]) == ("ok", "env/.venv")
    assert printed(inside / "rendered/a.ipynb") == str(inside / ".venv")
    # What other programs are told is the name every Python has.
    metadata = json.loads((inside / "rendered/a.ipynb").read_text())["metadata"]
    assert metadata["kernelspec"]["name"] == "python3"
    again = typed("render", "a.ipynb", "--kernel", "env/.venv", "--json", "-", code=0)
    assert again.statuses == {"a.ipynb": "cached"}
    other = typed("render", "a.ipynb", "--kernel", "python3", "--json", "-", code=0)
    assert other.statuses == {"a.ipynb": "ok"}
    assert printed(inside / "rendered/a.ipynb") == sys.prefix


def test_a_notebook_that_names_an_environment_gets_it_and_hears_so(typed, inside):
    notebook(inside, "b.ipynb", ".venv")
    done = typed("render", "b.ipynb", "--no-cache", code=0)
    said = done.stdout + done.stderr
    assert "it names the kernel .venv, which is not here; env/.venv" in said
    assert printed(inside / "rendered/b.ipynb") == str(inside / ".venv")


def test_one_that_names_python3_gets_moorages_interpreter_whatever_lies_around(typed, inside):
    notebook(inside, "c.ipynb", "python3")
    done = typed("render", "c.ipynb", "--no-cache", code=0)
    assert "it names" not in done.stdout + done.stderr
    assert printed(inside / "rendered/c.ipynb") == sys.prefix


def test_an_environment_that_cannot_run_it_is_wrong_usage(typed, inside):
    notebook(inside, "d.ipynb", None)
    (inside / "env").mkdir(exist_ok=True)
    (inside / "env/pyvenv.cfg").write_text("uv = 1\n")
    done = typed("render", "d.ipynb", "--kernel", "env/env", code=2)
    assert re.search(r"error: env/env cannot be launched \(E-USAGE\)\. Its interpreter is gone", done.stderr)
    assert not (inside / "rendered/d.ipynb").exists()
