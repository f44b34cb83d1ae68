"""Real kernels: started, watched, ended, killed in every way, and nothing left of them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from moorage.discovery.kernelspec import KernelSpec, native
from moorage.errors import (
    DeadlineExceeded,
    KernelDied,
    KernelTypeNotFound,
    LaunchError,
    MoorageError,
    StartDeath,
    UsageError,
)
from moorage.kernel.attach import attach
from moorage.kernel.launch import launch
from moorage.plan.lifecycle import Exited, Running
from moorage.process import procfs
from moorage.process.options import ProcessOptions

pytestmark = pytest.mark.anyio

MEMORY = ("--HistoryManager.hist_file=:memory:",)


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module", autouse=True)
async def warden(anyio_backend):
    """One for all of these tests: held open by somebody, it is shared by the launches."""
    from moorage.process.local import shared_warden

    async with shared_warden() as warden:
        yield warden


def kernel_of(*argv, **rest):
    return KernelSpec(name="made", argv=tuple(map(str, argv)), display_name="", language="python", **rest)


def wrapper(tmp_path, before):
    """A kernel type that does something before it becomes ipykernel; ``ports`` are those of its file."""
    script = tmp_path / "wrapper.py"
    script.write_text(
        "import json, os, socket, subprocess, sys\n"
        "ports = json.load(open(sys.argv[1]))\n"
        + textwrap.dedent(before)
        + "\nos.execv(sys.executable, [sys.executable, '-m', 'ipykernel_launcher', '-f', sys.argv[1]])\n"
    )
    return kernel_of(sys.executable, script, "{connection_file}")


def text(result):
    return "".join(output.get("text", "") for output in result.outputs)


def alive(pid):
    process = procfs.look(pid)
    return process is not None and not process.dead


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


async def settled(true):
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_start_limit_counts_whatever_is_waited_for():
    from moorage.process.local import Warden

    async with Warden.open() as warden:
        warden.link.process.popen.send_signal(signal.SIGSTOP)
        with pytest.raises(DeadlineExceeded, match="was not started within"):
            async with launch("python3", timeout=0.2, warden=warden):
                pass
        async with launch("python3", warden=warden) as kernel:  # it has been woken
            assert text(await kernel.execute("print(1)")) == "1\n"


@pytest.mark.parametrize("way", ["ipc", "hold"])
async def test_a_restart_after_the_private_directory_was_removed(way):
    from moorage.process.local import Warden

    async with Warden.open() as warden, launch("python3", rendezvous=way, warden=warden) as kernel:
        shutil.rmtree(warden.directory)
        await kernel.restart()
        assert text(await kernel.execute("print(1)")) == "1\n"
        assert kernel.connection_file.stat().st_mode & 0o777 == 0o600
    assert not warden.directory.exists()


async def test_a_restart_that_cannot_be_for_want_of_the_directory_says_so_at_once():
    from moorage.process.local import Warden

    async with Warden.open() as warden:
        with pytest.raises(LaunchError, match="has gone"):  # noqa: PT012 - the block raises it once more
            async with launch("python3", rendezvous="self-bind", warden=warden) as kernel:
                shutil.rmtree(warden.directory)
                await kernel.restart()
        with pytest.raises(LaunchError, match="no directory can be made in"):
            async with launch("python3", warden=warden):
                pass


# -- living ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["ipc", "self-bind", "hold"])
async def test_each_rendezvous(way):
    async with launch("python3", rendezvous=way, kernel_args=MEMORY) as kernel:
        assert kernel.rendezvous == way
        assert isinstance(kernel.status, Running)
        assert kernel.info["language_info"]["name"] == "python"
        assert text(await kernel.execute("print(6 * 7)")) == "42\n"
        assert kernel.connection_file.stat().st_mode & 0o777 == 0o600
        assert kernel.process.memory() > 10_000_000
        directory = kernel.connection_file.parent
    assert not directory.exists()
    assert isinstance(kernel.status, Exited)
    assert kernel.status.expected


async def test_the_first_output_is_never_lost():
    for _ in range(20):
        async with launch("python3", kernel_args=MEMORY) as kernel:
            assert text(await kernel.execute("print('first', flush=True)")) == "first\n"
            await kernel.shutdown(at_once=True)


async def test_directory_and_environment(tmp_path):
    env = {"MOORAGE_TEST": "yes", "JPY_PARENT_PID": "1"}
    async with launch("python3", cwd=tmp_path, env=env) as kernel:
        result = await kernel.execute("import os; print(os.getcwd(), os.environ['MOORAGE_TEST'])")
    assert text(result) == f"{tmp_path} yes\n"


async def test_an_interrupt_ends_what_runs_and_nothing_else():
    async with launch("python3") as kernel, asyncio.TaskGroup() as group:
        running = asyncio.Event()
        slow = group.create_task(
            kernel.execute(
                # Naps: Python sees a signal that comes just before a sleep only after it.
                "print('on', flush=True)\nimport time\nwhile True: time.sleep(0.1)",
                receive=lambda message: running.set() if message.msg_type == "stream" else None,
            )
        )
        await running.wait()
        kernel.interrupt()
        assert (await slow).error.ename == "KeyboardInterrupt"
        assert text(await kernel.execute("print('alive')")) == "alive\n"


@pytest.mark.parametrize("way", ["ipc", "self-bind", "hold"])
async def test_a_restart_keeps_addresses_and_client(way):
    async with launch("python3", rendezvous=way, kernel_args=MEMORY) as kernel:
        client, before = kernel.client, kernel.connection_file.read_bytes()
        await kernel.execute("x = 1")
        pid = kernel.status.pid
        waiting = asyncio.TaskGroup()
        async with waiting:
            slow = waiting.create_task(failure(kernel.execute("import time; time.sleep(60)")))
            await asyncio.sleep(0)
            await kernel.restart()
        assert "restarted" in str(slow.result())
        assert kernel.status.pid != pid
        assert not alive(pid)
        assert kernel.client is client
        assert json.loads(kernel.connection_file.read_bytes()) == json.loads(before)
        result = await kernel.execute("print('first'); x")
        assert text(result) == "first\n"
        assert result.error.ename == "NameError"


async def failure(awaitable):
    try:
        await awaitable
    except MoorageError as error:
        return error
    raise AssertionError("it went well")


async def test_what_has_ended_cannot_be_restarted():
    async with launch("python3") as kernel:
        await kernel.shutdown(at_once=True)
        async with asyncio.timeout(5):
            with pytest.raises(KernelDied, match="cannot be restarted"):
                await kernel.restart()


async def test_shutdown_ends_it_politely_and_twice_is_once():
    async with launch("python3") as kernel:
        assert (await kernel.shutdown()).code == 0
        assert (await kernel.shutdown()).code == 0
        assert (await kernel.process.wait()).code == 0


async def test_a_kernel_that_ignores_requests_and_sigterm_is_killed():
    async with launch("python3") as kernel:
        await kernel.execute(
            "import signal, time, threading\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "get_ipython().kernel.do_shutdown = lambda restart: time.sleep(60)"
        )
        exit_status = await kernel.shutdown(grace=0.2)
        assert exit_status.signal == signal.SIGKILL


# -- dying -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("os.kill(os.getpid(), 9)", "killed by SIGKILL, cause unknown"),
        ("os._exit(3)", "exit code 3"),
        ("import ctypes; ctypes.string_at(0)", "killed by SIGSEGV"),
    ],
)
async def test_a_death_tells_everyone_its_cause_and_keeps_what_was_said(code, end):
    heard = []
    async with launch("python3", kernel_args=MEMORY) as kernel:
        # Without the pause the output is often still in the kernel when it dies.
        said = "import os, time\nprint('so far', flush=True)\ntime.sleep(0.1)\nos.write(2, b'last words')\n"
        script = said + code
        async with asyncio.TaskGroup() as group, asyncio.timeout(20):
            first = group.create_task(failure(kernel.execute(script, receive=heard.append)))
            await asyncio.sleep(0)
            others = [group.create_task(failure(kernel.execute("2"))) for _ in range(3)]
            ended = group.create_task(kernel.process.wait())
        error = first.result()
        assert isinstance(error, KernelDied)
        assert end in str(error)
        assert "last words" in error.output
        assert error.exit_status == ended.result()
        assert all(isinstance(other.result(), KernelDied) for other in others)
        assert ("stream", "so far\n") in [(m.msg_type, m.content.get("text")) for m in heard]
        with pytest.raises(KernelDied):
            await kernel.execute("3")
        kernel.interrupt()
    assert isinstance(kernel.status, Exited)
    assert not kernel.status.expected


async def test_leaving_the_block_tells_those_who_still_wait():
    async with asyncio.TaskGroup() as group, asyncio.timeout(20), launch("python3") as kernel:
        slow = group.create_task(failure(kernel.execute("import time; time.sleep(60)")))
        ended = group.create_task(kernel.process.wait())
        await asyncio.sleep(0)
        await kernel.shutdown(at_once=True)
    assert isinstance(slow.result(), KernelDied)
    assert ended.result().signal == signal.SIGKILL


async def test_an_exception_in_the_block_passes_unchanged_and_ends_everything():
    async with asyncio.TaskGroup() as group, asyncio.timeout(20):
        with pytest.raises(TimeoutError, match=r"^mine$"):  # noqa: PT012 - it is about the block
            async with launch("python3") as kernel:
                ended = group.create_task(kernel.process.wait())
                await asyncio.sleep(0)
                pid = kernel.status.pid
                raise TimeoutError("mine")
        await ended
    assert not alive(pid)
    assert isinstance(kernel.status, Exited)


async def test_grandchildren_are_gone_after_the_block():
    async with launch("python3") as kernel:
        code = "import subprocess\nprint(subprocess.Popen(['setsid', 'sleep', '1000']).pid)"
        await kernel.execute(
            "import os\nif os.fork() == 0:\n    os.setsid(); os.execvp('sleep', ['sleep', '1000'])"
        )
        pid = int(text(await kernel.execute(code)))
        assert alive(pid)
    assert not alive(pid)


# -- starting and failing --------------------------------------------------------------------------


async def test_a_death_while_starting_is_told_with_what_it_said():
    spec = kernel_of(
        sys.executable,
        "-c",
        "import sys; sys.stderr.write('no licence\\n'); sys.exit(3)",
        "{connection_file}",
    )
    with pytest.raises(StartDeath, match=r"exit code 3.*no licence") as caught:  # and no DeadlineExceeded
        async with launch(spec):
            pass
    assert caught.value.exit_status.code == 3


@pytest.mark.parametrize("way", ["hold", "ipc"])
async def test_a_missing_module_is_told(way):
    spec = kernel_of(sys.executable, "-m", "no_such_kernel", "{connection_file}")
    with pytest.raises(StartDeath, match="No module named no_such_kernel"):
        async with launch(spec, rendezvous=way):
            pass


def in_place_of_ipykernel(tmp_path, code):
    """A kernel type that looks like ipykernel, and the environment in which it runs ``code`` instead."""
    (tmp_path / "ipykernel_launcher.py").write_text(code)
    spec = kernel_of(sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}")
    return spec, {"PYTHONPATH": str(tmp_path)}


async def test_a_self_binding_kernel_that_never_writes_its_ports(tmp_path):
    spec, env = in_place_of_ipykernel(tmp_path, "print('bye')")
    with pytest.raises(StartDeath, match=r"exit code 0.*bye"):
        async with launch(spec, rendezvous="self-bind", env=env, fork=False):
            pass


NO_IPC = """
import zmq
bind = zmq.Socket.bind
def bind_or_refuse(self, address):
    if address.startswith("ipc:"):
        raise zmq.ZMQError(zmq.EPROTONOSUPPORT, f"Protocol not supported (addr={address!r})")
    return bind(self, address)
zmq.Socket.bind = bind_or_refuse
from ipykernel.kernelapp import launch_new_instance
launch_new_instance()
"""


async def test_a_kernel_that_cannot_bind_ipc_is_started_with_ports(tmp_path, caplog):
    spec, env = in_place_of_ipykernel(tmp_path, NO_IPC)
    async with launch(spec, env=env, fork=False) as kernel:
        assert kernel.rendezvous == "hold"
        assert text(await kernel.execute("print(1)")) == "1\n"
        await kernel.restart()
        assert text(await kernel.execute("print(1)")) == "1\n"
    assert "is started with TCP ports" in caplog.text
    with pytest.raises(StartDeath, match="Protocol not supported"):
        async with launch(spec, env=env, fork=False, rendezvous="ipc"):
            pass


async def test_a_path_too_long_for_sockets_is_no_reason_to_fail(caplog, monkeypatch):
    from moorage.rendezvous import ipc

    monkeypatch.setattr(ipc, "LONGEST_PREFIX", 1)
    async with launch("python3") as kernel:
        assert kernel.rendezvous == "hold"
        assert text(await kernel.execute("print(1)")) == "1\n"
    assert "too deep for Unix sockets" in caplog.text
    with pytest.raises(LaunchError, match="too deep"):
        async with launch("python3", rendezvous="ipc"):
            pass


async def test_another_death_is_no_reason_to_start_twice(tmp_path):
    spec, env = in_place_of_ipykernel(tmp_path, "open('starts', 'a').write('x'); raise SystemExit(3)")
    with pytest.raises(StartDeath, match="exit code 3"):
        async with launch(spec, env=env, fork=False, cwd=tmp_path):
            pass
    assert (tmp_path / "starts").read_text() == "x"


async def test_a_missing_program_is_a_launch_error():
    with pytest.raises(LaunchError, match="no-such-program"):
        async with launch(kernel_of("no-such-program", "{connection_file}")):
            pass


async def test_a_missing_directory_is_a_launch_error(tmp_path):
    with pytest.raises(LaunchError, match="absent"):
        async with launch("python3", cwd=tmp_path / "absent"):
            pass


async def test_an_unknown_kernel_type():
    with pytest.raises(KernelTypeNotFound):
        async with launch("pyhton3"):
            pass


@pytest.mark.parametrize("way", ["hold", "self-bind", "ipc"])
async def test_a_kernel_that_never_answers(tmp_path, way):
    pids = []
    spec, env = kernel_of("sleep", "1000"), None
    if way == "self-bind":
        spec, env = in_place_of_ipykernel(tmp_path, "import time; time.sleep(1000)")
    with pytest.raises(DeadlineExceeded, match=r"did not answer within 0\.3 s"):
        async with (
            asyncio.timeout(120),
            launch(spec, rendezvous=way, timeout=0.3, env=env, fork=False) as kernel,
        ):
            pids.append(kernel)


async def test_cancelling_while_it_starts_leaves_no_process(tmp_path):
    mark = tmp_path / "pid"
    spec = kernel_of("sh", "-c", f"echo $$ > {mark}.new; mv {mark}.new {mark}; exec sleep 1000")

    async def start():
        async with launch(spec, rendezvous="hold"):
            pass

    async with asyncio.TaskGroup() as group:
        task = group.create_task(start())
        await settled(mark.exists)
        task.cancel()
    assert not alive(int(mark.read_text()))


async def test_nothing_is_left_open():
    async with launch("python3", fork=False):  # a template would have descriptors of its own
        pass
    before = descriptors()
    for way in ("ipc", "self-bind", "hold"):
        async with launch("python3", rendezvous=way, kernel_args=MEMORY, fork=False) as kernel:
            await kernel.restart() if way == "ipc" else await kernel.execute("1")
    for spec in (kernel_of("false", "{connection_file}"), kernel_of("no-such-program")):
        with pytest.raises(MoorageError):
            async with launch(spec):
                pass
    await settled(lambda: descriptors() <= before)


# -- a port taken by somebody else -----------------------------------------------------------------

TAKEN = """
thief = subprocess.Popen([sys.executable, '-c', '''
import socket, sys, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen(); print("ok", flush=True); time.sleep(1000)
''', str(ports[CHANNEL + '_port'])], stdout=subprocess.PIPE)
thief.stdout.readline()
"""


def stolen(tmp_path, channel):
    return wrapper(
        tmp_path,
        f"CHANNEL = {channel!r}\n{TAKEN}open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))",
    )


@pytest.mark.parametrize("channel", ["shell", "stdin", "control"])
async def test_a_taken_port_is_a_quick_death_with_its_reason(tmp_path, channel):
    with pytest.raises(StartDeath, match="Address already in use") as caught:
        async with launch(stolen(tmp_path, channel), rendezvous="hold", timeout=30):
            pass
    assert caught.value.exit_status.code == 1
    assert not alive(int((tmp_path / "pid").read_text()))


async def test_a_taken_iopub_port_makes_ipykernel_hang_and_not_us(tmp_path):
    with pytest.raises((StartDeath, DeadlineExceeded), match="Address already in use"):
        async with asyncio.timeout(120), launch(stolen(tmp_path, "iopub"), rendezvous="hold", timeout=4):
            pass
    assert not alive(int((tmp_path / "pid").read_text()))


async def test_a_taken_heartbeat_port_is_no_harm(tmp_path):
    async with launch(stolen(tmp_path, "hb"), rendezvous="hold") as kernel:
        assert text(await kernel.execute("print(1)")) == "1\n"
        await kernel.shutdown(at_once=True)  # asked, it waits for its heartbeat for ever


async def test_nothing_survives_us(tmp_path):
    """Not even a kernel that hangs at its exit, when we are killed."""
    script = tmp_path / "us.py"
    script.write_text(
        "import asyncio, sys\n"
        "from moorage.kernel.launch import launch\n"
        "async def main():\n"
        "    async with launch('python3') as kernel:\n"
        "        await kernel.execute('import signal; signal.signal(15, signal.SIG_IGN)')\n"
        "        print(kernel.status.pid, flush=True)\n"
        "        await asyncio.sleep(1000)\n"
        "asyncio.run(main())\n"
    )
    us = await asyncio.create_subprocess_exec(sys.executable, str(script), stdout=asyncio.subprocess.PIPE)
    pid = int(await us.stdout.readline())
    assert alive(pid)
    us.kill()
    await us.wait()
    await settled(lambda: not alive(pid))
    us._transport.close()


# -- what else ------------------------------------------------------------------------------------


def test_the_native_kernel_is_here():
    assert native() is not None


@pytest.mark.real
async def test_an_execution_after_an_interrupt_is_run():
    async with launch("python3") as kernel:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await kernel.execute("import time\ntime.sleep(600)")
        kernel.interrupt()
        result = await kernel.execute("print('on')")
        assert result.status == "ok"
        assert result.outputs[0]["text"] == "on\n"


async def test_variables_can_be_unset(monkeypatch):
    monkeypatch.setenv("HERE", "1")
    code = "import os; print(os.environ.get('HERE'), os.environ['THERE'])"
    async with launch("python3", env={"HERE": None, "THERE": "2"}) as kernel:
        assert (await kernel.execute(code)).outputs[0]["text"] == "None 2\n"
    with pytest.raises(UsageError, match="the variable THERE cannot be set"):
        async with launch("python3", env={"THERE": 2}):
            pass


SYSTEM = Path("/usr/bin/python3")


def _alike():
    """Tell whether the system's Python can import what this one has installed."""
    if not os.access(SYSTEM, os.X_OK):
        return False
    code = "import sys; print(*sys.version_info[:2])"
    said = subprocess.run([SYSTEM, "-c", code], capture_output=True, text=True, check=False)
    return said.stdout.split() == [str(part) for part in sys.version_info[:2]]


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0 or not _alike(),
    reason="only root starts other users' kernels, and needs a Python that they may execute",
)
@pytest.mark.parametrize("rendezvous", ["auto", "hold"])
async def test_a_kernel_of_another_user_and_what_it_leaves(rendezvous):
    import zmq

    spec = kernel_of(SYSTEM, "-m", "ipykernel_launcher", "-f", "{connection_file}")
    env = {"PYTHONPATH": str(Path(zmq.__file__).parents[1]), "HOME": "/nonexistent"}
    nobody = ProcessOptions(user="nobody", rlimits={"CORE": 0})
    code = "import os, resource as r; print(os.getresuid(), os.getgroups(), r.getrlimit(r.RLIMIT_CORE))"
    async with launch(spec, env=env, cwd="/", process=nobody, rendezvous=rendezvous) as kernel:
        for _ in range(2):
            result = await kernel.execute(code)
            assert result.outputs[0]["text"] == "(65534, 65534, 65534) [65534] (0, 0)\n"
            await kernel.restart()
        directory = kernel.connection_file.parent.parent
        assert directory.stat().st_uid == 0
    assert not directory.exists()


async def test_what_does_not_go_with_another_user_is_a_usage_error():
    for options, complaint in [
        ({"process": ProcessOptions(user="no-such-user")}, "there is no user no-such-user"),
        ({"process": ProcessOptions(user=54321, group=1), "rendezvous": "self-bind"}, "of another user"),
        ({"process": ProcessOptions(umask="0")}, "umask is '0'"),
    ]:
        with pytest.raises(UsageError, match=complaint):
            async with launch("python3", **options):
                pass


ECHO = """
import sys
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel

class Tee(Kernel):
    implementation = language = banner = "Tee"
    implementation_version = "1"
    language_info = {"name": "echo", "mimetype": "text/plain", "file_extension": ".txt"}

    def do_execute(self, code, silent, *rest, **options):
        return {"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {}}

    async def shutdown_request(self, stream, *rest):
        open(sys.argv[-1], "w").write("control" if stream is self.control_stream else "shell")
        await super().shutdown_request(stream, *rest)

IPKernelApp.launch_instance(["-f", sys.argv[1]], kernel_class=Tee)
"""


async def test_what_is_built_on_ipykernel_is_asked_to_end_on_shell_whatever_its_command_is(tmp_path):
    from moorage.testing.kernel import _asked_to_end

    (tmp_path / "echo.py").write_text(ECHO)
    spec = kernel_of(sys.executable, tmp_path / "echo.py", "{connection_file}", tmp_path / "by")
    async with launch(spec) as kernel:
        assert kernel.rendezvous == "hold"  # its command says nothing
        assert (await kernel.shutdown(grace=30)).code == 0
        assert (tmp_path / "by").read_text() == "shell"
    async with launch(spec) as kernel, attach(kernel.connection_file) as attached:
        assert (await attached.shutdown(grace=30)).code == 0
        assert (tmp_path / "by").read_text() == "shell"
    async with launch(spec) as kernel:
        assert _asked_to_end(kernel).message.channel == "shell"
        await kernel.process.wait()
