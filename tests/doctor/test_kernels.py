"""The kernel types: found, and started."""

from __future__ import annotations

import json
import sys

import pytest

from command import write
from moorage.discovery.base import KernelType, Lack
from moorage.discovery.kernelspec import KernelSpec
from moorage.doctor.kernels import kernels, looked_at, started

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="launching needs Linux"),
]

PYTHON = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]


def spec(*argv: str) -> KernelSpec:
    return KernelSpec("mine", argv, "Mine", "python")


async def test_all_that_is_found_is_looked_at(tmp_path, monkeypatch):
    for name, argv in (("good", PYTHON), ("bad", ["/no/such/kernel", "{connection_file}"])):
        text = json.dumps({"argv": argv, "display_name": name, "language": "python"})
        write(tmp_path / "kernels" / name, {"kernel.json": text})
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    found = {each.finding.about: each async for each in kernels(start=False, timeout=60)}
    assert (found["good"].finding.level, found["good"].rendezvous) == ("ok", "ipc")
    assert found["bad"].display_name == "bad"


async def test_what_lacks_something_says_what_to_type():
    found = looked_at(
        KernelType(spec("x"), lack=Lack("ipykernel is not in it", "Type: pip install ipykernel"))
    )
    assert (found.finding.level, found.rendezvous) == ("warn", None)
    assert found.finding.do == "Type: pip install ipykernel"


@pytest.mark.real
async def test_a_started_one_says_what_it_is_and_how_long_it_took():
    found = await started(KernelType(spec(*PYTHON)), 60)
    assert (found.finding.level, found.rendezvous) == ("ok", "ipc")
    assert found.finding.says.startswith("ipython ")
    assert found.finding.seconds > 0


async def test_one_that_does_not_start_fails_with_its_reason():
    found = await started(KernelType(spec("/no/such/kernel", "{connection_file}")), 60)
    assert found.finding.level == "fail"
    assert "there is no program '/no/such/kernel'" in found.finding.says
    assert found.finding.do
