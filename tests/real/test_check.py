"""``mooring kernels check`` on real kernels."""

from __future__ import annotations

import json

import pytest

from command import Command
from mooring.discovery.kernelspec import names

pytestmark = pytest.mark.real

KNOWN = {
    # What is known to be otherwise than required, in the versions tried.
    "python3": set(),
    "xpython": set(),
    "bash": set(),
    "deno": set(),
    "ir": set(),
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_kernel(mooring: Command, name: str):
    if name not in names():
        pytest.skip(f"there is no {name} here")
    mooring.env["DENO_DIR"] = str(mooring.runtime.parent / "mooring-tests-deno")
    mooring.env.pop("PYTEST_CURRENT_TEST", None)  # under pytest ipykernel reads no child's output
    done = mooring("kernels", "check", name, "--starts", "2", "--json")
    told = json.loads(done.stdout)
    failed = {each["name"]: each["why"] for each in told["checks"] if each["outcome"] == "FAIL"}
    assert set(failed) <= KNOWN[name], failed
    assert done.code == (1 if failed else 0)
