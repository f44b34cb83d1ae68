"""The trial: it says ``ok``, or which step was refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from moorage.process.walls.probe import TRIAL, given
from process.walls.behind import private_folder, walls_here

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or bool(given().why), reason=f"no walls here: {given().why}"
)


def tried(walls: dict[str, Any]) -> str:
    command = [sys.executable, "-I", "-S", "-E", str(TRIAL), json.dumps(walls)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def test_it_says_that_all_is_well_and_leaves_nothing() -> None:
    with private_folder() as private:
        assert tried(walls_here(private)) == "ok"
        assert list(private.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"groups": ["/nowhere"]}, "walls/groups 2"),
        ({"copied": ["nothing"]}, "walls/files 2"),
        ({"rlimits": [[7, 2, 1]]}, "walls/rlimits 22"),
    ],
)
def test_it_names_the_step(changed: dict[str, Any], said: str) -> None:
    with private_folder() as private:
        assert tried(walls_here(private, **changed)) == said


def test_a_folder_that_is_not_there() -> None:
    with private_folder() as private:
        assert tried(walls_here(private / "nothing")) == "walls/files 2"
    assert not Path(private).exists()
