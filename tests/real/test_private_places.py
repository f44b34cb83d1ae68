"""Where /tmp is full or read-only, private files go elsewhere, or every place is named."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

LAUNCH = """
import asyncio
import moorage
from moorage.process.local import shared_warden
async def main():
    async with shared_warden() as warden, moorage.launch("python3") as kernel:
        result = await kernel.execute("6 * 7")
        print(warden.directory.parent, result.outputs[0]["data"]["text/plain"])
asyncio.run(main())
"""
FULL = "mount -t tmpfs -o size=4k,nr_inodes=20 none /tmp && dd if=/dev/zero of=/tmp/all bs=4k 2>/dev/null"
READ_ONLY = "mount -t tmpfs -o ro none /tmp"


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> None:
    if Path(sys.prefix).is_relative_to("/tmp"):
        pytest.skip(f"{sys.prefix} lies in /tmp, which these tests cover up")
    done = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], check=False)
    if done.returncode:
        pytest.skip("this user may not make a mount namespace")


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mt-", dir="/var/tmp") as name:
        yield Path(name)


def launched(tmp: str, **env: str) -> subprocess.CompletedProcess[str]:
    left_out = {"XDG_RUNTIME_DIR", "TMPDIR", "JUPYTER_RUNTIME_DIR"}
    surroundings = {key: value for key, value in os.environ.items() if key not in left_out} | env
    command = f"{tmp}; exec {shlex.join([sys.executable, '-c', LAUNCH])}"
    argv = ["unshare", "-m", "sh", "-c", command]
    return subprocess.run(argv, env=surroundings, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("tmp", [FULL, READ_ONLY], ids=["full", "read-only"])
@pytest.mark.parametrize("name", ["TMPDIR", "JUPYTER_RUNTIME_DIR"])
def test_another_place_is_taken(elsewhere: Path, tmp: str, name: str) -> None:
    done = launched(tmp, **{name: str(elsewhere)})
    assert done.stdout == f"{elsewhere} 42\n", done.stderr


@pytest.mark.parametrize(
    ("tmp", "why"),
    [(FULL, "No space left on device"), (READ_ONLY, "Read-only file system")],
    ids=["full", "read-only"],
)
def test_where_there_is_none_every_place_is_named(tmp: str, why: str) -> None:
    done = launched(tmp, XDG_RUNTIME_DIR="/no/such/runtime")
    said = done.stderr.splitlines()[-1]
    assert f"/no/such/runtime: No such file or directory; /tmp: {why}" in said
    assert "set TMPDIR" in said


def test_a_runtime_directory_that_went_and_came_back(elsewhere: Path) -> None:
    script = """
import asyncio, os, shutil, sys
import moorage
runtime = os.environ["XDG_RUNTIME_DIR"]
async def one():
    async with moorage.launch("python3") as kernel:
        result = await kernel.execute("6 * 7")
        print(kernel.connection_file.parent.parent.parent, result.outputs[0]["data"]["text/plain"])
async def main():
    await one()
    shutil.rmtree(runtime)
    await one()
    os.mkdir(runtime, 0o700)
    await one()
asyncio.run(main())
"""
    runtime = elsewhere / "r"
    runtime.mkdir(mode=0o700)
    env = {**os.environ, "XDG_RUNTIME_DIR": str(runtime)}
    argv = [sys.executable, "-c", script]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines() == [f"{runtime} 42", "/tmp 42", "/tmp 42"], done.stderr
