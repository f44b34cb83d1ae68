"""The ``repr`` of kernels."""

from __future__ import annotations

import pytest

from moorage.kernel.shown import shown
from moorage.plan.lifecycle import Exited, Lost, Running, Starting


def ended(cause, code=None, signal=None):
    return Exited(since=1.0, cause=cause, code=code, signal=signal, last_output="", expected=True)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (Running(1.0, 4711, "stopped (SIGSTOP)"), "<Kernel python3 stopped (SIGSTOP), pid 4711, ipc>"),
        (Running(since=1.0, pid=4711), "<Kernel python3 running, pid 4711, ipc>"),
        (Starting(since=1.0), "<Kernel python3 starting, ipc>"),
        (Lost(since=1.0), "<Kernel python3 lost, ipc>"),
        (ended("code", code=3), "<Kernel python3 ended with exit code 3, ipc>"),
        (ended("signal", signal=11), "<Kernel python3 ended by SIGSEGV, ipc>"),
        (ended("signal", signal=63), "<Kernel python3 ended by signal 63, ipc>"),
        (ended("out of memory"), "<Kernel python3 ended: out of memory, ipc>"),
        (ended("deadline"), "<Kernel python3 ended: deadline, ipc>"),
        (ended("code"), "<Kernel python3 ended, ipc>"),
    ],
)
def test_it_tells_what_the_kernel_does_now(status, text):
    assert shown("Kernel", "python3", status, "ipc") == text


def test_what_is_not_known_is_left_out():
    assert shown("AttachedKernel", "ir", Running(since=1.0, pid=0)) == "<AttachedKernel ir running>"
