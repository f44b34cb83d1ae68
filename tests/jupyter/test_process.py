from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from command import until
from moorage.errors import LaunchError, UsageError
from moorage.exit_status import ExitStatus
from moorage.jupyter.process import KernelProcess, Streams, start
from moorage.kernel.blocking import portal
from moorage.places.here import Here
from moorage.process.base import LaunchSpec, LocalSpec


@pytest.fixture
def workspace() -> Iterator[Any]:
    block = Here(fork=False).open()
    yield asyncio.run(portal().step_in(block))
    asyncio.run(portal().step_out(block))


@pytest.fixture
def began(workspace: Any) -> Iterator[Any]:
    started: list[KernelProcess] = []

    def begin(
        code: str, streams: Streams | None = None, ended: list[ExitStatus] | None = None
    ) -> KernelProcess:
        spec = replace(workspace.process("/", dict(os.environ)), argv=(sys.executable, "-c", code))
        told = [] if ended is None else ended
        work = start(portal(), workspace, spec, streams or Streams(), on_end=told.append)
        started.append(asyncio.run(work))
        return started[-1]

    yield begin
    for process in started:
        asyncio.run(process.end())


def test_its_end_reaches_every_waiter(began: Any) -> None:
    ended: list[ExitStatus] = []
    process = began("raise SystemExit(3)", ended=ended)
    assert process.popen.wait(20) == process.popen.poll() == process.popen.returncode == 3
    assert asyncio.run(process.ended()) == 3
    assert [status.code for status in ended] == [3]
    process.popen.send_signal(signal.SIGTERM)  # reaches no process
    asyncio.run(process.send_signal(signal.SIGTERM))


def test_it_is_signalled_from_anywhere(began: Any) -> None:
    process = began("import time; time.sleep(600)")
    with pytest.raises(subprocess.TimeoutExpired):
        process.popen.wait(0.01)
    process.popen.terminate()
    assert process.popen.wait(20) == -signal.SIGTERM
    process = began("import time; time.sleep(600)")
    process.popen.kill()
    assert process.popen.wait(20) == -signal.SIGKILL


def test_waiting_for_it_can_be_given_up(began: Any) -> None:
    process = began("import time; time.sleep(600)")

    async def give_up() -> None:
        async with asyncio.timeout(0.01):
            await process.ended()

    for _ in range(2):
        with pytest.raises(TimeoutError):
            asyncio.run(give_up())
    assert process.popen.poll() is None


def test_its_end_leaves_nothing_of_its_family(began: Any) -> None:
    reader, writer = os.pipe()
    process = began(
        "import subprocess; print(subprocess.Popen(['setsid', 'sleep', '600']).pid, flush=True); input()",
        Streams.of(stdin=subprocess.PIPE, stdout=writer),
    )
    os.close(writer)
    with os.fdopen(reader) as said:
        child = said.readline().strip()
    process.popen.stdin.write(b"\n")
    assert process.popen.wait(20) == 0
    assert asyncio.run(process.end()) == 0
    assert until(lambda: not Path(f"/proc/{child}").exists())
    assert process.popen.stdin.closed


def test_work_is_given_up_when_it_ends(began: Any) -> None:
    process = began("import sys; print('bye', flush=True); sys.exit('oh')")
    assert asyncio.run(process.while_alive(asyncio.sleep(600, "slept"), 600)) is None
    status, text = asyncio.run(process.exit_status_and_output())
    assert status.code == 1
    assert sorted(text.split()) == ["bye", "oh"]
    process = began("import time; time.sleep(600)")
    assert asyncio.run(process.while_alive(asyncio.sleep(0, "slept"), 600)) == "slept"
    assert asyncio.run(process.while_alive(asyncio.sleep(600), 0.01)) is None


TALK = "import sys; print('out', flush=True); print('err', file=sys.stderr, flush=True)"


def test_pipes_can_be_read(began: Any) -> None:
    process = began(TALK, Streams.of(stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    assert (process.popen.stdout.read(), process.popen.stderr.read()) == (b"out\n", b"err\n")
    process = began(TALK, Streams.of(stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    assert sorted(process.popen.stdout.read().split()) == [b"err", b"out"]
    assert process.popen.stderr is None


def test_output_that_is_not_read_is_kept_all_the_same(began: Any, capfd: Any) -> None:
    process = began(TALK, Streams.of(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    process.popen.wait(20)
    assert sorted(asyncio.run(process.exit_status_and_output())[1].split()) == ["err", "out"]
    assert capfd.readouterr() == ("", "")


def test_what_is_not_said_is_inherited(began: Any, capfd: Any) -> None:
    process = began(TALK, Streams.of())
    process.popen.wait(20)
    asyncio.run(process.end())
    assert capfd.readouterr() == ("out\n", "err\n")


def test_files_are_written(began: Any) -> None:
    with tempfile.TemporaryFile() as file:
        process = began(TALK, Streams.of(stdout=file, stderr=file.fileno()))
        process.popen.wait(20)
        asyncio.run(process.end())
        file.seek(0)
        assert sorted(file.read().split()) == [b"err", b"out"]


def test_what_cannot_be_started_leaves_no_pipe_open(workspace: Any) -> None:
    streams = Streams.of(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    work = start(portal(), workspace, LocalSpec(("no-such",), "/", {}), streams, on_end=print)
    with pytest.raises(LaunchError):
        asyncio.run(work)
    assert all(file.closed for file in streams.files.values())


@pytest.mark.parametrize("said", [{"stdout": subprocess.PIPE}, {"stderr": 1}, {"stdin": 0}, {}])
def test_a_place_that_gives_no_streams_is_asked_for_none(workspace: Any, said: Any) -> None:
    streams = Streams.of(**said)
    spec = LaunchSpec((sys.executable, "-c", TALK), "/", {})
    work = start(portal(), workspace, spec, streams, on_end=lambda _: None)
    if said:
        with pytest.raises(UsageError, match="cannot be given standard streams"):
            asyncio.run(work)
        assert all(file.closed for file in streams.files.values())
        return
    process = asyncio.run(work)
    assert process.popen.wait(20) == 0
    assert sorted(asyncio.run(process.exit_status_and_output())[1].split()) == ["err", "out"]
    asyncio.run(process.end())
