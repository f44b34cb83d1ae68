"""Landlock, where there is one: nothing is written outside some folders."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform == "linux":
    from moorage.process.walls import landlock

pytestmark = pytest.mark.skipif(sys.platform != "linux" or landlock.version() == 0, reason="no Landlock here")

CODE = """
import ctypes, os, sys
sys.path.append(sys.argv[1])
import landlock
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
landlock.restrict([sys.argv[2], "/nowhere"])
def tried(what):
    try:
        what()
    except OSError as error:
        return error.errno
    return 0
here, there = sys.argv[2:]
print(tried(lambda: open(here + "/new", "w")), tried(lambda: os.rename(here + "/new", here + "/newer")),
      tried(lambda: open(there + "/new", "w")), tried(lambda: open(there + "/old", "w")),
      tried(lambda: os.unlink(there + "/old")), tried(lambda: os.mkdir(there + "/folder")),
      tried(lambda: os.rename(there + "/old", here + "/old")), tried(lambda: open(there + "/old")))
"""


def test_what_is_not_named_can_be_read_alone(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    (tmp_path / "there" / "old").write_text("as it was")
    module = Path(landlock.__file__).parent
    done = subprocess.run(
        [sys.executable, "-I", "-c", CODE, module, tmp_path / "here", tmp_path / "there"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    *numbers, moved, read = map(int, done.stdout.split())
    assert numbers == [0, 0, *[errno.EACCES] * 4]
    assert moved in (errno.EACCES, errno.EXDEV)
    assert read == 0
    assert (tmp_path / "there" / "old").read_text() == "as it was"


def test_older_versions_hold_back_what_they_know() -> None:
    held = [landlock.rights(abi) for abi in (1, 2, 3, 7)]
    assert held == [0x1FF2, 0x3FF2, 0x7FF2, 0x7FF2]


def test_a_process_that_may_gain_privileges_gets_none() -> None:
    if os.geteuid() == 0:
        pytest.skip("root may have it all the same")
    code = "import sys; sys.path.append(sys.argv[1]); import landlock; landlock.restrict(['/tmp'])"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, Path(landlock.__file__).parent],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Operation not permitted" in done.stderr
