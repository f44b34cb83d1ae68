"""What every test gets."""

from __future__ import annotations

import os
import signal

import hypothesis
import pytest


def pytest_configure() -> None:
    """Prepare the session.

    SIGTERM ends it as Ctrl-C does: what tests start leads sessions of its own, and only they tidy it up. A
    shell's background job ignores Ctrl-C; the tests that press it need it. No example
    fails because the machine is busy; where CI is set, hypothesis has a profile that says so, too.
    """
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.default_int_handler)
    if "CI" not in os.environ:
        slow = [hypothesis.HealthCheck.too_slow]
        hypothesis.settings.register_profile("here", deadline=None, suppress_health_check=slow)
        hypothesis.settings.load_profile("here")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
