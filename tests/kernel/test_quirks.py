"""What is known of particular kernels; tests/real/test_every_kernel.py shows that it helps."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest
from IPython.core.interactiveshell import InteractiveShell

from moorage.discovery.kernelspec import KernelSpec
from moorage.kernel.late_output import LateOutput
from moorage.kernel.message_numbers import Numbers
from moorage.kernel.published import Counts
from moorage.kernel.quirks import (
    ends_by_shell,
    interrupt_mode,
    late_output,
    preparation,
    preparation_for_another,
    published,
    published_elsewhere,
)


def spec(*argv):
    return KernelSpec("k", argv, "K", "k")


def test_deno_is_interrupted_by_message_whatever_its_kernelspec_says():
    assert interrupt_mode(spec("deno", "jupyter"), {"implementation": "Deno kernel"}) == "message"


def test_every_other_kernel_as_its_kernelspec_says():
    for stated in ("signal", "message"):
        stating = replace(spec("x"), interrupt_mode=stated)
        assert interrupt_mode(stating, {"implementation": "ipython"}) == stated
        assert interrupt_mode(stating, {}) == stated


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
    assert ends_by_shell(spec(*argv), info) is built


def test_what_is_built_on_ipykernel_may_print_by_a_way_of_its_own():
    info = {"implementation": "Tee", "supported_features": ["kernel subshells"]}
    assert late_output(spec("x"), info) == LateOutput()


def test_output_that_may_be_late_is_waited_for():
    assert late_output(spec("deno", "jupyter"), {"implementation": "Deno kernel"}).mark
    assert late_output(spec("unknown"), {}) == LateOutput()
    assert late_output(spec("R"), {"implementation": "IRkernel"}) is None
    assert late_output(spec("python", "-m", "bash_kernel"), {"implementation": "bash_kernel"}) is None


def test_output_is_counted_where_the_publisher_may_drop_some():
    assert isinstance(published(spec("xpython"), {"implementation": "xeus-python"}), Counts)
    assert isinstance(published(spec("unknown"), {}), Numbers)
    assert isinstance(published(spec("docker", "run", "x"), {"implementation": "ipython"}), Numbers)
    launcher = ("python", "-m", "ipykernel_launcher", "-f", "{connection_file}")
    assert published(spec(*launcher), {"implementation": "ipython"}) is None
    assert published(spec("R"), {"implementation": "IRkernel"}) is None


def test_kernels_of_other_programs_are_believed_to_drop_some_whatever_their_kernelspec():
    launcher = ("python", "-m", "ipykernel_launcher", "-f", "{connection_file}")
    assert isinstance(published_elsewhere(spec(*launcher), {"implementation": "ipython"}, ()), Numbers)
    assert isinstance(published_elsewhere(spec("R"), {"implementation": "IRkernel"}, ()), Numbers)
    assert isinstance(published_elsewhere(spec(), {"implementation": "xeus-python"}, ()), Counts)


def test_a_limit_that_was_lifted_is_lifted_for_a_later_client_too():
    told = {"implementation": "IRkernel"}
    assert preparation_for_another(told) == preparation(told)
    assert preparation_for_another({"implementation": "xeus-python"}) is None
    assert preparation_for_another({"implementation": "ipython"}) is None
