from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from moorage.discovery.cache import NamedPlace
from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import UsageError
from moorage.jupyter.placing import adapted, placed
from moorage.places.here import Here
from moorage.process.options import ProcessOptions

PYTHON = KernelSpec(
    "python3", ("python", "-m", "ipykernel_launcher", "-f", "{connection_file}"), "P", "python"
)
ISOLATED = Here(isolate="net")
BOX = NamedPlace("the box")
PROCESS = ProcessOptions(umask=0o77)


def test_a_kernel_runs_where_its_type_says() -> None:
    assert placed(PYTHON, None) == placed(PYTHON, None, independent=True) == Here()
    assert placed(PYTHON, PROCESS) == Here(process=PROCESS)
    assert placed(replace(PYTHON, place=ISOLATED), PROCESS) == Here(isolate="net", process=PROCESS)
    assert placed(replace(PYTHON, place=BOX), None) is BOX
    with pytest.raises(UsageError, match="It runs on the box, and they are this machine's"):
        placed(replace(PYTHON, place=BOX), PROCESS)


@pytest.mark.parametrize("place", [ISOLATED, BOX, Here(wrap=lambda inner: inner), Here(process=PROCESS)])
def test_what_a_process_of_no_place_would_lack_is_not_left_out(place: Any) -> None:
    with pytest.raises(UsageError, match="as a process that moorage does not own"):
        placed(replace(PYTHON, place=place), None, independent=True)
    assert placed(replace(PYTHON, place=Here(fork=False)), None, independent=True) == Here(fork=False)


def test_an_adapter_stands_in_for_what_listens_at_this_machines_ports() -> None:
    wrapped = Here(wrap=lambda inner: inner)
    assert adapted(PYTHON) == Here(fork=False)
    assert adapted(replace(PYTHON, place=wrapped)) == replace(wrapped, fork=False)
    for place in (ISOLATED, BOX):
        with pytest.raises(UsageError, match="no adapter can register the kernel type spec/python3"):
            adapted(replace(PYTHON, place=place))
