"""Private directories: closed to all others, given to one user where that is asked for, gone afterwards."""

from __future__ import annotations

import os
import signal
import stat
import sys

import pytest

from moorage.process.kernel_directory import hand_over, private_directory

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="launching needs Linux")]
NOBODY = (65534, 65534)


async def test_ours_lies_in_the_wardens(warden):
    with private_directory(warden, None) as directory:
        assert directory.parent == warden.directory
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        hand_over(directory, None)
        assert directory.stat().st_uid == os.getuid()
    assert not directory.exists()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root gives files away")
async def test_anothers_can_be_entered_by_that_user_alone(warden, tmp_path):
    theirs = tmp_path / "not theirs"
    theirs.touch()
    with private_directory(warden, NOBODY) as directory:
        (directory / "kernel.json").touch(0o600)
        (directory / "link").symlink_to(theirs)
        hand_over(directory, NOBODY)
        assert (directory.stat().st_uid, stat.S_IMODE(directory.stat().st_mode)) == (65534, 0o700)
        assert (directory / "kernel.json").stat().st_uid == 65534
        assert theirs.stat().st_uid == 0
        outer = directory.parent.stat()
        assert (outer.st_uid, stat.S_IMODE(outer.st_mode)) == (0, 0o711)
    assert not directory.parent.exists()


async def test_it_goes_with_the_warden(warden, until):
    with private_directory(warden, NOBODY) as directory:
        (directory / "file").touch()
        os.kill(warden.pid, signal.SIGTERM)
        await until(lambda: not directory.parent.exists())
