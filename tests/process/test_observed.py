"""Processes that somebody else started."""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from command import until
from moorage.process.base import ExitStatus
from moorage.process.observed import named_by, names, watching

pytestmark = pytest.mark.anyio

WAITS = "import sys, time; print('on', flush=True); time.sleep(3600)"
RECENT = tuple(map(int, platform.release().split(".")[:2])) >= (6, 15)


@pytest.fixture
def start(tmp_path):
    """Start a process of ours that stands in for somebody else's; its command names a file."""
    started = []

    def start(code=WAITS, *arguments, **rest):
        process = subprocess.Popen(
            [sys.executable, "-c", code, *(arguments or [str(tmp_path / "kernel.json")])],
            stdout=subprocess.PIPE,
            cwd=tmp_path,
            start_new_session=rest.pop("start_new_session", True),
            **rest,
        )
        started.append(process)
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=20)


@pytest.fixture
def path(tmp_path):
    (tmp_path / "kernel.json").touch()
    return tmp_path / "kernel.json"


@pytest.mark.parametrize("given", ["{}", "kernel.json", "--f={}", "--f=./kernel.json"])
async def test_who_was_started_with_a_file_is_found(start, path, given):
    process = start(WAITS, given.format(path))
    assert named_by(path) == [process.pid]


async def test_a_file_of_the_same_name_is_another(start, path, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "kernel.json").touch()
    process = start(WAITS, "other/kernel.json")
    assert named_by(path) == []
    assert not names(process.pid, str(path))


@pytest.mark.parametrize(
    ("code", "status"),
    [("sys.exit(3)", ExitStatus(code=3)), ("os.kill(os.getpid(), 9)", ExitStatus(signal=9))],
)
@pytest.mark.parametrize("taken", [False, True])
async def test_how_it_ended_is_told_before_and_after_its_parent_asks(start, path, code, status, taken):
    if taken and not RECENT:
        pytest.skip("this Linux forgets an exit status that was taken")
    process = start(
        f"import os, sys\nprint('on', flush=True)\nopen(sys.argv[1]).read()\n{code}", str(fifo(path))
    )
    with watching(process.pid, path) as stranger:
        assert stranger.exit_status is None
        assert stranger.memory() > 1_000_000
        waiters = [asyncio.ensure_future(stranger.wait()) for _ in range(3)]
        taker = threading.Thread(target=process.wait)
        if taken:
            taker.start()
        await asyncio.to_thread(fifo(path).write_text, "go")
        async with asyncio.timeout(20):
            assert await asyncio.gather(*waiters) == [status] * 3
        assert stranger.exit_status == status
        assert stranger.memory() is None
        stranger.send_signal(signal.SIGKILL)  # nobody is hit
        if taken:
            await asyncio.to_thread(taker.join)


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def fifo(path):
    made = path.with_name("fifo")
    if not made.exists():
        os.mkfifo(made)
    return made


async def test_killing(start, path):
    process = start()
    with watching(process.pid, path) as stranger:
        assert stranger.is_named
        async with asyncio.timeout(20):
            assert (await stranger.kill()).signal == signal.SIGKILL


async def test_a_group_of_its_own_is_signalled_whole(start, path):
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n"
        "    signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "    print('on', flush=True)\n"
        "    time.sleep(3600)\n"
        "sys.exit(5 if os.wait()[1] == signal.SIGINT else 1)"
    )
    process = start(code)
    with watching(process.pid, path) as stranger:
        stranger.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            assert (await stranger.wait()).code == 5


async def test_a_group_of_somebody_else_is_not(start, path, tmp_path):
    """As of a kernel started in a terminal: its group may hold more than the kernel."""
    code = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)', sys.argv[1][1:]])\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\nprint(child.returncode, flush=True)\nsys.stdin.read()"
    )
    leader = subprocess.Popen(
        [sys.executable, "-c", code, f"-{path}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        with watching(int(leader.stdout.readline()), path) as stranger:
            stranger.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                await stranger.wait()
        assert leader.stdout.readline() == b"-15\n"
    finally:
        leader.communicate(timeout=20)
    assert leader.returncode == 0


async def test_whether_it_is_stopped(start, path):
    with watching(start("print('on', flush=True)\nimport time; time.sleep(3600)").pid, path) as stranger:
        assert not stranger.standstill()
        os.kill(stranger.pid, signal.SIGSTOP)
        assert until(stranger.standstill)
        stranger.send_signal(signal.SIGKILL)
        await stranger.wait()
        assert not stranger.standstill()


async def test_nobody(start, path):
    process = start("print('on')")
    process.wait(20)
    with watching(process.pid, path) as stranger:
        assert stranger is None


async def test_no_descriptor_is_left(start, path):
    process = start()
    before = descriptors()
    with watching(process.pid, path):
        assert descriptors() == before + 1
    assert descriptors() == before
