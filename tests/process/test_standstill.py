"""Processes that are stopped, by a signal or by a debugger."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from command import until
from moorage.process.standstill import STOPPED, TRACED, catches, look

SLEEP = "import signal, time; signal.signal(15, print); print(1, flush=True); time.sleep(3600)"
ATTACH, DETACH = 16, 17
"""Requests of ptrace(2)."""


@contextlib.contextmanager
def started(*argv):
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout.readline() == b"1\n"
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_one_that_runs_and_one_that_is_stopped():
    with started(sys.executable, "-c", SLEEP) as pid:
        assert look(pid) == ""
        os.kill(pid, signal.SIGSTOP)
        assert until(lambda: look(pid) == STOPPED)
        os.kill(pid, signal.SIGCONT)
        assert until(lambda: not look(pid))
    assert look(pid) == ""  # it has ended


def test_one_below_another_counts_where_its_command_has_the_file():
    with started("sh", "-c", f'{sys.executable} -c "{SLEEP}" /x/k.json; true') as pid:
        (child,) = children(pid)
        os.kill(child, signal.SIGSTOP)
        assert until(lambda: look(pid, "/x/k.json") == STOPPED)
        assert look(pid) == look(pid, "/y/k.json") == ""


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_one_that_a_debugger_holds():
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    with started(sys.executable, "-c", SLEEP) as pid:
        if ptrace(ATTACH, pid, 0, 0):
            pytest.skip(f"no process may be traced here: {os.strerror(ctypes.get_errno())}")
        os.waitpid(pid, os.WUNTRACED)
        assert look(pid) == TRACED
        ptrace(DETACH, pid, 0, 0)
        assert until(lambda: not look(pid))


def test_what_it_catches():
    with started(sys.executable, "-c", SLEEP) as pid:
        assert catches(pid, signal.SIGINT)  # CPython's own
        assert catches(pid, signal.SIGTERM)
        assert not catches(pid, signal.SIGUSR1)
    assert not catches(pid, signal.SIGTERM)
