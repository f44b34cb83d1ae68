"""Kernels whose process is stopped in the middle of a cell are told, waited for, and lose no work."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager

import pytest

from command import script, until, write
from moorage.discovery.kernelspec import KernelSpec
from moorage.errors import DeadlineExceeded
from moorage.kernel.attach import attach
from moorage.kernel.launch import launch
from moorage.plan.lifecycle import Running

pytestmark = [pytest.mark.real, pytest.mark.anyio]

STOP = "import os, signal; kept = 6 * 7; os.kill(os.getpid(), signal.SIGSTOP); print(kept)"
PID = "import os; print(os.getpid(), flush=True)"
STOPPED = "stopped (SIGSTOP)"
BELOW_A_SHELL = KernelSpec(
    "below",
    ("sh", "-c", f'"{sys.executable}" -m ipykernel_launcher -f "$0"; true', "{connection_file}"),
    "B",
    "python",
)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@asynccontextmanager
async def told(kernel):
    """Collect what a kernel's statuses say holds it still; yields that and what waits for it to be so."""
    seen, changed = [], asyncio.Event()

    def look(status):
        if isinstance(status, Running):
            seen.append(status.stopped)
            changed.set()

    async def until_last(why):
        async with asyncio.timeout(60):
            while seen[-1:] != [why]:
                changed.clear()
                await changed.wait()

    end = kernel.subscribe(look)
    yield until_last
    end()


async def stopped_and_continued(kernel):
    pid = int((await kernel.execute(PID)).text)
    async with told(kernel) as until_last, asyncio.TaskGroup() as group:
        running = group.create_task(kernel.execute(STOP))
        await until_last(STOPPED)
        assert f" {STOPPED}, " in repr(kernel)
        os.kill(pid, signal.SIGCONT)
        await until_last("")
    assert running.result().text == "42\n"
    assert (await kernel.execute("kept")).text == "42\n"


@pytest.mark.parametrize("fork", [True, False])
async def test_one_of_ours(fork):
    async with launch("python3", fork=fork) as kernel:
        await stopped_and_continued(kernel)


async def test_one_below_a_shell():
    async with launch(BELOW_A_SHELL, rendezvous="hold") as kernel:
        await stopped_and_continued(kernel)


async def test_one_that_is_attached_to_and_its_owner_hears_too(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with (
        launch("python3", fork=False) as own,
        attach(own.connection_file) as kernel,
        told(own) as owner_until,
        told(kernel) as until_last,
        asyncio.TaskGroup() as group,
    ):
        at_work = asyncio.Event()  # the owner, which asked nothing, knows of work by what it hears
        own.client.listen(lambda message: message.msg_type == "stream" and at_work.set())
        code = f"print('on', flush=True); print(open({str(fifo)!r}).read())"
        running = group.create_task(kernel.execute(code))
        await at_work.wait()
        os.kill(own.process.pid, signal.SIGSTOP)
        for until_it in (until_last, owner_until):
            await until_it(STOPPED)
        os.kill(own.process.pid, signal.SIGCONT)
        for until_it in (until_last, owner_until):
            await until_it("")
        await asyncio.to_thread(fifo.write_text, "42")
        assert (await running).text == "on\n42\n"


async def test_one_that_was_stopped_before_it_was_asked():
    async with launch("python3") as kernel, told(kernel) as until_last, asyncio.TaskGroup() as group:
        os.kill(kernel.process.pid, signal.SIGSTOP)
        running = group.create_task(kernel.execute("6 * 7"))
        await until_last(STOPPED)
        os.kill(kernel.process.pid, signal.SIGCONT)
        assert (await running).text == "42\n"


async def test_one_that_is_stopped_is_ended_like_any_other():
    async with launch("python3") as kernel:
        os.kill(kernel.process.pid, signal.SIGSTOP)
        assert (await kernel.shutdown(grace=0.2)).signal == signal.SIGKILL


async def test_what_cannot_be_attached_to_says_why():
    async with launch("python3") as own:
        os.kill(own.process.pid, signal.SIGSTOP)
        with pytest.raises(DeadlineExceeded, match=r"is stopped \(SIGSTOP\).*kill -CONT"):
            async with attach(own.connection_file, timeout=1):
                pass


# -- the command -----------------------------------------------------------------------------------

LATE = """import os, signal, subprocess, sys
code = "import os, sys, time; time.sleep({seconds}); os.kill(int(sys.argv[1]), 18)"
subprocess.Popen([sys.executable, "-c", code, str(os.getpid())], start_new_session=True)
os.kill(os.getpid(), signal.SIGSTOP)"""
"""A kernel that is stopped for some seconds."""


def test_a_run_tells_of_it_and_a_cells_deadline_waits(moorage):
    write(moorage.cwd, {"a.py": script(LATE.format(seconds=9), "print('done')")})
    done = moorage("render", "a.py", "-o", "a.ipynb", "--no-cache", "--plain", "--cell-timeout", 4, code=0)
    stopped, goes_on = [line for line in done.stdout.splitlines() if "its kernel" in line]
    assert stopped.startswith(f"warning: a.py: its kernel is {STOPPED} and waited for: `kill -CONT ")
    assert goes_on == "notice: a.py: its kernel goes on"


def test_the_deadline_of_a_notebook_passes_all_the_same(moorage):
    write(moorage.cwd, {"a.py": script("print('before')", "import os; os.kill(os.getpid(), 19)")})
    done = moorage(
        "render", "a.py", "-o", "a.ipynb", "--no-cache", "--json", "-", "--timeout", 4, "--retries", 0, code=1
    )
    outcome = done.notebooks["a.py"]
    assert outcome["status"] == "timeout"
    assert outcome["error"]["evalue"] == f"the notebook took longer than 4 s, and its kernel is {STOPPED}"


def test_code_that_is_run_tells_of_it(moorage):
    done = moorage("run", "python3", "-c", LATE.format(seconds=5) + "\nprint('done')", code=0)
    assert done.stdout == "done\n"
    assert f"[the kernel is {STOPPED}: `kill -CONT " in done.stderr
    assert "[the kernel goes on]" in done.stderr
    done = moorage("run", "python3", "--timeout", 4, "-c", "import os; os.kill(os.getpid(), 19)", code=1)
    assert f"the code did not end within 4 s (E-DEADLINE). Its kernel is {STOPPED}" in done.stderr


def test_a_list_shows_it_and_it_can_be_stopped(moorage):
    program = moorage.start(
        "run", "python3", "-c", "import os; print(os.getpid(), flush=True); input()", stdin=-1
    )
    pid = int(program.stdout.readline())
    os.kill(pid, signal.SIGSTOP)

    def listed():
        kernels = json.loads(moorage("kernels", "ps", "--json", code=0).stdout)["kernels"]
        return next(one for one in kernels if one["pid"] == pid)

    assert until(lambda: listed()["status"] == "stopped", 60)
    assert listed()["alive"]
    stopped = moorage("kernels", "stop", str(pid), code=0)
    assert "SIGKILL" in stopped.stdout
    program.stdin.close()
    program.stdin = None
    moorage.ended(program, code=1)
