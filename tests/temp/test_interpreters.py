"""Interpreters, asked what they have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from moorage.errors import UsageError
from moorage.temp.interpreters import Interpreter, folders_of, look_at, own_interpreter


def test_this_one_says_what_it_has() -> None:
    found = look_at(Path(sys.executable))
    assert found == own_interpreter()
    assert (found.version, found.apart) == (sys.version_info[:2], "-P")
    assert "moorage" in found.modules
    assert "JUPYTER_DEFAULT_PROVISIONER_NAME" not in found.variables(os.environ)


def test_an_environment_by_its_folder(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    found = look_at(tmp_path / "env")
    assert (found.program, found.modules) == (tmp_path / "env/bin/python", frozenset())
    variables = found.variables({"PATH": "/bin", "LANG": "C"})
    assert variables["PATH"] == f"{tmp_path}/env/bin:/bin"
    assert variables["VIRTUAL_ENV"] == f"{tmp_path}/env"
    assert variables["JUPYTER_DEFAULT_PROVISIONER_NAME"] == "local-provisioner"
    assert "LANG" not in variables


def test_old_ones_are_kept_apart_otherwise() -> None:
    assert Interpreter(Path("/x"), (3, 10), frozenset()).apart == "-I"


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "none", "There is no such file"),
        (lambda folder: folder, "There is no bin/python in this folder"),
        (
            lambda folder: script(folder / "p", "#!/bin/sh\necho broken >&2; exit 3\n"),
            "does not run (E-USAGE). broken",
        ),
        (lambda folder: script(folder / "p", "#!/bin/sh\nexit 3\n"), "It ended with exit code 3"),
        (lambda folder: script(folder / "p", "#!/bin/sh\necho 1\n"), "It ended with exit code 0"),
        (lambda folder: script(folder / "p", "#!/no/such/shell\n"), "No such file"),
    ],
)
def test_what_does_not_run(tmp_path: Path, make, said: str) -> None:
    with pytest.raises(UsageError) as told:
        look_at(make(tmp_path))
    assert said in str(told.value)


def test_the_folders_that_it_reads_and_the_environments_of_these(tmp_path: Path) -> None:
    for name in ("above", "below"):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / name], check=True)
    (site,) = (tmp_path / "above/lib").glob("python*/site-packages")
    (lower,) = (tmp_path / "below/lib").glob("python*/site-packages")
    (site / "all.pth").write_text(f"{lower}\n")
    found = folders_of(tmp_path / "above/bin/python")
    assert {tmp_path / "above", Path(sys.base_prefix), lower, tmp_path / "below"} <= found
    assert folders_of(tmp_path / "no-such-python") == frozenset()
    assert folders_of(Path("/bin/true")) == frozenset()
