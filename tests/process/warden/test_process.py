"""The warden as a process: its start, its imports, its stopping."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from moorage.errors import MoorageError
from moorage.process.warden import process as warden_process

pytestmark = pytest.mark.anyio


async def test_a_started_warden_says_hello_and_can_be_stopped():
    process = warden_process.start()
    directory, launches = await warden_process.hello(process)
    assert (directory.is_dir(), launches) == (True, 0)
    assert process.may_put(0)
    process.stop()
    assert not directory.exists()
    assert process.popen.returncode == 0


async def test_one_started_ahead_that_nobody_takes_is_stopped():
    with pytest.raises(KeyError), warden_process.started_ahead() as process:  # noqa: PT012 - the block is what is tested
        directory, _ = await warden_process.hello(process)
        raise KeyError
    assert not directory.exists()
    assert process.popen.returncode == 0


async def test_where_none_can_be_started_ahead_there_is_none(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with warden_process.started_ahead() as process:
        assert process is None


async def test_the_warden_loads_no_package_and_little_else():
    program = Path(warden_process.__file__).with_name("main.py")
    code = """
import sys
path = sys.argv[1]
exec(compile(open(path).read(), path, "exec"), {"__name__": "warden", "__package__": None, "__file__": path})
heavy = ("moorage", "typing", "pathlib", "subprocess", "shutil", "asyncio")
print([name for name in heavy if name in sys.modules])
"""
    command = [sys.executable, "-I", "-S", "-E", "-c", code, str(program)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr


async def test_other_systems_are_refused_in_a_sentence(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(MoorageError, match="works on Linux only so far"):
        warden_process.start()
