"""Which kernel a document gets: its name, then its language, then its environment."""

from __future__ import annotations

import json
import sys

import pytest

from moorage.discovery import kernelspec
from moorage.discovery.choice import choose_kernel
from moorage.discovery.kernelspec import native
from moorage.errors import KernelTypeNotFound, LaunchError


@pytest.fixture
def here(made, monkeypatch):
    """A machine with a kernelspec of Scheme, this interpreter, and a project with an environment."""
    monkeypatch.setattr(kernelspec, "data_directories", lambda _: [made.home / "jupyter"])
    for name, value in made.environ.items():
        monkeypatch.setenv(name, value)
    for name in (
        "VIRTUAL_ENV",
        "CONDA_PREFIX",
        "WORKON_HOME",
        "PYENV_ROOT",
        "CONDA_EXE",
        "MAMBA_ROOT_PREFIX",
    ):
        monkeypatch.delenv(name, raising=False)
    install(made, "scheme", "scheme")
    made.venv(".venv")
    monkeypatch.chdir(made.project)
    return made


def install(made, name, language):
    folder = made.home / "jupyter/kernels" / name
    folder.mkdir(parents=True)
    content = {"argv": [name, "{connection_file}"], "display_name": name.title(), "language": language}
    (folder / "kernel.json").write_text(json.dumps(content))
    return folder / "kernel.json"


RULE = [
    # named, language, insisted on -> gets, hears
    (None, None, "env/.venv", "env/.venv", ""),
    ("python3", "python", "scheme", "scheme", ""),
    ("scheme", None, None, "scheme", ""),
    ("spec/scheme", "python", None, "scheme", ""),
    ("python3", "python", None, "python3", ""),  # whatever environments lie around
    ("env/.venv", "python", None, "env/.venv", ""),
    (".venv", "python", None, "env/.venv", "it names the kernel .venv, which is not here; env/.venv (Python"),
    ("venv", "python", None, "env/.venv", "it names the kernel venv"),
    ("conda-env-work-py", "python", None, "env/work", "it names the kernel conda-env-work-py"),
    ("conda-env-work-r", "r", None, "env/work/ir", "it names the kernel conda-env-work-r"),
    ("gone", "python", None, "python3", "it names the kernel gone, which is not here; python3 (Python 3"),
    (
        "gone",
        "Scheme",
        None,
        "scheme",
        "it names the kernel gone, which is not here; scheme (Scheme) runs it",
    ),
    ("ssh/box/ir", "scheme", None, "scheme", "it names the kernel ssh/box/ir"),
    (None, "scheme", None, "scheme", ""),
    (None, None, None, "python3", ""),
]


@pytest.mark.parametrize(("named", "language", "wanted", "gets", "hears"), RULE)
def test_the_rule(here, named, language, wanted, gets, hears):
    work = here.conda(here.home / "miniconda3/envs/work")
    here.kernel(work, "ir", ["R", "{connection_file}"])
    spec, told = choose_kernel(named, language, wanted)
    assert spec.called == gets
    assert told.startswith(hears)
    assert bool(told) is bool(hears)


def test_python_is_the_interpreter_moorage_runs_in(here):
    assert choose_kernel("gone", "python")[0] == native()
    assert native().argv[0] == sys.executable


@pytest.mark.parametrize("named", [None, "python3", "gone"])
def test_without_ipykernel_beside_moorage_the_nearest_environment_has_it(here, monkeypatch, named):
    monkeypatch.setattr(kernelspec, "native", lambda: None)
    here.venv(here.home / ".virtualenvs/other")
    spec, told = choose_kernel(named, "python")
    assert spec.called == "env/.venv"
    assert told.endswith("env/.venv (Python 3.12 (.venv)) runs it")
    assert told.startswith(
        "no kernel is installed beside moorage" if named is None else "it names the kernel"
    )


def test_environments_are_looked_for_from_the_document(here, tmp_path, monkeypatch):
    monkeypatch.setattr(kernelspec, "native", lambda: None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KernelTypeNotFound, match="pip install ipykernel"):
        choose_kernel(None, "python")
    assert choose_kernel(None, "python", directory=here.project)[0].called == "env/.venv"
    with pytest.raises(KernelTypeNotFound):
        choose_kernel(
            None, None, "env/.venv", directory=here.project
        )  # a required type is looked up from the working directory


def test_an_environment_that_cannot_run_anything_is_passed_over_unless_it_is_named(here):
    here.venv("env", ipykernel=False)
    assert choose_kernel("env", "python")[0].called == "python3"
    with pytest.raises(LaunchError, match="It has no ipykernel"):
        choose_kernel("env/env", "python")


def test_what_the_configuration_leaves_out_is_no_choice(here):
    (here.project / "moorage.toml").write_text("[discovery]\nexclude = 'env/.venv'")
    assert choose_kernel(".venv", "python")[0].called == "python3"
    assert choose_kernel("env/.venv", "python")[0].called == "env/.venv"


def test_a_broken_kernelspec_is_no_reason_not_to_run(here):
    install(here, "klingon", "klingon").write_text("{")
    assert choose_kernel("klingon", "scheme")[0].called == "scheme"
    with pytest.raises(KernelTypeNotFound, match="cannot be read"):
        choose_kernel("klingon", "klingon")


def test_a_language_without_a_kernel(here):
    with pytest.raises(KernelTypeNotFound, match="no kernel for klingon"):
        choose_kernel(None, "klingon")
    with pytest.raises(KernelTypeNotFound, match="no kernel type is called shceme") as caught:
        choose_kernel("shceme", "klingon")
    assert "Did you mean scheme" in caught.value.do
    with pytest.raises(KernelTypeNotFound, match="nowhere"):
        choose_kernel("python3", "python", "nowhere")


def test_for_a_language_without_a_kernel_the_command_that_installs_one_is_reported(here):
    with pytest.raises(KernelTypeNotFound, match=r"no kernel for rust is here .*Type: cargo install evcxr"):
        choose_kernel(None, "rust")
    with pytest.raises(KernelTypeNotFound, match=r"called rust1 .*Here are: .*\. Type: cargo"):
        choose_kernel("rust1", "rust")
