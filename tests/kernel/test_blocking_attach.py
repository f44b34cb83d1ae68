"""Attaching without async, and the process of a kernel."""

from __future__ import annotations

import pytest

from moorage.errors import UsageError
from moorage.kernel import blocking
from moorage.plan.lifecycle import Running


def test_attaching_leaves_the_kernel_running():
    with blocking.launch("python3") as own:
        own.execute("x = 6 * 7")
        with blocking.attach(own.connection_file) as kernel:
            assert kernel.execute("x").text == "42\n"
            assert repr(kernel).startswith("<AttachedKernel ")
            assert "running" in repr(kernel)
            with pytest.raises(UsageError):
                kernel.restart()
        with pytest.raises(UsageError, match="the kernel's block has ended"):
            kernel.execute("x")
        assert isinstance(own.status, Running)


def test_a_process_tells_its_pid_and_how_it_ended():
    with blocking.launch("python3") as kernel:
        process = kernel.process
        assert repr(process) == f"<Process {process.pid}>"
        assert process.memory() > 10_000_000
    assert repr(process) == f"<Process {process.pid}, exit code 0>"
