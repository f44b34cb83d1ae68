"""The kernels of a server that may be ended: what is written down of them, and what of that is believed."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from traitlets.config import Config

pytest.importorskip("jupyter_server", reason="Jupyter Server is not installed")

from moorage.jupyter.kernels import KeptKernel, KeptKernels
from moorage.process.warden import joined

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="wardens need Linux")


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Config]:
    places = {"warden": str(tmp_path / "none"), "records": str(tmp_path / "records")}
    yield Config({"KeptKernels": places})
    joined._places.clear()


@pytest.mark.parametrize(
    "record",
    [
        "no JSON",
        "[]",
        "{}",
        json.dumps({"kernel": "python3", "file": "/nowhere.json", "info": {"kernel_id": "a"}, "launch": {}}),
    ],
)
def test_what_cannot_be_taken_over_is_told_and_forgotten(
    config: Config, tmp_path: Path, record: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "records").mkdir()
    file = tmp_path / "records" / "a.json"
    file.write_text(record)
    with caplog.at_level(logging.WARNING):
        kernels = KeptKernels(config=config, log=logging.getLogger("test"))
    assert kernels.list_kernel_ids() == []
    assert not file.exists()
    assert "kernel a could not be taken over" in caplog.text


def test_each_kernel_has_a_record_of_its_own(config: Config, tmp_path: Path) -> None:
    kernels = KeptKernels(config=config)
    kernel = kernels.kernel_manager_factory(parent=kernels)
    assert isinstance(kernel, KeptKernel)
    kernel.kernel_id = "b"
    assert kernel.record == tmp_path / "records" / "b.json"
    assert (tmp_path / "records").stat().st_mode & 0o777 == 0o700
