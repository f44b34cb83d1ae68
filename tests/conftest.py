"""What every test gets."""

from __future__ import annotations

import signal

import pytest


def pytest_configure() -> None:
    """End by SIGTERM as by Ctrl-C: what tests start leads sessions of its own, and only they tidy it up."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
