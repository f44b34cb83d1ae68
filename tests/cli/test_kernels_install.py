"""The command that writes kernelspecs of kernels that register."""

from __future__ import annotations

import json

import pytest

from moorage.cli.main import main


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    folder = tmp_path / "share" / "jupyter" / "kernels"
    monkeypatch.setenv("JUPYTER_PATH", str(folder.parent))
    return folder


def test_ipykernels(kernels, tmp_path, capsys):
    assert main(["kernels", "install", "--prefix", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"moorage-python3: {kernels / 'moorage-python3'}\n"
    assert "moorage.jupyter.ipykernel" in (kernels / "moorage-python3" / "kernel.json").read_text()


def test_an_adapters(kernels, tmp_path, capsys):
    arguments = ["kernels", "install", "--prefix", str(tmp_path), "--adapt", "python3"]
    assert main([*arguments, "--name", "mine", "--display-name", "Mine"]) == 0
    content = json.loads((kernels / "mine" / "kernel.json").read_text())
    assert "spec/python3" in content["argv"]
    assert content["display_name"] == "Mine"
    assert main([*arguments[:-1], "mine"]) == 2
    assert "adapter itself" in capsys.readouterr().err


def test_neither_kind_overwrites_the_other(kernels, tmp_path, capsys):
    place = ["kernels", "install", "--prefix", str(tmp_path)]
    assert main(place) == 0
    assert main([*place, "--adapt", "python3"]) == 0
    assert {each.name for each in kernels.iterdir()} == {"moorage-python3", "moorage-adapted-python3"}
    assert main(place) == 0  # itself it may
    capsys.readouterr()
    assert main([*place, "--adapt", "python3", "--name", "moorage-python3"]) == 2
    assert "moorage-python3 already, of another kernel" in capsys.readouterr().err
    assert "moorage.jupyter.ipykernel" in (kernels / "moorage-python3" / "kernel.json").read_text()


def test_a_kernel_that_is_not_here_and_two_places_at_once(kernels, capsys):
    assert main(["kernels", "install", "--adapt", "nowhere-to-be-found"]) != 0
    assert "E-NO-KERNEL" in capsys.readouterr().err
    assert main(["kernels", "install", "--user", "--sys-prefix"]) == 2
    assert not kernels.exists()
