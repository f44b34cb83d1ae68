"""A kernel's child that says so outlives the kernel's restarts, and not the kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from moorage import blocking

pytestmark = pytest.mark.real

STARTS = """
import os, subprocess
pids = [
    subprocess.Popen(["sleep", "1000"], start_new_session=True, env={**os.environ, **more}).pid
    for more in ({"MOORAGE_OUTLIVES": "restart"}, {"MOORAGE_OUTLIVES": "everything"}, {})
]
print(*pids)
"""


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("fork", [False, True], ids=["spawned", "forked"])
def test_it_lives_through_restarts_and_ends_with_the_kernel(fork: bool) -> None:
    with blocking.launch("python3", fork=fork) as kernel:
        pids = [int(word) for word in kernel.execute(STARTS).outputs[0]["text"].split()]
        for _ in range(2):
            kernel.restart()
            assert [lives(pid) for pid in pids] == [True, False, False]
        more = [int(word) for word in kernel.execute(STARTS).outputs[0]["text"].split()]
        kernel.restart()
        assert [lives(pid) for pid in (*pids, *more)] == [True, False, False, True, False, False]
    assert not any(map(lives, (*pids, *more)))


def test_it_ends_with_a_kernel_that_was_never_restarted() -> None:
    with blocking.launch("python3") as kernel:
        pids = [int(word) for word in kernel.execute(STARTS).outputs[0]["text"].split()]
    assert not any(map(lives, pids))
