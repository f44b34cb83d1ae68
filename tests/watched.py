"""A process of its own that is watched as a kernel is, and a small project for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from moorage.notebooks.cache.reads import KernelReads, decoded
from moorage.notebooks.cache.watching import Watching

TELL = "\nimport sys\nbox = []\nsys.audit('moorage.reads', box)\nprint('\\n' + box[0])"


def run(
    folder: Path, code: str, private: Path, **environ: str
) -> tuple[str, dict[str, set[str]], KernelReads]:
    """Run code in a watched process; return what it printed, and what is known of it by kind."""
    with Watching(private, [folder]) as watching:
        done = subprocess.run(
            [sys.executable, "-c", f"{watching.expression}\n{code}{TELL}"],
            cwd=folder,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        printed, _, answer = done.stdout.rstrip().rpartition("\n")
        told: Any = decoded(answer, watching.log())
        report, seen = told
        assert watching.log().count(b"\n") == len(seen) - len(report.seen)
    kinds: dict[str, set[str]] = {}
    for kind, text, when in seen:
        assert when > 0
        kinds.setdefault(kind, set()).add(text.removeprefix(f"{folder}/"))
    return printed.rstrip(), kinds, report


@pytest.fixture
def private(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("private")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "data.csv").write_text("1")
    (tmp_path / "child.py").write_text(
        "import os, helper\nprint(open('data.csv').read(), os.environ.get('PYTHONPATH'))\n"
    )
    (tmp_path / "helper.py").write_text("")
    return tmp_path
