"""How servers' processes are started, found again and ended."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.plan.visits import ServerId
from moorage.temp.processes import ServerEnd, ServerProcesses, ServerStart

pytestmark = pytest.mark.anyio
S1 = ServerId("s1")


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mt-", dir="/tmp") as made:
        yield Path(made)


def python(code: str, folder: Path) -> ServerStart:
    return ServerStart((sys.executable, "-c", code), folder, {**os.environ, "A": "b"})


async def test_a_process_tells_its_end_and_what_it_said(folder: Path) -> None:
    start = python("import os; print(os.environ['A'], os.getcwd()); raise SystemExit(4)", folder)
    processes = ServerProcesses(folder / "kept", 60.0)
    async with processes.start(S1, start) as process:
        assert (await process.ended()).words == "exit code 4"
        assert await process.said() == f"b {folder}\n"
    assert list((folder / "kept").iterdir()) == []
    assert "env" not in repr(start)
    assert "raise" not in repr(start)


async def test_leaving_the_block_ends_it(folder: Path) -> None:
    processes = ServerProcesses(folder / "kept", 60.0)
    async with processes.start(S1, python("import signal; signal.pause()", folder)) as process:
        pid = process.kept.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert list((folder / "kept").iterdir()) == []


async def test_what_was_left_is_found_and_what_ended_meanwhile_is_told(folder: Path) -> None:
    processes = ServerProcesses(folder / "kept", 60.0)
    blocks = []  # that are never left, as where the service is killed
    for name, code in (("s1", "import signal; signal.pause()"), ("s2", "print('bye'); raise SystemExit(5)")):
        blocks.append(processes.start(ServerId(name), python(code, folder)))
        process = await blocks[-1].__aenter__()
        if name == "s2":
            assert (await process.ended()).words == "exit code 5"
        process.kept._link.close()
    found = await ServerProcesses(folder / "kept", 30.0).find()
    assert found.ended == {"s2": ServerEnd("exit code 5", "bye\n")}
    assert list(found.running) == ["s1"]
    assert (await found.running[S1].kept.status()).lease == 30.0
    await found.running[S1].end()
    assert list((folder / "kept").iterdir()) == []


async def test_a_keeper_that_was_killed_takes_its_server_along(folder: Path) -> None:
    processes = ServerProcesses(folder / "kept", 60.0)
    async with processes.start(S1, python("import signal; signal.pause()", folder)) as process:
        keeper = int(Path(f"/proc/{process.kept.pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(keeper, signal.SIGKILL)
        assert "keeper" in (await process.ended()).words
        assert await process.said() == ""
    assert list((folder / "kept").iterdir()) == []
