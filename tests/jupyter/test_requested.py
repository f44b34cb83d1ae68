from __future__ import annotations

from typing import Any

import pytest
from jupyter_client.manager import KernelManager
from jupyter_client.multikernelmanager import MultiKernelManager
from traitlets.config import Config

from moorage.discovery.cache import NamedPlace
from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import UsageError
from moorage.jupyter.requested import Requested
from moorage.places.here import Here
from moorage.rendezvous.choice import decide

PYTHON = KernelSpec(
    "python3", ("python", "-m", "ipykernel_launcher", "-f", "{connection_file}"), "P", "python"
)
XEUS = KernelSpec("xpython", ("xpython", "-f", "{connection_file}"), "X", "python", protocol_version="5.6")
OTHER = KernelSpec("other", ("other", "{connection_file}"), "O", "other")
ISOLATED = Here(isolate="net")


class Box(NamedPlace):
    """A place of another kind, which can do what this machine can."""

    def ways(self, kernel: Any, wanted: Any) -> Any:
        return decide(kernel, wanted)


BOX = Box("the box")


def manager(**said: Any) -> KernelManager:
    config = Config()
    config.KernelManager.update(said)
    return KernelManager(config=config, kernel_name="python3")


def ways(one: KernelManager, kernel: KernelSpec, wanted: Any = "auto", place: Any = Here()) -> Any:  # noqa: B008 - frozen
    return Requested.of(one).ways(one, kernel, wanted, place)


@pytest.mark.parametrize(
    ("kernel", "said", "first"),
    [
        (PYTHON, {}, "ipc"),
        (OTHER, {}, "hold"),
        (XEUS, {}, "handshake"),
        (PYTHON, {"transport": "ipc"}, "ipc"),
        (PYTHON, {"transport": "tcp"}, "hold"),
        (PYTHON, {"ip": "127.0.0.1"}, "hold"),
        (PYTHON, {"shell_port": 4711}, "hold"),
        (XEUS, {"shell_port": 4711}, "hold"),
        (XEUS, {"ip": "0.0.0.0"}, "hold"),
    ],
)
def test_what_a_managers_caller_requested_counts(
    kernel: KernelSpec, said: dict[str, Any], first: str
) -> None:
    one = manager(**said)
    assert ways(one, kernel)[0] == first


def test_a_servers_kernels_use_ports() -> None:
    one = KernelManager(parent=MultiKernelManager())
    assert ways(one, PYTHON) == ("hold",)
    assert ways(one, PYTHON, "ipc") == ("ipc",)


def test_what_a_key_or_encryption_forbids_is_not_done() -> None:
    one = manager()
    one.session.key = b""
    assert ways(one, XEUS) == ("hold",)
    with pytest.raises(UsageError):
        ways(one, XEUS, "handshake")
    one = KernelManager(transport_encryption="required")
    assert ways(one, XEUS) == ("hold",)


def test_isolation_leaves_unix_sockets_and_refuses_ports_that_were_requested() -> None:
    served = KernelManager(parent=MultiKernelManager())
    for one in (manager(), served, manager(transport="ipc"), KernelManager(transport="ipc")):
        for kernel in (PYTHON, XEUS, OTHER):
            assert ways(one, kernel, place=ISOLATED)[0] == "ipc"
    for said in ({"transport": "tcp"}, {"ip": "127.0.0.1"}, {"shell_port": 4711}, {"ip": "0.0.0.0"}):
        with pytest.raises(UsageError, match="spec/python3 cannot listen where its manager says"):
            ways(manager(**said), PYTHON, place=ISOLATED)
    with pytest.raises(UsageError, match="hold rendezvous cannot be used with isolation"):
        ways(manager(), PYTHON, "hold", ISOLATED)


def test_elsewhere_the_place_says_how_to_agree_and_addresses_that_move_come_last() -> None:
    served = KernelManager(parent=MultiKernelManager())
    assert ways(manager(), PYTHON, place=BOX)[0] == "ipc"
    assert ways(manager(), XEUS, place=BOX) == ("hold",)
    assert ways(manager(), XEUS, "handshake", BOX) == ("handshake",)
    assert ways(served, PYTHON, place=BOX) == ("hold",)
    assert ways(served, PYTHON, "ipc", BOX) == ("ipc",)


@pytest.mark.parametrize(
    "said", [{"transport": "tcp"}, {"transport": "ipc"}, {"ip": "0.0.0.0"}, {"hb_port": 1}]
)
def test_elsewhere_no_address_can_be_requested(said: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="It runs on the box, and is led to from here"):
        ways(manager(**said), PYTHON, place=BOX)


def test_elsewhere_nothing_is_encrypted() -> None:
    able = KernelManager(transport_encryption="auto", kernel_name="python3")
    able._kernel_supports_curve_encryption = lambda: True  # type: ignore[method-assign]  # as newer ones do
    for one in (KernelManager(transport_encryption="required"), able):
        with pytest.raises(UsageError, match="cannot be encrypted"):
            ways(one, PYTHON, place=BOX)
    able._kernel_supports_curve_encryption = lambda: False  # type: ignore[method-assign]  # as others do
    assert ways(able, PYTHON, place=BOX)[0] == "ipc"
