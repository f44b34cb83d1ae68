"""The end of a process in words."""

from __future__ import annotations

import pytest

from moorage.exit_status import ExitStatus


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (ExitStatus(code=3), "exit code 3"),
        (ExitStatus(code=0), "exit code 0"),
        (ExitStatus(signal=11), "killed by SIGSEGV"),
        (ExitStatus(signal=9), "killed by SIGKILL, cause unknown"),
        (ExitStatus(signal=9, out_of_memory=True), "killed: out of memory"),
        (ExitStatus(signal=200), "killed by signal 200"),
        (ExitStatus(), "ended, exit status unknown"),
    ],
)
def test_an_end_in_words(status, words):
    assert status.describe() == words
