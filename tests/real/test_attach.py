"""Kernels that somebody else started: attached to, interrupted, watched dying, left running."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import zmq

from moorage import blocking
from moorage.discovery.kernelspec import names
from moorage.errors import KernelDied, KernelTypeNotFound, MoorageError, UsageError
from moorage.kernel.attach import attach
from moorage.kernel.launch import launch
from moorage.plan.lifecycle import Exited, Running

pytestmark = [pytest.mark.real, pytest.mark.anyio]

NAPS = "import time; any(time.sleep(0.1) for _ in range(6000))"
"""For what is to be interrupted: Python sees a signal that comes just before a sleep only after it."""

IPYKERNEL = (sys.executable, "-m", "ipykernel_launcher", "-f", "{}", "--HistoryManager.enabled=False")


PORTS = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")


def guessed():
    """Guess five free ports, below those that the system gives to connections and to other tests' kernels."""
    with contextlib.ExitStack() as stack:
        for name in PORTS:
            while True:
                probe = stack.enter_context(socket.socket())
                with contextlib.suppress(OSError):
                    probe.bind(("127.0.0.1", 10_000 + secrets.randbelow(20_000)))
                    break
            yield name, probe.getsockname()[1]


@contextlib.contextmanager
def started(*argv, transport="tcp", **content):
    """Start a kernel as jupyter_client does: it chooses the addresses and writes the file.

    The kernel shares no history with those of other tests.
    """
    from jupyter_client.connect import write_connection_file

    folder = Path(tempfile.mkdtemp(prefix="k"))
    path = folder / f"kernel-{secrets.token_hex(8)}.json"  # found by it among all that run
    ip = str(folder / "k") if transport == "ipc" else "127.0.0.1"
    ports = dict(zip(PORTS, range(1, 6), strict=True) if transport == "ipc" else guessed())
    write_connection_file(
        str(path),
        ip=ip,
        transport=transport,
        **ports,
        key=b"secret",
        **content,
    )
    command = [word.replace("{}", str(path)) for word in argv or IPYKERNEL]
    process = subprocess.Popen(
        command,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "IPYTHONDIR": str(folder / "ipython")},
    )
    try:
        yield path, process
    except TimeoutError as error:
        error.add_note(what_it_does(process.pid))
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def what_it_does(pid):
    """Return what each thread of a process waits for, and which of its connections hold unread bytes."""
    lines = []
    for task in sorted(Path(f"/proc/{pid}/task").glob("*")):
        with contextlib.suppress(OSError):
            words = [(task / name).read_text().strip() for name in ("comm", "wchan", "syscall")]
            state = (task / "stat").read_text().rpartition(")")[2].split()[0]
            lines.append(" ".join([task.name, state, *words]))
    unread = [
        line
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if not re.search(r" 0{8}:0{8} ", line)
    ]
    return "\n".join([f"process {pid}:", *lines, "connections with bytes that wait:", *unread])


@pytest.fixture
def anyio_backend():
    return "asyncio"


def text(result):
    return "".join(output.get("text", "") for output in result.outputs)


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
async def test_it_speaks_and_is_left_running(transport):
    with started(transport=transport) as (path, process):
        for number in range(2):
            async with attach(path) as kernel:
                assert kernel.process.pid == process.pid
                assert kernel.process.is_named
                assert isinstance(kernel.status, Running)
                assert kernel.info["implementation"] == "ipython"
                result = await kernel.execute(f"print({number}, input())", stdin=lambda *_: "Ada")
                assert text(result) == f"{number} Ada\n"
                assert kernel.process.memory() > 10_000_000
        assert process.poll() is None


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
async def test_an_encrypted_one_is_spoken_to_listed_and_stopped(transport):
    public, secret = zmq.curve_keypair()
    keys = {"curve_publickey": public, "curve_secretkey": secret}
    with started(transport=transport, kernel_name="python3", **keys) as (path, process):
        async with attach(path) as kernel:
            assert text(await kernel.execute("print(input())", stdin=lambda *_: "Ada")) == "Ada\n"
        name = path.stem.removeprefix("kernel-")
        ran = await asyncio.to_thread(moorage, "run", "--existing", str(path), "-c", "print(6 * 7)")
        assert (ran.returncode, ran.stdout) == (0, "42\n")
        listed = await asyncio.to_thread(moorage, "kernels", "ps", "--json")
        (found,) = [one for one in json.loads(listed.stdout)["kernels"] if one["id"] == name]
        assert (found["alive"], found["status"], found["pid"]) == (True, "idle", process.pid)
        stopped = await asyncio.to_thread(moorage, "kernels", "stop", name)
        assert stopped.stdout == f"stopped {name}: exit code 0\n"


def moorage(*words):
    command = [sys.executable, "-m", "moorage", *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


async def test_one_that_is_still_starting_is_waited_for():
    with started("sh", "-c", 'sleep 1; exec "$@"', "sh", *IPYKERNEL) as (path, _):
        async with attach(path) as kernel:
            assert text(await kernel.execute("print(1)")) == "1\n"


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
async def test_a_busy_one_can_be_attached_to_and_interrupted(transport):
    with started(transport=transport, kernel_name="python3") as (path, _):
        async with attach(path) as first, asyncio.timeout(60):
            busy = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                running = group.create_task(
                    first.execute(f"print(1, flush=True); {NAPS}", receive=lambda _: busy.set())
                )
                await busy.wait()
                async with attach(path) as second:
                    second.interrupt()
                    assert (await running).error.ename == "KeyboardInterrupt"
                    assert text(await second.execute("print(2)")) == "2\n"


async def test_everybody_who_waits_hears_of_its_death_and_of_its_cause():
    with started() as (path, process):
        async with attach(path) as first, attach(path) as second, asyncio.timeout(60):
            busy = asyncio.Event()
            prints = "print('here'); import time; time.sleep(600)"
            tasks = [asyncio.ensure_future(first.execute(prints, receive=lambda _: busy.set()))]
            await busy.wait()
            waiting = (second.execute("2"), first.process.wait(), second.process.wait())
            tasks += [asyncio.ensure_future(each) for each in waiting]
            process.kill()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            for error in ended[:2]:
                assert isinstance(error, KernelDied)
                assert error.exit_status.signal == signal.SIGKILL
                assert "not started from here" in str(error)
            assert [each.signal for each in ended[2:]] == [signal.SIGKILL] * 2
            assert isinstance(first.status, Exited)
            assert not first.status.expected
            with pytest.raises(KernelDied):
                await first.execute("1")
    with pytest.raises(MoorageError):
        async with attach(path):
            pass


async def test_it_is_ended_on_request_for_everybody():
    with started() as (path, process):
        async with attach(path) as kernel, attach(path) as other, asyncio.timeout(60):
            with pytest.raises(UsageError, match="cannot be restarted from here"):
                await kernel.restart()
            assert (await kernel.shutdown()).code == 0
            await other.process.wait()
            assert process.wait(20) == 0
            assert kernel.status.expected


async def test_one_that_does_not_listen_is_ended_by_force():
    with started() as (path, process):
        async with attach(path) as kernel, asyncio.timeout(60):
            await kernel.execute("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")
            kernel.client.request("shell", ("execute_request", {"code": "while True: pass", "silent": True}))
            process.send_signal(signal.SIGSTOP)
            assert (await kernel.shutdown(grace=0.2)).signal == signal.SIGKILL
    with started() as (path, process):
        async with attach(path) as kernel, asyncio.timeout(60):
            assert (await kernel.shutdown(at_once=True)).signal == signal.SIGKILL


async def test_one_of_our_own_seen_from_outside():
    async with launch("python3") as kernel, asyncio.timeout(60), attach(kernel.connection_file) as other:
        assert text(await other.execute("print(1)")) == "1\n"
        assert other.process.pid == kernel.process.pid
        await kernel.shutdown(at_once=True)
        await other.process.wait()
        with pytest.raises(KernelDied):
            await other.execute("1")


async def test_by_id_by_its_beginning_by_pid_and_as_a_kernel_type(monkeypatch):
    with started() as (path, process):
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(path.parent))
        async with attach(path):
            pass  # then it runs
        own = path.stem.removeprefix("kernel-")
        home = "~/" + os.path.relpath(path, Path.home())
        for name in (own, own[:12], f"running/{own}", str(process.pid), home):
            async with attach(name) as kernel:
                assert kernel.connection_file.samefile(path)
        with pytest.raises(KernelTypeNotFound):
            async with attach("xyz"):
                pass


async def test_without_async():
    with started() as (path, process):
        with blocking.attach(path) as kernel:
            assert text(kernel.execute("print(input())", stdin=lambda *_: "Ada")) == "Ada\n"
            assert kernel.process.pid == process.pid
            sleeps = f"print(1, flush=True); {NAPS}"
            result = kernel.execute(sleeps, receive=lambda m: m.msg_type == "stream" and kernel.interrupt())
            assert result.error.ename == "KeyboardInterrupt"
            with pytest.raises(UsageError):
                kernel.restart()
            assert isinstance(kernel.status, Running)
        assert process.poll() is None
        with blocking.attach(path) as kernel:
            assert kernel.shutdown().code == 0


def command_of(name):
    from moorage.discovery.kernelspec import find

    if name not in names():
        pytest.skip(f"there is no {name} here")
    return find(name).command(Path("{}"))


@pytest.mark.parametrize(("name", "code"), [("xpython", "print(1)"), ("ir", "cat('1\\n')")])
async def test_other_kernels(name, code):
    with started(*command_of(name), kernel_name=name) as (path, process):
        async with attach(path) as kernel, asyncio.timeout(60):
            assert text(await kernel.execute(code)) == "1\n"
            assert kernel.process.is_named
            process.kill()
            with pytest.raises(KernelDied):
                await kernel.execute(code)
