"""Kernels that register: moorage's launcher with other people's, other people's launchers with moorage's."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from foreign import Kallichore, XeusLauncher, session
from moorage.discovery.kernelspec import KernelSpec, names
from moorage.errors import StartDeath
from moorage.kernel.launch import launch
from moorage.rendezvous.choice import known_as
from moorage.rendezvous.files import read_connection_file
from moorage.rendezvous.memory import memory
from moorage.wire.connection import PORTS

pytestmark = [pytest.mark.real, pytest.mark.anyio]

HERE = Path(__file__).parent
LAUNCHERS = [XeusLauncher, Kallichore]


@pytest.fixture(autouse=True)
def nothing_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def kernel_of(*argv, **more):
    options = {"name": "some", "display_name": "Some", "language": "python", **more}
    return KernelSpec(argv=tuple(map(str, argv)), **options)


@pytest.fixture
def ark(tmp_path):
    """A kernelspec whose program is called ark."""
    program = tmp_path / "ark"
    program.write_text(f"#!{sys.executable}\n" + (HERE / "files" / "ark.py").read_text())
    program.chmod(0o755)
    return kernel_of(program, "--connection_file", "{connection_file}", "--session-mode", "notebook")


@pytest.fixture
def xpython():
    if "xpython" not in names():
        pytest.skip("xeus-python is not installed")
    return "xpython"


@pytest.fixture
def own():
    argv = (sys.executable, "-m", "moorage.jupyter.ipykernel", "-f", "{connection_file}")
    return kernel_of(*argv, protocol_version="5.6")


async def a_whole_life(kernel):
    """Run, interrupt, restart, kill."""
    assert kernel.rendezvous == "handshake"
    assert (await kernel.execute("1 + 1")).outputs[0]["data"]["text/plain"] == "2"
    before = read_connection_file(kernel.connection_file)
    async with asyncio.TaskGroup() as group:
        long = group.create_task(kernel.execute("__import__('time').sleep(60)"))
        busy = asyncio.Event()
        kernel.client.listen(lambda _: busy.set())
        await busy.wait()
        await asyncio.sleep(0.2)  # busy is said before the code runs
        kernel.interrupt()
    assert long.result().status == "error"
    pid = kernel.process.pid
    await kernel.restart()
    assert kernel.process.pid != pid
    assert (await kernel.execute("2 + 2")).outputs[0]["data"]["text/plain"] == "4"
    after = read_connection_file(kernel.connection_file)
    assert after.key == before.key, "clients sign as before"
    assert after != before, "it has moved, and others can find it"
    status = await kernel.shutdown(at_once=True)
    assert status.signal == signal.SIGKILL


async def test_xeus_python_by_its_own_cpp(xpython):
    async with launch(xpython) as kernel, asyncio.timeout(60):
        await a_whole_life(kernel)


async def test_ark(ark):
    async with launch(ark) as kernel, asyncio.timeout(60):
        assert kernel.info["implementation"] == "ark"
        await a_whole_life(kernel)


async def test_moorage_s_own(own):
    async with launch(own) as kernel, asyncio.timeout(60):
        await a_whole_life(kernel)
        assert memory().recall(known_as(own)) == "registers"


@pytest.mark.parametrize("way", ["hold", "self-bind"])
async def test_ark_started_as_ever(ark, way):
    """A file with all five ports is no registration file, and one without is."""
    if way == "self-bind":
        ark = kernel_of(*ark.argv, metadata={"moorage": {"rendezvous": "hold"}})
    async with launch(ark, rendezvous="auto" if way == "self-bind" else way) as kernel:
        assert kernel.rendezvous == "hold"
        assert (await kernel.execute("1 + 1")).status == "ok"


async def test_many_of_both_dialects_at_once(xpython, ark, own):
    alive = asyncio.Barrier(12)  # a port is free again once its kernel has ended

    async def one(kernel_type):
        async with launch(kernel_type) as kernel:
            assert kernel.rendezvous == "handshake"
            assert (await kernel.execute("1 + 1")).outputs[0]["data"]["text/plain"] == "2"
            await alive.wait()
            return [getattr(read_connection_file(kernel.connection_file), name) for name in PORTS]

    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(kind)) for kind in (xpython, ark, own) for _ in range(4)]
    assert len({port for task in tasks for port in task.result()}) == 60


SILENT = """
import json, sys, time
content = json.load(open(sys.argv[1]))
if "registration_port" in content and "shell_port" not in content:
    {what}
import runpy
sys.argv = ["ipykernel_launcher", "-f", sys.argv[1]]
runpy.run_module("ipykernel_launcher", run_name="__main__")
"""


@pytest.mark.parametrize("what", ["time.sleep(60)", "sys.exit(3)"])
async def test_one_that_says_it_registers_and_does_not(what, tmp_path, monkeypatch):
    monkeypatch.setattr("moorage.kernel.starting.REGISTERED", 0.5)
    program = tmp_path / "liar.py"
    program.write_text(SILENT.format(what=what))
    liar = kernel_of(sys.executable, program, "{connection_file}", protocol_version="5.6")
    async with launch(liar) as kernel:
        assert kernel.rendezvous == "hold"
        assert (await kernel.execute("1 + 1")).status == "ok"
        await kernel.restart()
        assert (await kernel.execute("1 + 1")).status == "ok"
    assert memory().recall(known_as(liar)) == "does not register"
    monkeypatch.setattr("moorage.kernel.starting.REGISTERED", 60)
    async with asyncio.timeout(30), launch(liar) as kernel:  # at once: it is remembered
        assert kernel.rendezvous == "hold"


async def test_one_that_cannot_start_at_all_is_told_as_ever(tmp_path):
    broken = kernel_of(sys.executable, "-c", "import sys; sys.exit('no licence')", protocol_version="5.6")
    with pytest.raises(StartDeath, match="no licence"):
        async with launch(broken):
            pass
    assert memory().recall(known_as(broken)) == "unknown"


async def test_who_insists_gets_it_or_an_error():
    broken = kernel_of(sys.executable, "-c", "import sys; sys.exit('never')")
    with pytest.raises(StartDeath):
        async with launch(broken, rendezvous="handshake"):
            pass


@pytest.fixture
def start(tmp_path):
    """Start a kernel's command as somebody else's launcher does; nothing of it may be left."""
    processes = []

    def start(spec_folder, path):
        content = json.loads((spec_folder / "kernel.json").read_bytes())
        argv = [word.replace("{connection_file}", str(path)) for word in content["argv"]]
        # A home of its own: what a user's .bashrc does is no part of the test, and takes seconds.
        env = {**os.environ, "HOME": str(tmp_path)}
        out = subprocess.PIPE
        process = subprocess.Popen(
            argv, cwd=tmp_path, env=env, stdout=out, stderr=out, text=True, process_group=0
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate(timeout=20)


def installed(tmp_path, *arguments):
    """Run ``moorage kernels install``; returns the kernelspec's folder."""
    command = [
        sys.executable,
        "-m",
        "moorage",
        "kernels",
        "install",
        "--prefix",
        str(tmp_path),
        "--name",
        "it",
    ]
    subprocess.run([*command, *arguments], check=True, capture_output=True)
    return tmp_path / "share" / "jupyter" / "kernels" / "it"


def adapted(tmp_path, kind):
    if kind not in names():
        pytest.skip(f"there is no kernel {kind} here")
    return installed(tmp_path, "--adapt", kind)


SAYS = {
    "bash": ("echo $((6 * 7))", "42\n", "echo go\nsleep 60"),
    "ir": ('cat(6 * 7, "\\n")', "42 \n", 'cat("go\\n")\nSys.sleep(60)'),
}


@pytest.mark.parametrize("launcher_kind", LAUNCHERS)
async def test_moorage_s_ipykernel_by_somebody_elses_launcher(launcher_kind, start, tmp_path):
    path = tmp_path / "kernel.json"
    with launcher_kind() as launcher:
        path.write_text(json.dumps(launcher.file()))
        process = start(installed(tmp_path), path)
        ports = launcher.registered(60)
    with session(ports, launcher.key) as run:
        assert run("print(6 * 7)") == "42\n"
        os.killpg(process.pid, signal.SIGINT)  # idle: nothing happens
        assert run("print('still')") == "still\n"


def descendants(pid):
    return psutil.Process(pid).children(recursive=True)


def in_the_end(run, code):
    """Run code in a kernel just interrupted: IRkernel, however started, then loses one request in four."""
    for _ in range(9):
        with suppress(TimeoutError):
            return run(code, 10)
    return run(code)


@pytest.mark.parametrize("launcher_kind", LAUNCHERS)
@pytest.mark.parametrize("kind", ["bash", "ir"])
async def test_an_adapted_kernel_by_somebody_elses_launcher(kind, launcher_kind, start, tmp_path):
    code, printed, long = SAYS[kind]
    path = tmp_path / "kernel.json"
    with launcher_kind() as launcher:
        path.write_text(json.dumps(launcher.file()))
        process = start(adapted(tmp_path, kind), path)
        ports = launcher.registered(60)
    with session(ports, launcher.key) as run:
        assert run(code) == printed
        message = run.client.execute(long)
        while run.client.get_iopub_msg(timeout=30)["header"]["msg_type"] != "stream":
            pass
        await asyncio.sleep(0.5)  # it has yet to fall asleep
        os.killpg(process.pid, signal.SIGINT)
        reply = run.client.get_shell_msg(timeout=30)
        assert reply["parent_header"]["msg_id"] == message
        assert in_the_end(run, code).endswith(printed)
        family = descendants(process.pid)
        assert len(family) >= 2, "a warden and a kernel"
        run.shutdown()
        try:
            assert process.wait(20) == 0, process.stderr.read()
        except (
            subprocess.TimeoutExpired
        ):  # ipykernel now and then hangs while it ends: as every launcher does
            process.terminate()
            assert process.wait(20) in (0, -signal.SIGTERM)
    assert all(not one.is_running() for one in family)
    assert set(PORTS) <= set(json.loads(path.read_bytes()))


async def test_the_adapter_ends_as_the_kernel_ends(start, tmp_path):
    path = tmp_path / "kernel.json"
    with XeusLauncher() as launcher:
        path.write_text(json.dumps(launcher.file()))
        process = start(adapted(tmp_path, "python3"), path)
        ports = launcher.registered(60)
    with session(ports, launcher.key) as run:
        run.client.execute("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
        assert process.wait(20) == -signal.SIGSEGV


@pytest.mark.parametrize("how", ["adapter", "term"])
async def test_nothing_is_left_of_an_adapter_that_is_killed(how, start, tmp_path):
    path = tmp_path / "kernel.json"
    with XeusLauncher() as launcher:
        path.write_text(json.dumps(launcher.file()))
        process = start(adapted(tmp_path, "python3"), path)
        ports = launcher.registered(60)
    with session(ports, launcher.key) as run:
        assert run("import subprocess; p = subprocess.Popen(['setsid', 'sleep', '1000']); print(1)") == "1\n"
        family = descendants(process.pid)
        assert len(family) >= 3
        process.send_signal(signal.SIGKILL if how == "adapter" else signal.SIGTERM)
        process.wait(20)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive


async def test_an_adapter_given_a_connection_file_becomes_the_kernel(tmp_path):
    folder = adapted(tmp_path, "python3")
    content = json.loads((folder / "kernel.json").read_bytes())
    async with launch(kernel_of(*content["argv"]), rendezvous="hold") as kernel:
        assert kernel.rendezvous == "hold"
        result = await kernel.execute("import os; os.getpid()")
        assert result.outputs[0]["data"]["text/plain"] == str(kernel.process.pid)


@pytest.mark.parametrize("what", ["--type nowhere-to-be-found", "--type {adapter}"])
async def test_an_adapter_that_cannot_begin_says_why(what, tmp_path):
    folder = adapted(tmp_path, "python3")
    path = tmp_path / "kernel.json"
    path.write_text("{}")
    env = {**os.environ, "JUPYTER_PATH": str(tmp_path / "share" / "jupyter")}
    command = [sys.executable, "-m", "moorage.jupyter.adapter", "-f", path]
    command += what.format(adapter=folder.name).split()
    done = await asyncio.to_thread(subprocess.run, command, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
