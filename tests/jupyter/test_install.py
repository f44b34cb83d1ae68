"""Kernelspecs of kernels that register."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from moorage.discovery.kernelspec import KernelSpec, find
from moorage.errors import OutputError, UsageError
from moorage.jupyter.install import (
    install,
    kernels_directory,
    kernelspec_of_adapter,
    kernelspec_of_ipykernel,
)
from moorage.kinds import kind_of
from moorage.rendezvous.choice import dialect_of, registers

SPEC = KernelSpec(
    name="bash",
    argv=("python", "-m", "bash_kernel", "-f", "{connection_file}"),
    display_name="Bash",
    language="bash",
    interrupt_mode="message",
    metadata={"kernel_provisioner": {"provisioner_name": "other"}, "debugger": True},
)


def found(directory, name):
    """The kernelspec as moorage finds it."""
    return find(name, {"JUPYTER_PATH": str(directory.parent)})


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "share" / "jupyter" / "kernels"


def test_ipykernels(directory):
    assert (
        install(directory, "moorage-python3", kernelspec_of_ipykernel().content)
        == directory / "moorage-python3"
    )
    spec = found(directory, "moorage-python3")
    assert registers(spec)
    assert kind_of(spec.argv).application
    assert (spec.language, spec.display_name) == ("python", "Python 3 (moorage)")
    assert spec.protocol_version == "5.6"


def test_an_adapters_is_that_of_its_kernel_but_for_the_command(directory, tmp_path):
    logos = tmp_path / "logos"
    logos.mkdir()
    for name in ("logo-64x64.png", "kernel.js"):
        (logos / name).write_text("x")
    install(directory, "mine", kernelspec_of_adapter(SPEC, "My Bash").content, logos)
    spec = found(directory, "mine")
    assert registers(spec)
    assert dialect_of(spec) == "docs"
    assert spec.argv[0] == sys.executable
    assert spec.argv[-4:] == ("--type", "spec/bash", "-f", "{connection_file}")
    assert (spec.language, spec.interrupt_mode, spec.display_name) == ("bash", "message", "My Bash")
    assert spec.metadata == {"debugger": True, "handshake": True}
    assert sorted(path.name for path in (directory / "mine").iterdir()) == ["kernel.json", "logo-64x64.png"]


@pytest.mark.parametrize(
    ("kernel", "name"),
    [
        ("bash", "moorage-bash"),
        ("python3", "moorage-adapted-python3"),
        ("./envs/a", "moorage-envs-a"),
        ("./", "moorage-kernel"),
    ],
)
def test_an_adapter_is_called_after_its_kernel(kernel, name):
    assert kernelspec_of_adapter(replace(SPEC, name=kernel)).name == name


def test_an_adapter_of_an_adapter_is_refused(directory):
    install(directory, "mine", kernelspec_of_adapter(SPEC).content)
    with pytest.raises(UsageError, match="adapter itself"):
        kernelspec_of_adapter(found(directory, "mine"))


@pytest.mark.timeout(60)
def test_one_that_is_a_pipe_is_not_waited_for(directory):
    (directory / "mine").mkdir(parents=True)
    os.mkfifo(directory / "mine" / "kernel.json")
    with pytest.raises(UsageError, match="of another kernel"):
        install(directory, "mine", kernelspec_of_ipykernel().content)


def test_one_of_that_name_is_replaced_whole(directory):
    install(directory, "mine", kernelspec_of_ipykernel().content)
    (directory / "mine" / "old").touch()
    install(directory, "mine", {**kernelspec_of_ipykernel().content, "display_name": "New"})
    assert [path.name for path in (directory / "mine").iterdir()] == ["kernel.json"]
    assert json.loads((directory / "mine" / "kernel.json").read_text())["display_name"] == "New"
    assert [path.name for path in directory.iterdir()] == ["mine"], "nothing half-made stays"


@pytest.mark.parametrize("name", ["", "a b", "../x", "..", "a/b", "ä"])
def test_a_name_that_jupyter_does_not_take(directory, name):
    with pytest.raises(UsageError, match="no name"):
        install(directory, name, kernelspec_of_ipykernel().content)
    assert not directory.exists()


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="--user"):
        install(tmp_path / "file" / "kernels", "mine", kernelspec_of_ipykernel().content)


def test_the_places(monkeypatch, tmp_path):
    own = Path(sys.prefix) / "share" / "jupyter" / "kernels"
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    assert kernels_directory(sys_prefix=True) == own
    assert kernels_directory(user=True) == tmp_path / "kernels"
    assert kernels_directory(prefix=Path("/opt/x")) == Path("/opt/x/share/jupyter/kernels")
    monkeypatch.setattr(sys, "base_prefix", "/elsewhere")
    assert kernels_directory() == own
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    assert kernels_directory() == tmp_path / "kernels"
