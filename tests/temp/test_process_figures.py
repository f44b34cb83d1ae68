"""What processes take, not looked at more often than need be."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from moorage.temp import process_figures
from moorage.temp.process_figures import ServerFigures, memory_of, open_files_of

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell"),
]
CHILD = "import sys; x = bytearray(50_000_000); print(1, flush=True); sys.stdin.read()"


async def test_what_a_process_has_started_counts() -> None:
    looked = ServerFigures(memory_of)
    alone = (await looked.of([os.getpid()]))[os.getpid()]
    assert alone > 5_000_000
    assert await looked.of([1 << 30]) == {}
    line = [sys.executable, "-c", CHILD]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = await ServerFigures(memory_of).of([os.getpid(), child.pid])
        assert found[child.pid] > 50_000_000
        assert found[os.getpid()] > alone + 40_000_000
        child.communicate()


async def test_a_figure_holds_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    looked = ServerFigures(lambda pid: asked.append(pid) or 7)
    assert await looked.of([1]) == {1: 7}
    assert await looked.of([1, 2]) == {1: 7, 2: 7}
    assert await looked.of([2]) == {2: 7}
    assert asked == [1, 2]
    monkeypatch.setattr(process_figures, "FRESH", -1.0)
    await looked.of([2, 1])
    assert asked[2:] == [2, 1]


async def test_a_look_that_takes_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_figures, "FRESH", -1.0)
    go_on, figures = threading.Event(), iter((7, 8, 9))

    def look(_: int) -> int:
        assert go_on.wait(60)
        return next(figures)

    looked = ServerFigures(look)
    go_on.set()
    assert await looked.of([1]) == {1: 7}
    go_on.clear()
    monkeypatch.setattr(process_figures, "PATIENCE", 0.05)
    assert (await looked.of([1, 2]), looked.knows([1, 2])) == ({1: 7}, False)
    assert await looked.of([1, 2]) == {1: 7}  # and no second look beside the first one
    monkeypatch.setattr(process_figures, "PATIENCE", 60.0)
    monkeypatch.setattr(process_figures, "FRESH", 60.0)
    go_on.set()
    assert (await looked.of([1, 2]), looked.knows([1, 2])) == ({1: 8, 2: 9}, True)


async def test_a_look_that_fails_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def look(_: int) -> int:
        raise ValueError("no such figure")

    assert await ServerFigures(look).of([1]) == {}
    assert "no such figure" in caplog.text


def test_descriptors_are_told_by_kind(tmp_path: Path) -> None:
    line = [sys.executable, "-c", "import sys; print(1, flush=True); sys.stdin.read()"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        before = open_files_of(child.pid)
        assert before is not None
        assert before.pipes >= 2
        child.communicate()
    one, other = socket.socketpair()
    with one, other, (tmp_path / "a").open("w") as file:
        mine, poll = open_files_of(os.getpid()), os.eventfd(0)
        more = open_files_of(os.getpid())
        os.close(poll)
        assert mine is not None
        assert more is not None
        assert mine.sockets >= 2
        assert mine.files >= 1
        assert more.others == mine.others + 1
        assert file.fileno() >= 0
    assert open_files_of(1 << 30) is None
