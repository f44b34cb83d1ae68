"""What a kernel type is to the cache, and to readers of the metadata."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from moorage.discovery.activation import Activation
from moorage.discovery.kernelspec import KernelSpec
from moorage.notebooks.execution.kernels import (
    forget_kernels,
    identity,
    kernel_names,
    lasting_name,
    name_kernel,
)

SCHEME = KernelSpec("scheme9", ("scheme9", "{connection_file}"), "Scheme 9", "scheme9")

INSIDE = Activation(Path("/p/.venv"), "venv", ".venv")
PYTHON = KernelSpec(
    ".venv",
    ("/p/.venv/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"),
    "Python 3.12 (.venv)",
    "python",
    provider="env",
    activation=INSIDE,
)
R = KernelSpec(".venv/ir", ("R", "{connection_file}"), "R (.venv)", "r", provider="env", activation=INSIDE)


@pytest.fixture(autouse=True)
def jupyter_path(tmp_path, monkeypatch):
    folder = tmp_path / "kernels" / "scheme9"
    folder.mkdir(parents=True)
    content = {"argv": list(SCHEME.argv), "display_name": "Scheme 9", "language": "scheme9"}
    (folder / "kernel.json").write_text(json.dumps(content))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    identity.cache_clear()
    yield folder / "kernel.json"
    identity.cache_clear()


def test_the_identity_changes_with_the_command(jupyter_path):
    before = identity("scheme9")
    identity.cache_clear()
    assert identity("scheme9") == before
    jupyter_path.write_text(jupyter_path.read_text().replace('"scheme9", "{', '"scheme9", "--new", "{'))
    identity.cache_clear()
    assert identity("scheme9") not in {before, ""}
    assert identity("nowhere") == ""


@pytest.fixture
def own(jupyter_path, tmp_path):
    """Return a function that says what a kernel of one's own is today, with all its files."""
    files = [tmp_path / name for name in ("wrapper", "kernel.scm", "settings", "more")]
    for path in files:
        path.write_text("1")
    files[0].chmod(0o755)
    words = [f"--config={files[2]}", f"--load=['{files[3]}']", "--at=/no/such/file", "{connection_file}"]
    content = {"argv": [*map(str, files[:2]), *words], "display_name": "", "language": "scheme9"}
    jupyter_path.write_text(json.dumps({**content, "env": {"FOUND": "${SOME_FOLDER}/x"}}))

    def told() -> str:
        identity.cache_clear()
        return identity("scheme9")

    return told, files


def test_the_identity_changes_with_what_the_files_of_the_command_hold(own):
    told, files = own
    before = {told()}
    for path in files:
        path.write_text("2")
        assert told() not in before, path
        before.add(told())


def test_the_identity_changes_with_the_variables_that_those_of_the_kernelspec_refer_to(own, monkeypatch):
    told, _ = own
    monkeypatch.setenv("SOME_FOLDER", "/a")
    before = told()
    monkeypatch.setenv("UNRELATED", "x")
    assert told() == before
    monkeypatch.setenv("SOME_FOLDER", "/b")
    assert told() != before


def test_the_identity_changes_with_what_the_environment_sets(monkeypatch, tmp_path):
    (tmp_path / "etc/conda/activate.d").mkdir(parents=True)
    script = tmp_path / "etc/conda/activate.d/gdal.sh"
    spec = replace(PYTHON, activation=Activation(tmp_path, "conda", "x"))
    monkeypatch.setattr("moorage.notebooks.execution.kernels.find", lambda _: spec)
    seen = set()
    for text in ("A=1", "A=2"):
        script.write_text(text)
        identity.cache_clear()
        seen.add(identity("env/x"))
    assert len(seen) == 2


def test_a_notebook_without_a_kernel_gets_the_name_of_its():
    metadata = {"jupytext": {"main_language": "scheme9"}, "x": 1}
    name_kernel(metadata, SCHEME)
    assert metadata == {
        "x": 1,
        "kernelspec": {"display_name": "Scheme 9", "language": "scheme9", "name": "scheme9"},
    }


def test_a_notebook_that_names_another_keeps_it():
    metadata = {"kernelspec": {"name": "other"}, "jupytext": {"main_language": "x"}}
    name_kernel(metadata, SCHEME)
    assert metadata == {"kernelspec": {"name": "other"}, "jupytext": {"main_language": "x"}}


@pytest.mark.parametrize(
    ("spec", "lasting", "elsewhere"),
    [
        (SCHEME, "scheme9", "scheme9"),
        (PYTHON, "env//p/.venv", "python3"),
        (R, "env//p/.venv/ir", "ir"),
        (KernelSpec("box/r", ("R",), "R", "r", provider="ssh"), "ssh/box/r", "ssh/box/r"),
    ],
)
def test_the_cache_goes_by_a_name_that_lasts_and_readers_by_one_they_know(spec, lasting, elsewhere):
    assert lasting_name(spec) == lasting
    metadata = {}
    name_kernel(metadata, spec)
    assert metadata["kernelspec"]["name"] == elsewhere


def test_environments_have_an_identity_while_they_can_run_something(tmp_path):
    prefix = tmp_path / ".venv"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin/python").touch()
    (prefix / "pyvenv.cfg").touch()
    identity.cache_clear()
    assert identity(f"env/{prefix}") == ""
    (prefix / "lib/python3.12/site-packages/ipykernel-7.dist-info").mkdir(parents=True)
    identity.cache_clear()
    assert identity(f"env/{prefix}") != ""


def test_an_environment_that_appears_may_change_the_choice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kernel_names.cache_clear()
    before = kernel_names()
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/pyvenv.cfg").touch()
    kernel_names.cache_clear()
    assert set(kernel_names()) - set(before) == {str(tmp_path / ".venv")}
    kernel_names.cache_clear()


def test_a_run_knows_nothing_of_kernel_types_from_an_earlier_one():
    identity("no-such-kernel")
    kernel_names()
    forget_kernels()
    assert identity.cache_info().currsize == kernel_names.cache_info().currsize == 0
