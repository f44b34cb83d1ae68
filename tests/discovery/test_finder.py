"""Names to kernel types."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from moorage.discovery import finder, kernelspec
from moorage.discovery.finder import find, find_type, resolve
from moorage.errors import ConfigurationError, DeadlineExceeded, KernelTypeNotFound, LaunchError
from moorage.places.here import entered

BOX = Path(__file__).parent / "files/box"
ODD = Path(__file__).parent / "files/odd"


@pytest.fixture
def here(made, monkeypatch):
    """A machine of its own, with one kernelspec, one environment that works and one that does not."""
    monkeypatch.setattr(kernelspec, "data_directories", lambda _: [made.home / "jupyter"])
    monkeypatch.setattr(kernelspec, "native", lambda: None)
    for name, value in (made.environ | {"XDG_CACHE_HOME": str(made.home / "cache")}).items():
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
    folder = made.home / "jupyter/kernels/scheme"
    folder.mkdir(parents=True)
    content = {"argv": ["scheme", "{connection_file}"], "display_name": "Scheme", "language": "scheme"}
    (folder / "kernel.json").write_text(json.dumps(content))
    made.venv(".venv")
    made.venv("env", ipykernel=False)
    monkeypatch.chdir(made.project)
    return made


def test_a_bare_name_is_jupyters(here):
    assert find("scheme") == find("spec/scheme") == find("Scheme")
    assert find("scheme").called == "scheme"


def test_a_name_with_its_provider(here):
    assert find("env/.venv").called == "env/.venv"
    assert find("env/./.venv").activation.prefix == here.project / ".venv"
    assert find_type("env/env").lack is not None


def test_what_cannot_be_launched_says_what_to_do(here):
    with pytest.raises(LaunchError) as caught:
        find("env/env")
    assert str(caught.value).startswith("env/env cannot be launched (E-LAUNCH). It has no ipykernel. Type: ")


def test_the_directory_says_whose_project(here, tmp_path):
    with pytest.raises(KernelTypeNotFound):
        find("env/.venv", directory=tmp_path)
    os.chdir(tmp_path)
    assert find("env/.venv", directory=here.project).name == ".venv"


@pytest.mark.parametrize(
    ("asked", "advice"),
    [
        ("shceme", "Did you mean scheme?"),
        ("spec/shceme", "Did you mean scheme?"),
        (".venv", "Did you mean env/.venv"),
        ("./.venv", "Did you mean env/./.venv?"),
        ("env/.vnv", "Did you mean env/.venv"),
        ("zzzzzz", "Here are: scheme, env/.venv, env/env"),
        ("ssh/zzzzzz", "No provider is called ssh. Here are: scheme"),
    ],
)
def test_near_names_of_all_providers_are_offered(here, asked, advice):
    with pytest.raises(KernelTypeNotFound) as caught:
        find(asked)
    assert f"no kernel type is called {asked} (E-NO-KERNEL). " in str(caught.value)
    assert advice in str(caught.value)


def test_nothing_is_installed_at_all(here, tmp_path, monkeypatch):
    monkeypatch.setattr(kernelspec, "data_directories", lambda _: [])
    with pytest.raises(KernelTypeNotFound, match="pip install ipykernel"):
        find("python3", directory=tmp_path)


def test_a_broken_kernelspec_is_reported_as_that(here):
    (here.home / "jupyter/kernels/scheme/kernel.json").write_text("{")
    with pytest.raises(KernelTypeNotFound, match="cannot be read"):
        find("scheme")


def test_configured_paths_are_searched_by_name_too(here):
    here.venv(here.home / "envs/far")
    (here.project / "moorage.toml").write_text("[discovery]\npaths = '~/envs'\nexclude = 'env/far'")
    assert find("env/far").name == "far"  # what is named in full is found, listed or not
    (here.project / "moorage.toml").write_text("[discovery]\npath = 3")
    with pytest.raises(ConfigurationError):
        find("env/far")
    assert find("scheme").name == "scheme"  # the configuration is none of Jupyter's


@pytest.mark.anyio
async def test_a_loop_finds_the_same(here):
    assert await resolve("scheme") == find("scheme")
    assert await resolve("env/.venv") == find("env/.venv")
    with pytest.raises(LaunchError):
        await resolve("env/env")


@pytest.mark.anyio
async def test_what_is_found_is_entered(here):
    base = {"PATH": "/bin", "A": "b"}
    assert await entered(find("scheme"), base) == base
    inside = await entered(find("env/.venv"), base)
    assert inside["VIRTUAL_ENV"] == str(here.project / ".venv")


def test_a_running_kernel_is_attached_to_not_launched(here, monkeypatch):
    from moorage.discovery import running
    from moorage.discovery.base import KernelType, Lack
    from moorage.discovery.kernelspec import KernelSpec

    one = KernelType(
        KernelSpec("abc", (), "", "", provider="running"), lack=Lack("it runs already", "Attach")
    )
    monkeypatch.setattr(running, "look", lambda _: [one])
    with pytest.raises(LaunchError, match=r"It runs already\. Attach"):
        find("running/abc")


# -- other people's providers ----------------------------------------------------------------------


@pytest.fixture
def box(here, monkeypatch):
    monkeypatch.syspath_prepend(str(BOX))
    monkeypatch.syspath_prepend(str(ODD))
    yield
    for name in ("box_provider", "hanging_provider", "broken_provider"):
        sys.modules.pop(name, None)


def test_a_third_partys_type_is_found_by_its_name(box):
    spec = find("box/python")
    assert (spec.called, spec.argv[0]) == ("box/python", sys.executable)
    assert spec.environment({})["IN_A_BOX"] == "yes"


def test_a_third_party_that_fails_says_so(box):
    with pytest.raises(KernelTypeNotFound, match="broken cannot say what broken/x is") as caught:
        find("broken/x")
    assert "no_such_module_anywhere" in caught.value.why


def test_a_third_party_that_hangs_has_a_deadline(box, monkeypatch):
    monkeypatch.setattr(finder, "_SECONDS", 0.1)
    with pytest.raises(DeadlineExceeded, match="did not say within"):
        find("hanging/x")


# -- what it costs ---------------------------------------------------------------------------------

COST = """
import json, sys
from moorage.discovery.finder import find
assert find(sys.argv[1]).argv
print(json.dumps(sorted(sys.modules)))
"""


def loaded(*arguments, code=COST):
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, timeout=60)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("name", ["python3", "spec/python3"])
def test_a_kernelspec_is_found_without_loading_anything_for_others(name):
    modules = loaded(name)
    ours = {each for each in modules if each.startswith("moorage")}
    assert ours == {
        "moorage",
        "moorage.discovery",
        "moorage.discovery.finder",
        "moorage.directory",
        "moorage.discovery.kernelspec",
        "moorage.command",
        "moorage.errors",
        "moorage.json_types",
        "moorage.kinds",
        "moorage.regular",
    }
    assert modules.isdisjoint(
        {"asyncio", "importlib.metadata", "concurrent.futures", "tomllib", "subprocess"}
    )


def test_one_of_moorages_own_is_found_without_reading_entry_points(tmp_path, monkeypatch, made):
    made.venv(".venv")
    monkeypatch.chdir(made.project)
    assert loaded("env/.venv").isdisjoint({"importlib.metadata", "zmq"})


def test_three_hundred_kernelspecs_are_listed_and_found(here):
    content = (here.home / "jupyter/kernels/scheme/kernel.json").read_text()
    for number in range(300):
        folder = here.home / f"jupyter/kernels/k{number}"
        folder.mkdir()
        (folder / "kernel.json").write_text(content)
    types = finder.Finder(here.project).survey(60).types
    assert len([each for each in types if each.spec.provider == "spec"]) == 301
    assert find("k299").name == "k299"
