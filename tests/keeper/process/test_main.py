"""The keeper as a process: whose child it is, what it holds, that it needs nothing of moorage."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


def test_it_leaves_its_parent_and_leads_a_session(keeper):
    keeper.begin("sleep", "1000")
    assert os.getsid(keeper.pid) == keeper.pid
    fields = Path(f"/proc/{keeper.pid}/stat").read_text().rpartition(")")[2].split()
    assert int(fields[1]) != os.getpid()
    assert Path(f"/proc/{keeper.pid}/cwd").resolve() == keeper.directory


def test_no_secret_is_in_its_arguments_or_its_environment(keeper):
    keeper.begin("sleep", "1000", env={"SECRET": "k7~k7~k7", "PATH": os.environ["PATH"]})
    for name in ("cmdline", "environ"):
        assert b"k7~k7" not in Path(f"/proc/{keeper.pid}/{name}").read_bytes()
    for path in keeper.directory.iterdir():
        if path.is_file():
            assert b"k7~k7" not in path.read_bytes(), path


def test_its_charge_inherits_no_descriptor_of_its(keeper, until):
    told = keeper.begin("sleep", "1000")
    here = Path(f"/proc/{told['pid']}/fd")
    until(lambda: sorted(path.name for path in here.iterdir()) == ["0", "1", "2"])  # it loads libraries first


def test_it_loads_the_standard_library_alone(keeper):
    keeper.begin("sleep", "1000")
    maps = Path(f"/proc/{keeper.pid}/maps").read_text()
    assert "site-packages" not in maps
