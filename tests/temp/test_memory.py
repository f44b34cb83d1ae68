"""Memory of processes, not looked at more often than need be."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from moorage.temp import memory
from moorage.temp.memory import ServerMemory

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell"),
]
CHILD = "import sys; x = bytearray(50_000_000); print(1, flush=True); sys.stdin.read()"


async def test_what_a_process_has_started_counts() -> None:
    looked = ServerMemory()
    alone = (await looked.of([os.getpid()]))[os.getpid()]
    assert alone > 5_000_000
    assert await looked.of([1 << 30]) == {}
    line = [sys.executable, "-c", CHILD]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = await ServerMemory().of([os.getpid(), child.pid])
        assert found[child.pid] > 50_000_000
        assert found[os.getpid()] > alone + 40_000_000
        child.communicate()


async def test_a_figure_holds_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(memory, "_look", lambda pids: asked.append([*pids]) or dict.fromkeys(pids, 7))
    looked = ServerMemory()
    assert await looked.of([1]) == {1: 7}
    assert await looked.of([1, 2]) == {1: 7, 2: 7}
    assert await looked.of([2]) == {2: 7}
    assert asked == [[1], [2]]
    monkeypatch.setattr(memory, "FRESH", -1.0)
    await looked.of([2, 1])
    assert asked[2:] == [[2, 1]]
