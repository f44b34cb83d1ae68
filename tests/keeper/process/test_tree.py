"""Killing a tree: all descendants, or a process group where no more can be had."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from moorage.keeper.process import tree


def group(code: str) -> subprocess.Popen:
    popen = subprocess.Popen(["sh", "-c", code], start_new_session=True, stdout=subprocess.PIPE)
    assert popen.stdout is not None
    assert popen.stdout.readline() == b"ready\n"
    return popen


def test_a_group_is_killed_with_all_that_is_in_it():
    with group("sleep 1000 & echo ready; sleep 1000") as popen:
        kill = tree.tree_kill(popen.pid, reaps_orphans=False)
        deadline = time.monotonic() + 30
        while not kill.strike():
            assert 0 < kill.pause() <= 500
            popen.poll()
            assert time.monotonic() < deadline
            time.sleep(kill.pause() / 1000)
        assert popen.wait() == -9
        assert kill.left == 0


@pytest.mark.skipif(sys.platform != "linux", reason="descendants are seen in /proc")
def test_descendants_are_looked_for_below_this_process():
    kill = tree.tree_kill(1, reaps_orphans=True)
    assert isinstance(kill, tree.DescendantKill)
    kill._own = os.getpid() if not kill._own else 2**22 + 1  # a process that is not there
    assert not kill.strike()
    assert kill.pause() == 0
    assert kill.strike(), "two looks have found nothing"
    assert kill.left == 0
