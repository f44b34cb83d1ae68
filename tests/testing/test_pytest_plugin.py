"""The fixtures, in a test suite of a user."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.real

SUITE = """
import os
from pathlib import Path

import pytest
from moorage.plan.lifecycle import Exited

ENDED = []

def test_a_kernel(kernel, tmp_path):
    assert kernel.execute("6 * 7").raise_for_error().text == "42\\n"
    assert Path(kernel.execute("import os; print(os.getcwd())").text.strip()) == tmp_path
    ENDED.append(kernel)

def test_each_test_has_its_own(kernel):
    assert isinstance(ENDED[0].status, Exited)
    assert kernel.process.pid != ENDED[0].process.pid

def test_several(launch_kernel):
    one, two = launch_kernel("python3", env={"X": "1"}), launch_kernel()
    assert one.execute("import os; print(os.environ['X'])").text == "1\\n"
    assert "KeyError" in repr(two.execute("import os; os.environ['X']"))

@pytest.mark.parametrize("kernel", ["python3"], indirect=True)
def test_by_name(kernel):
    assert kernel.spec.called == "python3"
"""


def test_a_suite_of_a_user(tmp_path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["moorage.testing.pytest_plugin"]\n')
    (tmp_path / "test_user.py").write_text(textwrap.dedent(SUITE))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
