"""What a keeper tells of its charge, in words."""

from __future__ import annotations

import pytest

from moorage.exit_status import ExitStatus
from moorage.keeper.status import kept_status

TOLD = {
    "state": "ended",
    "reason": "lease",
    "pid": 7,
    "started": 1.5,
    "ended": {"code": None, "signal": 15, "oom": False, "peak": 99},
    "left": 0,
    "attached": 2,
    "lease": 3.0,
    "lease_left": None,
    "output": {"tail": "x", "total": 9, "dropped": 8},
}


def test_a_status_is_read():
    status = kept_status(TOLD)
    assert status.exit_status == ExitStatus(signal=15, peak_memory=99)
    assert (status.ended, status.output, status.written, status.dropped) == (True, "x", 9, 8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "killed by SIGTERM: its lease ran out"),
        ({"reason": "asked"}, "killed by SIGTERM"),
        ({"reason": "exit", "ended": {"code": 3, "signal": None, "oom": False, "peak": 0}}, "exit code 3"),
        ({"reason": "keeper"}, "killed by SIGTERM: its keeper was told to end"),
        ({"reason": "lost", "ended": None}, "its keeper was killed"),
        ({"reason": "", "ended": None}, "ended"),
        ({"state": "running", "reason": "", "ended": None}, "running"),
    ],
)
def test_the_end_in_words(changes, words):
    assert kept_status({**TOLD, **changes}).describe() == words
