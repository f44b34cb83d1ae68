"""The keeper in one file runs where moorage is not, on Python 3.9 too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from keeper.raw import RawKeeper
from moorage.keeper.pack import packed

PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"


def interpreters() -> list[str]:
    """This one, and one of each other version that is installed."""
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    for minor in range(9, 15):
        name = f"3.{minor}"
        paths = [str(path / "bin/python") for path in sorted(PYENV.glob(f"{name}.*"))]
        path = next(iter(paths), shutil.which(f"python{name}"))
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            found.setdefault(name, path)
    return list(found.values())


@pytest.fixture
def alone(place) -> Path:
    program = place / "packed.py"
    program.write_text(packed())
    return program


@pytest.mark.parametrize("python", interpreters())
def test_it_keeps_a_charge(place, alone, python, until):
    (place / "one").mkdir(mode=0o700)
    keeper = RawKeeper(place / "one", python=python, program=alone)
    try:
        keeper.begin("sh", "-c", "echo kept; setsid sleep 1000 & sleep 1000", lease=100)
        other = keeper.link()
        other.ask("watch")
        other.ask("lease", seconds=200)
        until(
            lambda: other.ask("status")["output"]["total"]
        )  # before that SIGTERM may find the shell at work
        other.ask("end", grace=5)
        told = other.state("ended")
        assert (told["ended"]["signal"], told["output"]["tail"], told["left"]) == (15, "kept\n", 0)
        other.end()
        assert keeper.errors() == ""
    finally:
        keeper.close()


def test_an_older_python_says_so(alone):
    older = PYENV / "3.8.18/bin/python"
    if not older.exists():
        pytest.skip("there is no Python 3.8 here")
    done = subprocess.run([older, "-I", "-S", "-E", alone], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("a keeper needs Python 3.9 or newer, and this is 3.8")


def test_it_names_no_file_of_this_machine(alone):
    assert str(Path(sys.prefix)) not in alone.read_text()
