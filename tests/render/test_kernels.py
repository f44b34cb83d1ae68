"""Which kernel a document gets."""

from __future__ import annotations

import json
import sys

import pytest

from mooring.discovery.kernelspec import KernelSpec, native
from mooring.errors import KernelTypeNotFound
from mooring.discovery.choice import choose_kernel
from mooring.render.kernels import identity, name_kernel

SCHEME = KernelSpec("scheme9", ("scheme9", "{connection_file}"), "Scheme 9", "scheme9")


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


@pytest.mark.parametrize(
    ("named", "language", "wanted", "name", "said"),
    [
        (None, None, None, "python3", ""),
        ("scheme9", None, None, "scheme9", ""),
        ("scheme9", "python", "python3", "python3", ""),
        (None, "scheme9", None, "scheme9", ""),
        ("gone", "scheme9", None, "scheme9", "it names the kernel gone"),
        ("my-venv", "python", None, "python3", "it names the kernel my-venv"),
        ("my-venv", None, None, "python3", "it names the kernel my-venv"),
    ],
)
def test_the_rule(named, language, wanted, name, said):
    spec, told = choose_kernel(named, language, wanted)
    assert spec.name == name
    assert told.startswith(said)
    assert bool(told) is bool(said)


def test_the_nearest_python_is_the_interpreter_mooring_runs_in():
    assert choose_kernel("my-venv", "python", None)[0] == native()
    assert native().argv[0] == sys.executable


def test_the_one_insisted_on_must_be_here():
    with pytest.raises(KernelTypeNotFound, match="nowhere"):
        choose_kernel("python3", "python", "nowhere")


def test_a_language_nobody_speaks():
    with pytest.raises(KernelTypeNotFound, match="no kernel for klingon"):
        choose_kernel(None, "klingon", None)
    with pytest.raises(KernelTypeNotFound, match="no kernel type is called gone"):
        choose_kernel("gone", "klingon", None)


def test_the_identity_changes_with_the_command(jupyter_path):
    before = identity("scheme9")
    identity.cache_clear()
    assert identity("scheme9") == before
    jupyter_path.write_text(jupyter_path.read_text().replace('"scheme9", "{', '"scheme9", "--new", "{'))
    identity.cache_clear()
    assert identity("scheme9") not in {before, ""}
    assert identity("nowhere") == ""


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
