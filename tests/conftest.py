"""What every test gets."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator

import hypothesis
import pytest

from witness import descendants, stacks

BEFORE = 25.0
"""Seconds before a test's time limit at which its processes are looked at."""

# Examples are the same ones each time, so that a change alone can fail a test, and none fails because the
# machine is busy; `pytest --hypothesis-profile explore` tries others, and more of them.
for _name, _explores in (("same", False), ("explore", True)):
    hypothesis.settings.register_profile(
        _name,
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
        derandomize=not _explores,
        max_examples=500 if _explores else 100,
    )
hypothesis.settings.load_profile("same")


def pytest_configure() -> None:
    """Prepare the session.

    SIGTERM ends it as Ctrl-C does: what tests start leads sessions of its own, and only they tidy it up. A
    shell's background job ignores Ctrl-C; the tests that press it need it.
    """
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Have the report of a test that is about to meet its time limit say what its processes do."""
    marker = item.get_closest_marker("timeout")
    limit = float(marker.args[0] if marker and marker.args else item.config.getini("timeout"))
    about_to_end = threading.Timer(limit - BEFORE, lambda: print(stacks(descendants()), file=sys.stderr))
    about_to_end.daemon = True
    if limit > 2 * BEFORE:
        about_to_end.start()
    try:
        return (yield)
    finally:
        about_to_end.cancel()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
