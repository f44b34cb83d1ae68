"""Kernels of every make: run, interrupted, restarted, killed; each met by its natural rendezvous."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from bench.dialects import DIALECTS, Dialect

from command import until
from moorage.discovery.kernelspec import names
from moorage.errors import KernelDied
from moorage.kernel.kernel import Kernel
from moorage.kernel.launch import launch
from moorage.plan.lifecycle import Exited
from moorage.process import procfs

pytestmark = [pytest.mark.real, pytest.mark.anyio]

NATURAL = {
    "python3": "ipc",
    "xpython": "handshake",
    "ir": "hold",
    "deno": "hold",
    "octave": "ipc",
    "bash": "ipc",
    "tslab": "hold",
}
PATIENCE = 30.0
"""Seconds for any single step, on a machine that is busy with other things."""


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module", params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    dialect = DIALECTS[request.param]
    if not dialect.here:
        pytest.skip(f"{dialect.title} is not installed: there is no kernelspec {dialect.kernel}")
    return dialect


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A home without files of anybody's: bash_kernel reads ~/.bashrc."""
    return {"HOME": str(tmp_path_factory.mktemp("home"))}


@pytest.fixture(scope="module")
async def kernel(dialect, home, anyio_backend):
    """For tests that leave their kernel alive and well."""
    async with launch(dialect.kernel, env=home) as kernel:
        yield kernel


async def run(kernel: Kernel, code: str):
    """Run code; again where the kernel drops it, as tslab does for a moment after errors."""
    async with asyncio.timeout(PATIENCE):
        while (result := await kernel.execute(code)).status in {"abort", "aborted"}:
            pass
    return result


def told(result) -> str:
    """Everything a result says, however its kernel says it."""
    words = [str(output.get("text", "")) for output in result.outputs]
    words += [str(output.get("data", {}).get("text/plain", "")) for output in result.outputs]
    words += [str(part) for output in result.outputs for part in output.get("traceback", ())]
    if result.error is not None:
        words += [result.error.evalue, *result.error.traceback]
    return "".join(words)


def printed(result) -> list[str]:
    texts = [output["text"] for output in result.outputs if output["output_type"] == "stream"]
    return "".join(texts).split()


async def looping(kernel: Kernel, dialect: Dialect, group: asyncio.TaskGroup) -> asyncio.Task:
    """Start the endless loop, and wait until it is well under way."""
    heard: list[str] = []
    on = asyncio.Event()

    def hear(message) -> None:
        if message.msg_type == "stream":
            heard.extend(message.content["text"].split())
        if heard.count("on") > 1:
            on.set()

    task = group.create_task(outcome(kernel.client.execute(dialect.loop, receive=hear)))
    async with asyncio.timeout(PATIENCE):
        await on.wait()
    return task


async def outcome(awaitable):
    try:
        async with asyncio.timeout(PATIENCE):
            return await awaitable
    except KernelDied as error:
        return error


async def test_it_runs_and_says_what_it_found(kernel: Kernel, dialect: Dialect):
    assert kernel.rendezvous == NATURAL[dialect.kernel]
    assert printed(await run(kernel, dialect.say.replace("{}", "hello"))) == ["hello"]
    assert "42" in told(await run(kernel, dialect.value))


async def test_an_error_is_told_behind_what_was_printed(kernel: Kernel, dialect: Dialect):
    result = await run(kernel, dialect.fail)
    assert printed(result)[0] == "before"
    assert "further" in told(result)
    # octave_kernel says ok whatever happened, and the error is in what it printed.
    assert result.status == ("ok" if dialect.kernel == "octave" else "error")
    assert printed(await run(kernel, dialect.say.replace("{}", "on"))) == ["on"]


async def test_nothing_that_is_printed_is_lost(kernel: Kernel, dialect: Dialect):
    # tslab drops what it publishes at once beyond some 200 messages, and xeus beyond 1000 where it is slow.
    lines = {"tslab": 100, "deno": 3000}.get(dialect.kernel, 300)
    for _ in range(3):
        result = await run(kernel, dialect.count.replace("{}", str(lines)))
        assert printed(result) == [str(number) for number in range(lines)]


async def test_an_interrupt_ends_what_runs_and_nothing_else(kernel: Kernel, dialect: Dialect):
    pid = kernel.process.pid
    await run(kernel, dialect.keep)
    async with asyncio.TaskGroup() as group:
        loop = await looping(kernel, dialect, group)
        kernel.interrupt()
        assert not isinstance(await loop, KernelDied)
    assert kernel.process.pid == pid
    assert printed(await run(kernel, dialect.kept)) == ["7"]


async def test_interrupted_while_it_is_idle_it_lives_on(kernel: Kernel, dialect: Dialect):
    for number in range(3):
        kernel.interrupt()
        result = await run(kernel, dialect.say.replace("{}", f"n{number}"))
        assert f"n{number}" in printed(result) or result.status != "ok"
    assert printed(await run(kernel, dialect.say.replace("{}", "last"))) == ["last"]


async def test_a_restart_forgets_everything_and_keeps_the_client(kernel: Kernel, dialect: Dialect):
    client, pid = kernel.client, kernel.process.pid
    await run(kernel, dialect.keep)
    await kernel.restart()
    assert kernel.client is client
    assert kernel.process.pid != pid
    assert "7" not in printed(await run(kernel, dialect.kept))
    assert printed(await run(kernel, dialect.say.replace("{}", "again"))) == ["again"]
    async with asyncio.TaskGroup() as group:
        loop = await looping(kernel, dialect, group)
        kernel.interrupt()
        assert not isinstance(await loop, KernelDied)
    assert printed(await run(kernel, dialect.say.replace("{}", "still"))) == ["still"]


async def test_killed_everybody_hears_of_it_and_nothing_is_left(dialect: Dialect, home: dict[str, str]):
    async with launch(dialect.kernel, env=home) as kernel:
        await run(kernel, dialect.say.replace("{}", "hello"))
        family = [kernel.process.pid, *procfs.roots(procfs.table(), kernel.process.pid)]
        async with asyncio.TaskGroup() as group:
            waiting = [await looping(kernel, dialect, group)]
            waiting += [group.create_task(outcome(kernel.execute(dialect.value))) for _ in range(2)]
            waiting.append(group.create_task(outcome(kernel.process.wait())))
            await asyncio.sleep(0)
            kernel.process.send_signal(signal.SIGKILL)
        *errors, exit_status = (task.result() for task in waiting)
        assert exit_status.signal == signal.SIGKILL
        for error in errors:
            assert isinstance(error, KernelDied)
            assert error.exit_status == exit_status
        assert isinstance(kernel.status, Exited)
    assert not [process for process in map(procfs.look, family) if process is not None and not process.dead]


async def test_asked_to_end_it_ends_by_itself(dialect: Dialect, home: dict[str, str]):
    async with launch(dialect.kernel, env=home) as kernel:
        await run(kernel, dialect.say.replace("{}", "hello"))
        exit_status = await kernel.shutdown(grace=PATIENCE)
    assert (exit_status.code, exit_status.signal) == (0, None)


@pytest.mark.skipif("xpython-raw" not in names(), reason="xpython-raw is not installed")
async def test_xeus_python_in_raw_mode_lives_through_an_interrupt(tmp_path: Path):
    async with launch("xpython-raw") as kernel, asyncio.timeout(4 * PATIENCE):
        for number in range(3):
            on = tmp_path / str(number)  # what it prints comes late, as it has no thread for that
            code = f"open({str(on)!r}, 'w').close()\nimport time\nwhile True: time.sleep(0.05)"
            async with asyncio.TaskGroup() as group:
                running = group.create_task(kernel.execute(code))
                assert await asyncio.to_thread(until, on.exists)
                kernel.interrupt()
            assert running.result().error.ename == "KeyboardInterrupt"
            assert printed(await kernel.execute("print(6 * 7)")) == ["42"]


async def test_requests_that_are_sent_together_are_all_answered(kernel: Kernel, dialect: Dialect):
    """xeus-python overlooks some of them, and deno prints some in the name of others."""
    async with asyncio.timeout(4 * PATIENCE):
        for _ in range(5):
            async with asyncio.TaskGroup() as group:
                codes = [dialect.say.replace("{}", f"word{number}") for number in range(4)]
                together = [group.create_task(kernel.execute(code)) for code in codes]
            assert [printed(each.result()) for each in together] == [[f"word{n}"] for n in range(4)]
