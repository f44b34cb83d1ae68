"""Wardens are kept between launches, in whatever loop, and end unused, with the process, or when told to."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

from moorage.errors import WardenLost
from moorage.process import procfs
from moorage.process.local import LocalLauncher, Warden, shared_warden
from moorage.process.warden import shared
from moorage.process.warden.process import started_ahead
from moorage.process.warden.shared import warden_ahead

FILES = Path(__file__).parents[1] / "files"
DEADLINE = 20.0


@pytest.fixture(autouse=True)
def nothing_rests():
    shared.close()
    yield
    shared.close()


async def used(spec=None) -> Warden:
    async with shared_warden() as warden:
        if spec is not None:
            async with LocalLauncher(warden).launch(spec) as handle:
                assert (await handle.wait()).code == 0
        return warden


def waited(true) -> None:
    """Wait for what no event announces."""
    deadline = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_the_next_loop_has_the_same_one(spec):
    first = asyncio.run(used(spec(["true"])))
    assert asyncio.run(used(spec(["true"]))) is first


def test_a_thread_has_it_too(spec):
    wardens = [asyncio.run(used())]
    thread = threading.Thread(target=lambda: wardens.append(asyncio.run(used(spec(["true"])))))
    thread.start()
    thread.join()
    assert wardens[0] is wardens[1]


def test_a_loop_that_is_not_closed_gives_it_up():
    loop = asyncio.new_event_loop()
    first = loop.run_until_complete(used())
    assert asyncio.run(used()) is first
    assert loop.run_until_complete(used()) is first
    loop.close()


def test_threads_at_once_have_their_own_and_find_one_again(spec):
    def loops(seen):
        for _ in range(4):
            seen.append(asyncio.run(used(spec(["true"]))))

    seen = [[] for _ in range(3)]
    threads = [threading.Thread(target=loops, args=(each,)) for each in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(warden) for each in seen for warden in each}) <= 3


def test_close_leaves_nothing(alive):
    before = descriptors()
    warden = asyncio.run(used())
    assert alive(warden.pid)
    shared.close()
    assert not alive(warden.pid)
    assert not warden.directory.exists()
    assert descriptors() == before


@pytest.mark.anyio
async def test_close_leaves_alone_what_is_used(spec):
    async with shared_warden() as warden, LocalLauncher(warden).launch(spec(["sleep", "3600"])) as handle:
        shared.close()
        assert handle.exit_status is None
        assert not warden.link.lost


def test_it_ends_unused(monkeypatch, alive):
    monkeypatch.setattr(shared, "IDLE", 0.05)
    warden = asyncio.run(used())
    waited(lambda: not alive(warden.pid))
    assert not warden.directory.exists()
    assert asyncio.run(used()) is not warden


def test_it_does_not_end_while_it_is_used_again(monkeypatch, alive, spec):
    monkeypatch.setattr(shared, "IDLE", 0.3)
    first = asyncio.run(used())

    async def again():
        async with shared_warden() as warden:
            assert warden is first
            await asyncio.sleep(0.6)  # longer than it would have rested
            async with LocalLauncher(warden).launch(spec(["true"])) as handle:
                assert (await handle.wait()).code == 0

    asyncio.run(again())


@pytest.mark.anyio
async def test_a_loop_that_goes_on_reaps_what_ended_unused(monkeypatch, until):
    monkeypatch.setattr(shared, "IDLE", 0.05)
    warden = await used()
    shared._look_later(asyncio.get_running_loop())
    async with asyncio.timeout(DEADLINE):
        await until(lambda: procfs.look(warden.pid) is None)


def test_one_killed_while_it_rested_is_replaced(alive):
    warden = asyncio.run(used())
    os.kill(warden.pid, signal.SIGKILL)
    waited(lambda: not alive(warden.pid))
    again = asyncio.run(used())
    assert again is not warden
    assert not warden.directory.exists()


def test_one_stopped_while_it_rested_is_replaced(monkeypatch, alive):
    monkeypatch.setattr(shared, "_ANSWER", 0.2)
    warden = asyncio.run(used())
    os.kill(warden.pid, signal.SIGSTOP)
    assert asyncio.run(used()) is not warden
    assert not alive(warden.pid)


def test_one_whose_directory_has_gone_is_replaced(alive):
    warden = asyncio.run(used())
    (warden.directory / ".lock").unlink()
    warden.directory.rmdir()
    assert asyncio.run(used()) is not warden
    assert not alive(warden.pid)


@pytest.mark.anyio
async def test_one_whose_directory_goes_while_it_is_used_is_replaced_for_newcomers():
    async with shared_warden() as first:
        (first.directory / ".lock").unlink()
        first.directory.rmdir()
        async with shared_warden() as second:
            assert second is not first
            assert second.directory.is_dir()


def test_another_umask_has_another_one(spec):
    first = asyncio.run(used())
    old = os.umask(0o077)
    try:
        os.umask(0o007 if old == 0o077 else 0o077)
        assert asyncio.run(used()) is not first
    finally:
        os.umask(old)


def test_one_that_still_guards_a_file_does_not_rest(tmp_path, alive):
    path = tmp_path / "half-written"

    async def guarding():
        async with shared_warden() as warden:
            warden.guard(path)
            path.touch()
            return warden

    warden = asyncio.run(guarding())
    assert not alive(warden.pid)
    assert not path.exists()


def test_no_more_rest_than_allowed(monkeypatch, alive):
    monkeypatch.setattr(shared, "MOST_RESTING", 0)
    warden = asyncio.run(used())
    assert not alive(warden.pid)


def test_a_fork_does_not_use_it_and_ends_nothing(alive, spec):
    warden = asyncio.run(used())
    before = descriptors()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            assert len(descriptors()) < len(before)
            assert asyncio.run(used(spec(["true"]))).pid != warden.pid
            shared.close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert alive(warden.pid)
    assert asyncio.run(used(spec(["true"]))) is warden


def test_nothing_warns_of_what_rests():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(used())
        shared.close()
        gc.collect()


@pytest.mark.anyio
async def test_the_first_user_takes_a_warden_that_was_started_ahead():
    with started_ahead() as process, started_ahead() as another:
        async with shared_warden(process) as first, shared_warden(another) as second:
            assert first is second
            assert first.pid == process.popen.pid
            directory = first.directory
        assert process.popen.returncode == 0
        assert another.popen.returncode is None
    assert another.popen.returncode == 0
    assert not directory.exists()


@pytest.mark.anyio
async def test_many_ask_for_the_shared_warden_at_once(spec):
    seen = set()

    async def one(n):
        async with shared_warden() as warden, LocalLauncher(warden).launch(spec(["true"])) as handle:
            seen.add(warden.pid)
            await handle.wait()

    async with asyncio.TaskGroup() as group:
        for n in range(8):
            group.create_task(one(n))
    assert len(seen) == 1


@pytest.mark.anyio
async def test_a_lost_shared_warden_is_replaced_for_newcomers(until):
    async with shared_warden() as first:
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: first.link.lost)
        async with shared_warden() as second:
            assert second is not first
            assert not second.link.lost
            second.guard(second.directory / "x")
        with pytest.raises(WardenLost):
            first.guard(first.directory / "x")
        first.unguard(first.directory / "x")


ENDS = {
    "exit": "",
    "error": "raise SystemExit(3)",
    "os._exit": "os._exit(0)",
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "fork": "os.fork()",
}


@pytest.mark.parametrize("end", ENDS)
def test_it_ends_with_the_process_and_nothing_is_said(end, alive):
    code = f"""
import asyncio, os, signal
from moorage.process.warden.shared import shared_warden
async def main():
    async with shared_warden() as warden:
        print(warden.pid, warden.directory, flush=True)
asyncio.run(main(), debug=False)  # of a loop that a busy machine holds up nothing is to be said
{ENDS[end]}
"""
    argv = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    pid, directory = done.stdout.split()[:2]
    assert done.stderr == ""
    waited(lambda: not alive(int(pid)) and not Path(directory).exists())


def test_a_multiprocessing_fork_launches_by_itself():
    script = """
import asyncio, multiprocessing
from moorage.process.warden.shared import shared_warden
async def main():
    async with shared_warden() as warden:
        return warden.pid
def child(queue):
    queue.put(asyncio.run(main()))
if __name__ == "__main__":
    first = asyncio.run(main())
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    other = queue.get(timeout=60)
    process.join()
    print(first != other, asyncio.run(main()) == first)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=90, check=False
    )
    assert (done.stdout.split(), done.stderr) == (["True", "True"], "")


@pytest.mark.anyio
async def test_one_started_ahead_is_taken_by_the_next_block():
    shared.close()
    with warden_ahead(wanted=True):
        (process,) = shared._ahead
        async with shared_warden() as warden:
            assert warden.pid == process.popen.pid
            with warden_ahead(wanted=True):
                assert not shared._ahead  # there is one
    async with shared_warden() as again:
        assert again.pid == process.popen.pid  # it rested as any other
        with warden_ahead(wanted=True):
            assert not shared._ahead


@pytest.mark.anyio
async def test_one_started_ahead_that_is_not_taken_ends_with_its_block():
    shared.close()
    with warden_ahead(wanted=True):
        (process,) = shared._ahead
    assert process.popen.returncode == 0
    assert not shared._ahead
    with warden_ahead(wanted=False):
        assert not shared._ahead


@pytest.mark.anyio
async def test_where_none_can_be_started_ahead_the_block_goes_on(monkeypatch):
    shared.close()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with warden_ahead(wanted=True):
        assert not shared._ahead
