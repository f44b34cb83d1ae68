"""What a kernelspec of Jupyter's stands for."""

from __future__ import annotations

import asyncio

import pytest
from jupyter_client.kernelspec import KernelSpec

from moorage.errors import LaunchError, MoorageError
from moorage.jupyter.kernel_type import kernel_type


def test_a_kernelspec_is_a_kernel_type() -> None:
    spec = KernelSpec(argv=["python", "-m", "x"], display_name="X", language="x", resource_dir="/somewhere")
    found = asyncio.run(kernel_type(spec, "called"))
    assert (found.name, found.argv, found.display_name) == ("called", ("python", "-m", "x"), "X")
    assert str(found.resource_dir) == "/somewhere"


def test_one_that_stands_for_another_is_that_one() -> None:
    spec = KernelSpec(argv=["python"], metadata={"moorage": {"kernel_type": "nowhere/at-all"}})
    with pytest.raises(MoorageError, match="at-all"):
        asyncio.run(kernel_type(spec, "called"))


def test_one_that_cannot_be_activated_is_told() -> None:
    spec = KernelSpec(argv=["/bin/sh"], metadata={"moorage": {"activate": True}})
    with pytest.raises(LaunchError, match="called"):
        asyncio.run(kernel_type(spec, "called"))
