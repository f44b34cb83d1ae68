"""Fixtures of tests that keep processes."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from keeper.raw import DEADLINE, RawKeeper


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "ZX"


@pytest.fixture
def exists():
    """Whether a pid is a process that is more than a zombie."""
    return _exists


@pytest.fixture
def until():
    """Wait for a condition that no event announces."""

    def until(true, what="it never came true"):
        deadline = time.monotonic() + DEADLINE
        while not (found := true()):
            assert time.monotonic() < deadline, what
            time.sleep(0.01)
        return found

    return until


@pytest.fixture
def place():
    """A folder with a short path, as sockets need it."""
    folder = Path(tempfile.mkdtemp(prefix="mk-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def keep(place):
    """Make keepers; at its end none of them is left."""
    made = []

    def keep(name="one", **rest):
        (place / name).mkdir(mode=0o700)
        made.append(RawKeeper(place / name, **rest))
        return made[-1]

    yield keep
    for each in made:
        each.close()


@pytest.fixture
def keeper(keep):
    return keep()
