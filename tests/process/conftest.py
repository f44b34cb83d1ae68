"""What the tests of the process storey share."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from moorage.process import procfs
from moorage.process.base import LocalSpec
from moorage.process.local import LocalLauncher, Warden

FILES = Path(__file__).parent / "files"
DEADLINE = 10.0


def _alive(pid: int) -> bool:
    process = procfs.look(pid)
    return process is not None and not process.dead


@pytest.fixture
def alive():
    """Whether a pid is a process that is more than a zombie."""
    return _alive


@pytest.fixture
def until():
    """Wait for a condition that no event announces."""

    async def until(true, what=""):
        deadline = time.monotonic() + DEADLINE
        while not true():
            assert time.monotonic() < deadline, what or "it never came true"
            await asyncio.sleep(0.01)

    return until


@pytest.fixture
async def warden(anyio_backend):
    async with Warden.open() as warden:
        yield warden


@pytest.fixture
def launcher(warden):
    return LocalLauncher(warden)


@pytest.fixture
def spec():
    """Make a LocalSpec of Python code, or of a command."""

    def spec(code, *args, cwd="/", env=None, **rest):
        argv = (sys.executable, "-c", code, *args) if isinstance(code, str) else tuple(code)
        return LocalSpec(argv, str(cwd), {**os.environ, **(env or {})}, **rest)

    return spec


@pytest.fixture
def family(launcher, until):
    """Launch files/family.py with some kinds of descendants; yields the handle and pids by kind."""
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def family(*kinds):
        spec = LocalSpec((sys.executable, str(FILES / "family.py"), *kinds), "/", dict(os.environ))
        async with launcher.launch(spec) as handle:
            wanted = [kind for kind in kinds if kind != "exit"]
            await until(lambda: handle.output().count("\n") > len(wanted), "the family is not complete")
            yield handle, {kind: int(pid) for kind, pid in map(str.split, handle.output().splitlines())}

    return family


@pytest.fixture
def kernel():
    """Make a LocalSpec that a template can fork: code that runs where ipykernel would."""

    def kernel(code, *args, cwd="/", env=None, program=(sys.executable,), **rest):
        argv = (*program, "-m", "ipykernel_launcher", code, *args)
        surroundings = {**os.environ, "PYTHONPATH": str(FILES / "forking"), **(env or {})}
        return LocalSpec(argv, str(cwd), surroundings, **rest)

    return kernel


@pytest.fixture
def forker(warden):
    return LocalLauncher(warden, fork=True)
