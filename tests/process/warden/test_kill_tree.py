"""The killing of one family; with a whole tree it is tried in test_local and test_warden."""

from __future__ import annotations

import signal
import subprocess

from moorage.process import procfs
from moorage.process.warden.kill_tree import TreeKill


def test_all_are_stopped_before_one_is_killed():
    children = [subprocess.Popen(["sleep", "3600"]) for _ in range(2)]
    family = [procfs.look(child.pid) for child in children]
    hunt = TreeKill()
    assert not hunt.strike(family[:1])
    assert not hunt.strike(family)  # somebody new: stopped, nobody killed yet
    assert [child.poll() for child in children] == [None, None]
    assert hunt.pause() == 0
    assert not hunt.strike(family)
    assert [child.wait() for child in children] == [-signal.SIGKILL] * 2
    assert hunt.pause() > 0
    assert not hunt.strike([])
    assert hunt.strike([])
    assert hunt.left == 0


def test_who_may_not_be_killed_ends_the_hunt(monkeypatch):
    monkeypatch.setattr(procfs, "send", lambda *_: False)  # as for a set-user-id program
    child = subprocess.Popen(["sleep", "3600"])
    family = [procfs.look(child.pid)]
    hunt = TreeKill()
    assert not hunt.strike(family)
    assert hunt.strike(family)
    assert hunt.left == 1
    child.kill()
    child.wait()
