"""Which rendezvous a kernel gets."""

from __future__ import annotations

import sys

import pytest

from mooring.errors import UsageError
from mooring.rendezvous.choice import choose, is_ipykernel, make

IPYKERNEL = ("/opt/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}")
XPYTHON = ("/opt/bin/xpython", "-f", "{connection_file}")


@pytest.mark.parametrize(
    ("argv", "is_one"),
    [
        (IPYKERNEL, True),
        (("python", "-m", "ipykernel", "-f", "x"), True),
        (("python", "-m", "ipykernel.kernelapp", "-f", "x"), True),
        (("python", "-m", "bash_kernel", "-f", "x"), True),
        (XPYTHON, False),
        (("R", "--slave", "-e", "IRkernel::main()", "--args", "x"), False),
        (("python", "-m", "my_ipykernel_thing"), False),
        ((), False),
    ],
)
def test_ipykernel_and_its_wrappers_are_known(argv, is_one):
    assert is_ipykernel(argv) is is_one


@pytest.mark.skipif(sys.platform != "linux", reason="this is Linux's choice")
def test_auto():
    assert choose(IPYKERNEL) == "ipc"
    assert choose(XPYTHON) == "hold"


@pytest.mark.parametrize("way", ["ipc", "hold", "self-bind"])
def test_what_is_insisted_on(way):
    assert choose(IPYKERNEL, way) == way


@pytest.mark.parametrize(
    ("argv", "way"), [(IPYKERNEL, "handshake"), (XPYTHON, "self-bind"), ((), "self-bind")]
)
def test_what_cannot_work_is_refused_before_anything_is_done(argv, way):
    with pytest.raises(UsageError):
        choose(argv, way)


def test_the_handshake_is_not_there_yet(directory):
    with pytest.raises(UsageError):
        make("handshake", directory, b"", "")
    assert list(directory.iterdir()) == []
