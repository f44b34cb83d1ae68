"""Starts under a port storm: jobs pass through JSON, and failures are reported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from moorage.discovery.kernelspec import KernelSpec, native
from moorage.testing.storm import job_of, spec_of, start_in_storm

pytestmark = pytest.mark.anyio

MADE = KernelSpec(
    "made",
    ("a", "{connection_file}"),
    "Made",
    "odd",
    env={"A": "b"},
    interrupt_mode="message",
    metadata={"moorage": {"rendezvous": "hold"}},
    resource_dir=Path("/tmp"),
    protocol_version="5.6",
    provider="env",
)


def test_a_kernel_type_passes_through_json():
    assert spec_of(json.loads(json.dumps(job_of(MADE, 3)))) == MADE


def test_one_in_an_environment_goes_by_its_name():
    job = {**job_of(native(), 1), "spec": None}
    assert spec_of(job).name == "python3"


@pytest.mark.real
async def test_failures_are_reported():
    storm = await start_in_storm(
        KernelSpec("made", (sys.executable, "-c", "exit(3)", "{connection_file}"), "", ""), 2
    )
    assert storm.seconds == ()
    assert len(storm.failures) == 2
    assert "exit code 3" in storm.failures[0]


@pytest.mark.real
def test_as_a_program(tmp_path):
    job, result = tmp_path / "job", tmp_path / "result"
    job.write_text(json.dumps(job_of(native(), 2)))
    done = subprocess.run(
        [sys.executable, "-m", "moorage.testing.storm", job, result],
        timeout=100,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(result.read_text())
    assert (len(told["seconds"]), told["ways"], told["failures"]) == (2, {"ipc": 2}, [])
