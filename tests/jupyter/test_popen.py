"""What subprocess.Popen knows of a process is honoured, or refused in a sentence; never left out."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from moorage.errors import UsageError
from moorage.jupyter.popen import process_options
from moorage.process.options import ProcessOptions

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no users of processes on Windows")


def test_what_is_honoured() -> None:
    given: dict[str, Any] = {"user": 0, "group": 0, "umask": 0o77, "pass_fds": (3,), "rlimits": {"CORE": 0}}
    assert process_options({**given, "cwd": "/", "env": {}, "kernel_id": "x"}) == ProcessOptions(**given)
    assert process_options({"extra_groups": [7]}) == ProcessOptions(extra_groups=[7])


def test_what_is_so_anyway_is_nothing() -> None:
    neutral = {"start_new_session": True, "process_group": 0, "close_fds": True, "preexec_fn": None}
    assert process_options({**neutral, "user": None, "umask": -1, "pass_fds": (), "bufsize": -1}) is None


@pytest.mark.parametrize(
    "argument",
    [
        {"preexec_fn": print},
        {"start_new_session": False},
        {"process_group": 7},
        {"close_fds": False},
        {"executable": "/bin/sh"},
        {"shell": True},
        {"text": True},
        {"no_such_argument": 1},
        {"user": "no-such-user"},
        {"umask": "022"},
        {"pass_fds": "abc"},
    ],
)
def test_the_rest_is_refused(argument: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        process_options(argument)
