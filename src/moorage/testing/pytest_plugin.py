"""Fixtures of pytest for tests that need kernels.

Name it in a ``conftest.py``: ``pytest_plugins = ["moorage.testing.pytest_plugin"]``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from moorage.discovery.kernelspec import KernelSpec
from moorage.kernel import blocking
from moorage.kernel.blocking import StartedKernel
from moorage.process.warden.shared import close


class LaunchKernel(Protocol):
    """Launches a kernel that ends with the test."""

    def __call__(self, kernel_type: str | KernelSpec = "python3", **options: Any) -> StartedKernel:
        """Launch it.

        Args:
            kernel_type: a name or a kernelspec.
            **options: those of :func:`moorage.blocking.start`: ``cwd``, ``env``, ``timeout`` and so on. The
                working directory is the test's ``tmp_path`` unless ``cwd`` says otherwise.

        Returns:
            The kernel, ready. Its ``close()`` ends it before the test does.
        """
        ...


@pytest.fixture(scope="session")
def moorage_session() -> Iterator[None]:
    """End what moorage keeps between launches when the last test is over."""
    yield
    close()


@pytest.fixture
def launch_kernel(moorage_session: None, tmp_path: Path) -> Iterator[LaunchKernel]:  # noqa: ARG001 - to be ended after the kernels
    """Launch kernels that end with the test: ``launch_kernel("python3", env={"X": "1"})``."""
    with ExitStack() as stack:

        def launch(kernel_type: str | KernelSpec = "python3", **options: Any) -> StartedKernel:
            return stack.enter_context(blocking.start(kernel_type, **{"cwd": tmp_path, **options}))

        yield launch


@pytest.fixture
def kernel(request: pytest.FixtureRequest, launch_kernel: LaunchKernel) -> StartedKernel:
    """Give the test a kernel of its own: ``python3``, or what indirect parameters name."""
    return launch_kernel(getattr(request, "param", "python3"))
