"""What is known of particular kernels; tests/real/test_every_kernel.py shows that it helps."""

from __future__ import annotations

import signal

import pytest
from IPython.core.interactiveshell import InteractiveShell

from moorage.kernel.late_output import LateOutput
from moorage.kernel.published import Counts, Numbers
from moorage.kernel.quirks import ends_by_shell, interrupt_mode, late_output, preparation, published


def test_deno_is_interrupted_by_message_whatever_its_kernelspec_says():
    assert interrupt_mode("signal", {"implementation": "Deno kernel"}) == "message"


def test_every_other_kernel_as_its_kernelspec_says():
    for stated in ("signal", "message"):
        assert interrupt_mode(stated, {"implementation": "ipython"}) == stated
        assert interrupt_mode(stated, {}) == stated


def test_xeus_python_can_be_interrupted_while_a_cell_runs_and_no_other_kernel_is_touched():
    shell = InteractiveShell()
    previous = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        names = set(shell.user_ns)
        shell.run_cell(preparation({"implementation": "xeus-python"}), silent=True, store_history=False)
        assert set(shell.user_ns) == names
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        shell.run_cell("seen = __import__('signal').getsignal(2)", silent=True)
        assert shell.user_ns["seen"] is signal.default_int_handler
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, previous)
    assert preparation({"implementation": "ipython"}) is None
    assert preparation({}) is None


class Mock:
    """What xeus-python in raw mode has for an IPython."""


def test_xeus_python_in_raw_mode_is_interrupted_where_python_runs():
    previous = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        exec(preparation({"implementation": "xeus-python"}), {"get_ipython": Mock})
        handler = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert handler(signal.SIGINT, None) is None  # in xeus's own loop
    finally:
        signal.signal(signal.SIGINT, previous)


@pytest.mark.parametrize(
    ("argv", "info", "built"),
    [
        (("python", "-m", "ipykernel_launcher"), {}, True),
        (("x",), {"implementation": "ipython"}, True),
        (("x",), {"implementation": "Tee", "supported_features": ["kernel subshells", "debugger"]}, True),
        (("x",), {"implementation": "xeus-python", "supported_features": []}, False),
        (("x",), {"supported_features": "kernel subshells"}, False),
        (("x",), {}, False),
    ],
)
def test_what_is_built_on_ipykernel_says_so(argv, info, built):
    assert ends_by_shell(argv, info) is built


def test_what_is_built_on_ipykernel_may_print_by_a_way_of_its_own():
    info = {"implementation": "Tee", "supported_features": ["kernel subshells"]}
    assert late_output(("x",), info) == LateOutput()


def test_output_that_may_be_late_is_waited_for():
    assert late_output(("deno", "jupyter"), {"implementation": "Deno kernel"}).mark
    assert late_output(("unknown",), {}) == LateOutput()
    assert late_output(("R",), {"implementation": "IRkernel"}) is None
    assert late_output(("python", "-m", "bash_kernel"), {"implementation": "bash_kernel"}) is None


def test_output_is_counted_where_the_publisher_may_drop_some():
    assert isinstance(published(("xpython",), {"implementation": "xeus-python"}), Counts)
    assert isinstance(published(("unknown",), {}), Numbers)
    assert isinstance(published(("docker", "run", "x"), {"implementation": "ipython"}), Numbers)
    launcher = ("python", "-m", "ipykernel_launcher", "-f", "{connection_file}")
    assert published(launcher, {"implementation": "ipython"}) is None
    assert published(("R",), {"implementation": "IRkernel"}) is None
