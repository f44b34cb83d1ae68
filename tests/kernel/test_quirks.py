"""What is known of particular kernels; tests/real/test_every_kernel.py shows that it helps."""

from __future__ import annotations

from mooring.kernel.quirks import interrupt_mode, preparation


def test_deno_is_interrupted_by_message_whatever_its_kernelspec_says():
    assert interrupt_mode("signal", {"implementation": "Deno kernel"}) == "message"


def test_every_other_kernel_as_its_kernelspec_says():
    for stated in ("signal", "message"):
        assert interrupt_mode(stated, {"implementation": "ipython"}) == stated
        assert interrupt_mode(stated, {}) == stated


def test_xeus_python_gets_the_handler_of_python_back_and_no_other_kernel_is_touched():
    import signal

    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        names = {}
        eval(preparation({"implementation": "xeus-python"}), names)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert set(names) == {"__builtins__"}, "it leaves no name behind"
    finally:
        signal.signal(signal.SIGINT, previous)
    assert preparation({"implementation": "ipython"}) is None
    assert preparation({}) is None
