"""Kernels that are started again when they die, of whatever and however they were started."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import asynccontextmanager

import pytest

import moorage
from moorage import RestartPolicy
from moorage.discovery.kernelspec import KernelSpec, names
from moorage.errors import KernelDied, MoorageError, StartDeath, UsageError
from moorage.plan.lifecycle import Exited, Registering, Restarting, Running, Starting
from moorage.process.netns.probe import obstacle

pytestmark = [pytest.mark.real, pytest.mark.anyio]

MEMORY = ("--HistoryManager.hist_file=:memory:",)
LONG = RestartPolicy(first_pause=10_000, longest_pause=10_000)
ISOLATED = pytest.param(
    {"isolate": "net"},
    marks=pytest.mark.skipif(
        sys.platform != "linux" or obstacle() is not None, reason=f"no namespaces here: {obstacle()}"
    ),
    id="isolated",
)
WAYS = [
    pytest.param({"fork": False, "rendezvous": "ipc"}, id="spawned, ipc"),
    pytest.param({"fork": False, "rendezvous": "hold"}, id="spawned, hold"),
    pytest.param({"fork": False, "rendezvous": "self-bind"}, id="spawned, self-bind"),
    pytest.param(
        {"fork": True},
        marks=pytest.mark.skipif(sys.platform != "linux", reason="templates are Linux's alone"),
        id="forked",
    ),
    ISOLATED,
]


@asynccontextmanager
async def launched(kernel_type="python3", restarts=5, **options):
    if kernel_type == "python3":
        options["kernel_args"] = MEMORY
    async with asyncio.timeout(120):
        async with moorage.launch(kernel_type, restarts=restarts, **options) as kernel:
            yield kernel, following(kernel)


def following(kernel):
    """A queue of the statuses to come."""
    statuses = asyncio.Queue()
    kernel.subscribe(statuses.put_nowait)
    return statuses


async def until(statuses, kind):
    while not isinstance(status := await statuses.get(), kind):
        pass
    return status


def text(result):
    return "".join(output.get("text", "") for output in result.outputs)


async def failure(awaitable):
    try:
        await awaitable
    except MoorageError as error:
        return error
    raise AssertionError("it went well")


async def busy(kernel, group, code="import time; time.sleep(600)"):
    """Have it at work; returns what becomes of that."""
    on = asyncio.Event()
    work = group.create_task(
        failure(kernel.execute(f"print('on', flush=True)\n{code}", receive=lambda _: on.set()))
    )
    await on.wait()
    return work


@pytest.mark.parametrize("options", WAYS)
async def test_a_kernel_that_is_killed_is_there_again(options, tmp_path):
    marks = tmp_path / "marks"
    async with launched(**options) as (kernel, statuses), asyncio.TaskGroup() as group:
        first, client, file = kernel.process.pid, kernel.client, kernel.connection_file.read_text()
        await kernel.execute("x = 1")
        work = await busy(kernel, group)
        queued = group.create_task(failure(kernel.execute(f"open({str(marks)!r}, 'a').write('queued ')")))
        await asyncio.sleep(0)
        kernel.process.send_signal(signal.SIGKILL)

        restarting = await until(statuses, Restarting)
        assert (restarting.pid, restarting.death.signal) == (first, signal.SIGKILL)
        assert [type(await statuses.get()) for _ in range(3)] == [Starting, Registering, Running]
        for each in (work, queued):
            error = await each
            assert isinstance(error, KernelDied)
            assert error.restarting
            assert "killed by SIGKILL, cause unknown; it is restarted" in str(error)
            assert error.exit_status.signal == signal.SIGKILL

        result = await kernel.execute(f"print('first'); open({str(marks)!r}, 'a').write('asked'); x")
        assert text(result) == "first\n"
        assert result.error.ename == "NameError"
        assert marks.read_text() == "asked"
        assert kernel.process.pid == kernel.status.pid != first
        assert kernel.client is client
        assert kernel.connection_file.read_text() == file
        assert (await kernel.shutdown()).code == 0
    assert kernel.status.expected


@pytest.mark.parametrize("code", ["import os; os._exit(3)", "exit()", "import ctypes; ctypes.string_at(0)"])
async def test_a_kernel_that_ends_by_what_runs_in_it_is_there_again(code):
    async with launched() as (kernel, statuses):
        await asyncio.gather(kernel.execute(code), return_exceptions=True)
        death = (await until(statuses, Restarting)).death
        assert not death.expected
        assert (death.code, death.signal) in [(3, None), (0, None), (None, signal.SIGSEGV)]
        await until(statuses, Running)
        assert text(await kernel.execute("print('again')")) == "again\n"


async def test_by_another_policy_exit_in_a_cell_is_the_end():
    async with launched(restarts=RestartPolicy(after_exit=False)) as (kernel, statuses):
        await kernel.execute("exit()")
        status = await until(statuses, Exited)
        assert (status.code, status.gave_up) == (0, "it ended by itself with exit code 0")
        with pytest.raises(KernelDied, match="ended by itself with exit code 0"):
            await kernel.execute("1")


async def test_one_that_dies_too_often_is_given_up():
    async with launched(restarts=RestartPolicy(most=2, first_pause=0)) as (kernel, statuses):
        for _ in range(2):
            kernel.process.send_signal(signal.SIGKILL)
            await until(statuses, Running)
        work = failure(kernel.execute("import os; os.write(2, b'last words'); os._exit(7)"))
        error = await work
        assert not error.restarting
        assert "exit code 7, and is not started again: it was restarted twice within 60 s" in str(error)
        assert "last words" in str(error)
        assert (await until(statuses, Exited)).gave_up
        with pytest.raises(KernelDied, match="cannot be restarted"):
            await kernel.restart()


def fragile(tmp_path):
    """A kernel type that starts, but where there is a file ``broken``."""
    script = tmp_path / "fragile.py"
    script.write_text(
        "import os, sys\n"
        "if os.path.exists(os.path.join(os.path.dirname(sys.argv[0]), 'broken')):\n"
        "    sys.exit('the licence has run out')\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'ipykernel_launcher', '-f', sys.argv[1]])\n"
    )
    return KernelSpec(
        name="fragile", argv=(sys.executable, str(script), "{connection_file}"), display_name="", language=""
    )


async def test_one_that_dies_while_starting_is_given_up_with_its_last_words(tmp_path):
    policy = RestartPolicy(starts=3, first_pause=0.01)
    async with launched(fragile(tmp_path), restarts=policy) as (kernel, statuses):
        (tmp_path / "broken").touch()
        kernel.process.send_signal(signal.SIGKILL)
        waiting = [type(await statuses.get()) for _ in range(10)]
        assert waiting == [*[Restarting, Starting, Registering] * 3, Exited]
        assert kernel.status.gave_up == "it has ended 3 times in a row before it answered"
        with pytest.raises(KernelDied, match=r"(?s)exit code 1, and is not started again.*licence"):
            await kernel.execute("1")


async def test_one_that_is_repaired_while_it_is_tried_is_there_again(tmp_path):
    async with launched(fragile(tmp_path), restarts=LONG) as (kernel, statuses), asyncio.TaskGroup() as group:
        (tmp_path / "broken").touch()
        kernel.process.send_signal(signal.SIGKILL)
        await until(statuses, Starting)
        waiting = group.create_task(kernel.execute("print(1)"))
        await until(statuses, Restarting)
        assert not waiting.done()
        (tmp_path / "broken").unlink()
        await kernel.restart()
        assert text(await waiting) == "1\n"


async def test_a_restart_by_hand_goes_on_trying(tmp_path):
    policy = RestartPolicy(starts=2, first_pause=0)
    async with launched(fragile(tmp_path), restarts=policy) as (kernel, _):
        (tmp_path / "broken").touch()
        with pytest.raises(StartDeath, match=r"(?s)ended twice in a row before it answered.*licence"):
            await kernel.restart()


async def test_a_first_start_that_fails_is_not_tried_again(tmp_path):
    (tmp_path / "broken").touch()
    with pytest.raises(StartDeath, match=r"died while starting: exit code 1 \(E-START\)"):
        async with launched(fragile(tmp_path)):
            pass


async def in_a_long_pause(kernel, statuses):
    kernel.process.send_signal(signal.SIGKILL)
    await until(statuses, Running)
    kernel.process.send_signal(signal.SIGKILL)
    status = await until(statuses, Restarting)
    assert status.at > status.since + 1000


async def test_in_the_pause_what_is_asked_waits_and_a_restart_by_hand_works():
    async with launched(restarts=LONG) as (kernel, statuses), asyncio.TaskGroup() as group:
        await in_a_long_pause(kernel, statuses)
        waiting = group.create_task(kernel.execute("print('waited')"))
        await asyncio.sleep(0)
        kernel.interrupt()  # there is nothing to be interrupted
        await kernel.restart()
        assert text(await waiting) == "waited\n"


@pytest.mark.parametrize("at_once", [False, True])
async def test_in_the_pause_a_shutdown_works(at_once):
    async with launched(restarts=LONG) as (kernel, statuses):
        await in_a_long_pause(kernel, statuses)
        assert (await kernel.shutdown(at_once=at_once)).signal == signal.SIGKILL
        assert kernel.status.expected
        with pytest.raises(KernelDied, match="cannot be restarted"):
            await kernel.restart()


async def test_in_the_pause_the_block_can_be_left():
    async with launched(restarts=LONG) as (kernel, statuses):
        await in_a_long_pause(kernel, statuses)
    assert isinstance(kernel.status, Exited)


async def test_what_another_client_asks_to_end_stays_ended():
    async with launched() as (kernel, _):
        async with moorage.attach(kernel.connection_file) as attached:
            await attached.shutdown()
        assert (await kernel.supervisor.wait()).code == 0
        assert kernel.status.expected


@pytest.mark.parametrize("kernel_type", ["xpython", "ir", "bash"])
async def test_other_kernels_are_there_again_wherever_they_listen(kernel_type):
    if kernel_type not in names():
        pytest.skip(f"there is no kernel {kernel_type} here")
    shows = {"xpython": "print(6 * 7)", "ir": "cat(6 * 7)", "bash": "echo 42"}[kernel_type]
    policy = RestartPolicy(first_pause=0.5)
    async with launched(kernel_type, policy) as (kernel, statuses), asyncio.TaskGroup() as group:
        for _ in range(2):  # at once, and after a pause in which something is asked
            kernel.process.send_signal(signal.SIGKILL)
            await until(statuses, Starting)
            waiting = group.create_task(kernel.execute(shows))
            await until(statuses, Running)
            assert "42" in text(await waiting)


@pytest.mark.parametrize("restarts", ["often", 1.5, True])
async def test_what_is_no_policy_is_a_usage_error(restarts):
    with pytest.raises(UsageError, match="restarts is"):
        async with launched(restarts=restarts):
            pass


def test_it_is_there_without_await_too():
    import threading

    with moorage.blocking.launch("python3", restarts=3, kernel_args=MEMORY) as kernel:
        again, pid = threading.Event(), kernel.process.pid

        def look(status):
            if isinstance(status, Running):
                again.set()

        kernel.subscribe(look)
        with pytest.raises(KernelDied, match="it is restarted"):
            kernel.execute("import os; os._exit(3)")
        assert again.wait(60)
        assert kernel.process.pid != pid
        assert kernel.execute("print(1)").text == "1\n"
