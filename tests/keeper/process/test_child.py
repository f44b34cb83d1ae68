"""What a keeper's forked child reports before it is its program; that it becomes it, test_charge.py has."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from moorage.keeper.process import child

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="keepers need fork")


def become(spec: dict[str, Any], execute: Any) -> tuple[bytes, int]:
    """Return what is reported, and the exit code."""
    reader, writer = os.pipe()
    parent = child.Parent(None, reader)
    null = os.open(os.devnull, os.O_RDWR)
    pid = child.fork(spec)
    if pid == 0:
        child.become(spec, null, writer, -1, parent, execute, None)
    os.close(writer)
    os.close(null)
    with os.fdopen(reader, "rb") as file:
        return file.read(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


SPEC = {"argv": ["a\udcff"], "env": {"B": "c"}, "cwd": "/usr", "umask": 0o27}


def test_each_step_has_its_name() -> None:
    def refused(argv: list[bytes], env: dict[bytes, bytes], report: int) -> None:
        raise PermissionError(errno.EACCES, "no")

    assert become({**SPEC, "cwd": "/nowhere/at/all"}, refused) == (b"chdir 2", 127)
    assert become({**SPEC, "groups": ["/nowhere/cgroup.procs"]}, refused) == (b"groups 2", 127)
    assert become(SPEC, refused) == (b"exec 13", 127)
    assert become({**SPEC, "argv": ["/nowhere/at/all"]}, None) == (b"exec 2", 127)


def test_it_leads_a_session_with_no_signal_ignored() -> None:
    def execute(argv: list[bytes], env: dict[bytes, bytes], report: int) -> None:
        ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        said = [argv[0], *env, bytes(Path.cwd()), b"%o" % os.umask(0), b"%d" % (os.getsid(0) == os.getpid())]
        os.write(report, b" ".join([*said, b"%d" % ignored]))
        os._exit(0)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert become(SPEC, execute) == (b"a\xff B /usr 27 1 0", 0)
        signal.signal(signal.SIGHUP, lambda *_: None)
        assert become(SPEC, execute) == (b"a\xff B /usr 27 1 0", 0)
    finally:
        signal.signal(signal.SIGHUP, before)
