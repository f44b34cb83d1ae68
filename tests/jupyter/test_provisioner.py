from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from jupyter_client.ioloop import AsyncIOLoopKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager, KernelManager
from jupyter_client.multikernelmanager import MultiKernelManager
from traitlets.config import Config

from command import until
from moorage.errors import UsageError
from moorage.jupyter.provisioner import DiedStarting, MoorageProvisioner, NoSuchProgram
from moorage.rendezvous import ipc

pytestmark = pytest.mark.real

IPYKERNEL = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
ENDS = [sys.executable, "-c", "import sys; print('last words', flush=True); sys.exit(3)", "{connection_file}"]


@pytest.fixture(autouse=True)
def plugged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JUPYTER_DEFAULT_PROVISIONER_NAME", "moorage")
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    from jupyter_client.provisioning import KernelProvisionerFactory

    KernelProvisionerFactory.clear_instance()  # it has read the variable once and for all


@pytest.fixture
def kernelspec(tmp_path: Path) -> Any:
    def write(name: str, argv: list[str], **rest: Any) -> str:
        folder = tmp_path / "kernels" / name
        folder.mkdir(parents=True)
        spec = {"argv": argv, "display_name": name, "language": "python", **rest}
        (folder / "kernel.json").write_text(json.dumps(spec))
        return name

    return write


@pytest.fixture
def started() -> Iterator[Any]:
    managers: list[KernelManager] = []

    def start(manager: KernelManager | None = None, **rest: Any) -> KernelManager:
        manager = manager or KernelManager()
        managers.append(manager)
        manager.start_kernel(**rest)
        return manager

    yield start
    for manager in managers:
        manager.shutdown_kernel(now=True)


def run(manager: KernelManager, code: str) -> str:
    """Run code by a client of its own and return what it printed."""
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    said: list[str] = []

    def note(message: Any) -> None:
        said.append(message["content"].get("text", ""))

    client.execute_interactive(code, timeout=60, output_hook=note)
    client.stop_channels()
    return "".join(said).strip()


def test_a_place_without_unix_sockets_is_no_reason_to_fail(
    started: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ipc, "LONGEST_PREFIX", 1)
    manager = started(KernelManager())
    assert manager.transport == "tcp"
    assert "too deep for Unix sockets" in caplog.text
    assert run(manager, "print(1)") == "1"


def test_a_tools_kernel_gets_unix_sockets_and_everything_is_given_back(started: Any) -> None:
    context = zmq.Context()  # its own is closed by the first shutdown
    manager = started(KernelManager(context=context))
    assert isinstance(manager.provisioner, MoorageProvisioner)
    assert (manager.transport, manager.cache_ports) == ("ipc", False)
    directory = Path(manager.ip).parent
    content = json.loads(Path(manager.connection_file).read_text())
    assert (content["transport"], content["key"].encode()) == ("ipc", manager.session.key)
    assert Path(manager.connection_file).stat().st_mode & 0o777 == 0o600
    assert run(manager, "import os; print(os.getpid())") == str(manager.provisioner.pid)
    manager.shutdown_kernel()
    assert not directory.exists()
    assert not Path(manager.connection_file).exists()
    assert (manager.transport, manager.ip, manager.ports) == ("tcp", "127.0.0.1", [0] * 5)
    manager.start_kernel()
    assert manager.transport == "ipc"
    assert run(manager, "print(1)") == "1"
    manager.shutdown_kernel(now=True)
    context.destroy(linger=0)


NO_SOCKETS = """
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


def test_a_kernel_that_cannot_bind_unix_sockets_is_started_with_ports(
    started: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "ipykernel_launcher.py").write_text(NO_SOCKETS)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    manager = started(KernelManager(), env=env)
    assert manager.transport == "tcp"
    assert "gets TCP ports: " in caplog.text
    assert json.loads(Path(manager.connection_file).read_bytes())["transport"] == "tcp"
    assert run(manager, "print(1)") == "1"
    agreed = manager.get_connection_info()
    manager.restart_kernel(now=True)
    assert manager.get_connection_info() == agreed
    assert run(manager, "print(1)") == "1"
    config = Config()
    config.MoorageProvisioner.rendezvous = "ipc"
    with pytest.raises(DiedStarting, match="Protocol not supported"):
        KernelManager(config=config).start_kernel(env=env)


WAYS = [("python3", "ipc"), ("python3", "hold"), ("python3", "self-bind"), ("xpython", "handshake")]


def agreed_by(way: str, kernel: str) -> KernelManager:
    config = Config()
    config.MoorageProvisioner.rendezvous = way
    if kernel not in KernelSpecManager().find_kernel_specs():
        pytest.skip(f"{kernel} is not installed")
    return KernelManager(config=config, kernel_name=kernel)


@pytest.mark.parametrize(("kernel", "way"), WAYS)
def test_addresses_survive_restarts(started: Any, kernel: str, way: str) -> None:
    manager = started(agreed_by(way, kernel))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    agreed, pid = manager.get_connection_info(), manager.provisioner.pid
    for now in (True, False):
        manager.restart_kernel(now=now, newports=True)
        assert manager.get_connection_info() == agreed
        client.wait_for_ready(timeout=60)  # the client of before the restart
    assert manager.provisioner.pid != pid
    client.stop_channels()


LASTING = """
import os, subprocess
env = {**os.environ, "MOORAGE_OUTLIVES": "restart"}
print(*(subprocess.Popen(["sleep", "1000"], start_new_session=True, env=one).pid for one in (env, None)))
"""


@pytest.mark.parametrize("now", [True, False])
def test_a_child_that_says_so_outlives_restarts_and_not_the_kernel(started: Any, now: bool) -> None:
    manager = started()
    lasting, other = map(int, run(manager, LASTING).split())
    manager.restart_kernel(now=now)
    run(manager, "1")
    assert (Path(f"/proc/{lasting}").exists(), Path(f"/proc/{other}").exists()) == (True, False)
    manager.shutdown_kernel(now=now)
    assert not Path(f"/proc/{lasting}").exists()


@pytest.mark.parametrize("known", [False, True])
def test_the_next_kernel_is_not_asked_to_end_in_place_of_a_dead_one(started: Any, known: bool) -> None:
    manager = started()
    process = manager.provisioner.process
    manager._connect_control_socket()
    manager._control_socket.linger = 60_000  # jupyter_client's 100 ms are often, not always, enough to fail
    manager.signal_kernel(signal.SIGKILL)
    process.wait(20)
    if known:
        asyncio.run(manager.provisioner.wait())
        assert not manager.has_kernel
    manager.request_shutdown(restart=True)
    manager.finish_shutdown(restart=True)
    manager.cleanup_resources(restart=True)
    with zmq.Context() as context, context.socket(zmq.ROUTER) as next_one:
        next_one.linger = 0
        address = Path(f"{manager.ip}-{manager.control_port}")
        address.unlink(missing_ok=True)
        next_one.bind(f"ipc://{address}")
        assert not next_one.poll(1000)  # libzmq looks for it every 100 ms


@pytest.mark.parametrize(("kernel", "way"), WAYS[1:])
def test_ports_stay_held_while_no_kernel_lives(started: Any, kernel: str, way: str) -> None:
    manager = started(agreed_by(way, kernel))
    run(manager, "")
    manager.provisioner.process.kill()
    manager.provisioner.process.wait(20)
    for port in manager.ports:
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))


@pytest.mark.parametrize("said", ["config", "port", "argument"])
def test_tcp_is_used_where_it_is_requested(started: Any, said: str) -> None:
    from moorage.rendezvous.hold import hold_port, port_of

    config, rest = Config(), {}
    if said == "config":
        config.KernelManager.transport = "tcp"
    elif said == "argument":
        rest = {"ip": "0.0.0.0"}
    else:
        with hold_port() as free:
            rest = {"shell_port": port_of(free)}
    manager = started(KernelManager(config=config, **rest))
    assert manager.transport == "tcp"
    assert all(getattr(manager, name) == value for name, value in rest.items())
    assert run(manager, "print(1)") == "1"


def test_a_requested_path_is_used(started: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config()
    config.KernelManager.transport = "ipc"
    config.KernelManager.ip = "named"
    manager = started(KernelManager(config=config))
    assert run(manager, "print(1)") == "1"
    assert len(list(tmp_path.glob("named-*"))) == 5
    manager.shutdown_kernel()
    assert not list(tmp_path.glob("named-*"))


def test_a_servers_kernels_stay_where_it_says_they_are() -> None:
    kernels = MultiKernelManager()
    kernel = kernels.start_kernel()
    manager = kernels.get_kernel(kernel)
    assert manager.transport == "tcp"
    assert run(manager, "print(1)") == "1"
    kernels.shutdown_all(now=True)


def test_encryption_that_is_required_is_had(started: Any, kernelspec: Any) -> None:
    name = kernelspec("curved", IPYKERNEL, metadata={"supported_encryption": "curve"})
    manager = KernelManager(kernel_name=name, transport_encryption="required")
    started(manager)
    assert manager.curve_publickey
    assert json.loads(Path(manager.connection_file).read_text())["curve_publickey"]
    assert run(manager, "print(1)") == "1"


def test_a_kernel_that_dies_while_starting_says_how(kernelspec: Any, capfd: Any) -> None:
    manager = KernelManager(kernel_name=kernelspec("ends", ENDS))
    with pytest.raises(DiedStarting, match=r"exit code 3 \(E-START\)\. last words") as caught:
        manager.start_kernel()
    assert isinstance(caught.value, RuntimeError)  # what tools catch
    assert caught.value.exit_status.code == 3
    assert not manager.has_kernel
    assert "last words" in capfd.readouterr().out  # as ever, also where the tool itself writes


@pytest.mark.anyio
async def test_a_kernel_may_die_while_it_is_restarted(kernelspec: Any) -> None:
    config = Config()
    config.KernelRestarter.restart_limit = 1
    config.KernelRestarter.time_to_dead = 0.2
    manager = AsyncIOLoopKernelManager(kernel_name=kernelspec("ends", ENDS), config=config)
    given_up = asyncio.Event()
    await manager.start_kernel(stdout=subprocess.DEVNULL)
    manager.add_restart_callback(given_up.set, "dead")
    async with asyncio.timeout(60):
        await given_up.wait()
    await manager.shutdown_kernel(now=True)


def test_what_is_not_there_is_file_not_found(kernelspec: Any, tmp_path: Path) -> None:
    manager = KernelManager(kernel_name=kernelspec("nowhere", ["no-such-program", "{connection_file}"]))
    with pytest.raises(NoSuchProgram) as caught:
        manager.start_kernel()
    assert isinstance(caught.value, FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        KernelManager().start_kernel(cwd=str(tmp_path / "nowhere"))


def test_a_rendezvous_that_cannot_be_had_is_refused() -> None:
    config = Config()
    config.MoorageProvisioner.rendezvous = "handshake"
    with pytest.raises(UsageError, match="the handshake rendezvous cannot be used with the address"):
        KernelManager(config=config, ip="0.0.0.0").start_kernel()


def test_the_process_is_what_tools_expect(started: Any, tmp_path: Path) -> None:
    manager = started(cwd=str(tmp_path), env={**os.environ, "COLOUR": "red"}, stdout=subprocess.PIPE)
    provisioner = manager.provisioner
    process = provisioner.process
    assert provisioner.has_process
    assert (process.poll(), provisioner.pid, provisioner.pgid) == (None, process.pid, process.pid)
    assert run(manager, "import os; print(os.getcwd(), os.environ['COLOUR'])") == f"{tmp_path} red"
    (tmp_path / "data.csv").touch()
    assert provisioner.resolve_path("data.csv") == str(tmp_path / "data.csv")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    manager.signal_kernel(signal.SIGKILL)
    assert process.wait(20) == -signal.SIGKILL
    assert process.poll() == process.returncode == -signal.SIGKILL
    assert manager.has_kernel
    assert not manager.is_alive()
    assert asyncio.run(provisioner.wait()) == -signal.SIGKILL
    assert not manager.has_kernel


ONE_TOOL = """
from pathlib import Path
from jupyter_client.manager import KernelManager

manager = KernelManager()
manager.start_kernel()
manager.restart_kernel(now=True)
status = Path(f"/proc/{manager.provisioner.pid}/status").read_text()
warden = status.split("PPid:")[1].split()[0]
children = Path(f"/proc/{warden}/task/{warden}/children").read_text().split()
words = [Path(f"/proc/{child}/cmdline").read_text() for child in children]
print(sum("moorage_template" in each for each in words), len(children))
manager.shutdown_kernel(now=True)
"""


def test_a_restart_waits_for_no_template() -> None:
    said = subprocess.run([sys.executable, "-c", ONE_TOOL], check=True, stdout=-1, text=True, timeout=60)
    assert said.stdout.split() == ["0", "1"]


def test_what_it_is_can_be_saved_and_loaded(started: Any) -> None:
    manager = started()
    info = asyncio.run(manager.provisioner.get_provisioner_info())
    assert info["pid"] == manager.provisioner.pid
    assert info["connection_info"]["ip"] == manager.ip
    other = MoorageProvisioner(kernel_spec=manager.kernel_spec)
    asyncio.run(other.load_provisioner_info(info))
    assert (other.pid, other.kernel_id) == (info["pid"], manager.kernel_id)


def test_each_call_may_have_a_loop_of_its_own(tmp_path: Path) -> None:
    manager = AsyncKernelManager()
    asyncio.run(manager.start_kernel())
    assert asyncio.run(manager.is_alive())
    asyncio.run(manager.interrupt_kernel())
    asyncio.run(manager.restart_kernel(now=True))
    seen: list[bool] = []
    thread = threading.Thread(target=lambda: seen.append(asyncio.run(manager.is_alive())))
    thread.start()
    thread.join()
    assert seen == [True]
    asyncio.run(manager.shutdown_kernel())
    assert not asyncio.run(manager.is_alive())


@pytest.mark.anyio
async def test_cancelled_while_starting_it_leaves_nothing(kernelspec: Any, tmp_path: Path) -> None:
    script = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    name = kernelspec("slow", [sys.executable, "-c", script, "{connection_file}"])
    manager = AsyncKernelManager(kernel_name=name)
    starting = asyncio.ensure_future(manager.start_kernel())
    assert await asyncio.to_thread(
        until, lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()
    )
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    pid = (tmp_path / "pid").read_text()
    assert await asyncio.to_thread(until, lambda: not Path(f"/proc/{pid}").exists())


def test_an_independent_kernel_outlives_its_tool(tmp_path: Path) -> None:
    script = "import os, sys; from jupyter_client.manager import KernelManager; km = KernelManager()\n"
    script += "km.start_kernel(independent=True, stdout=-3, stderr=-3)\n"
    script += "print(km.provisioner.pid, km.connection_file, flush=True); os._exit(0)"
    said = subprocess.run([sys.executable, "-c", script], check=True, stdout=-1, text=True, timeout=60)
    pid, file = said.stdout.split()
    try:
        from jupyter_client.blocking import BlockingKernelClient

        client = BlockingKernelClient(connection_file=file)
        client.load_connection_file()
        client.start_channels()
        client.kernel_info(reply=True, timeout=60)
        client.shutdown(reply=True, timeout=20)
        client.stop_channels()
        assert until(lambda: not Path(f"/proc/{pid}").exists(), 30)
    finally:
        if Path(f"/proc/{pid}").exists():
            os.kill(int(pid), signal.SIGKILL)


def _in_a_fork(answers: Any) -> None:
    manager = KernelManager()
    manager.start_kernel()
    answers.put(run(manager, "print('forked')"))
    manager.shutdown_kernel(now=True)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_fork_starts_kernels_of_its_own(started: Any) -> None:
    manager = started()
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_in_a_fork, args=(answers,))
    child.start()
    assert answers.get(timeout=60) == "forked"
    child.join(60)
    assert child.exitcode == 0
    assert run(manager, "print('still here')") == "still here"
    answers.close()
    answers.join_thread()
    child.close()


# Where another user may execute it: this interpreter may lie in a folder that is closed to others.
SYSTEM = Path("/usr/bin/python3")
WHO = """
import os
try:
    shadow = open("/etc/shadow").read()
except PermissionError:
    shadow = "closed"
print(os.getuid(), os.getgid(), os.getgroups(), shadow, oct(os.umask(0)))
"""


def _alike() -> bool:
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
@pytest.mark.parametrize("way", ["auto", "hold"])
def test_a_kernel_of_another_user_has_no_more_than_that_user(started: Any, kernelspec: Any, way: str) -> None:
    name = kernelspec("theirs", [str(SYSTEM), *IPYKERNEL[1:]])
    config = Config()
    config.MoorageProvisioner.rendezvous = way
    site = str(Path(zmq.__file__).parents[1])
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": site, "HOME": "/nonexistent"}
    manager = started(
        KernelManager(kernel_name=name, config=config), user=65534, umask=0o027, env=env, cwd="/"
    )
    said = "65534 65534 [65534] closed 0o27"
    assert run(manager, WHO) == said
    first = manager.provisioner.pid
    manager.restart_kernel(now=True)
    assert manager.provisioner.pid != first
    assert run(manager, WHO) == said
    directory = manager.provisioner._addresses.workspace.directory.parent
    assert directory.stat().st_uid == 0
    manager.shutdown_kernel()
    assert not directory.exists()


def test_what_cannot_be_honoured_starts_no_kernel() -> None:
    with pytest.raises(UsageError, match="cannot be started with preexec_fn=<builtin_function_or_method>"):
        KernelManager().start_kernel(preexec_fn=print)
    with pytest.raises(UsageError, match="the variable X cannot be set"):
        KernelManager().start_kernel(env={**os.environ, "X": 7})
    config = Config()
    config.MoorageProvisioner.rendezvous = "self-bind"
    with pytest.raises(UsageError, match="cannot be used for a kernel of another user"):
        KernelManager(config=config).start_kernel(user=65534)


def test_limits_descriptors_and_variables_arrive(started: Any) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"said")
    os.close(writer)
    env = {**os.environ, "HERE": "1", "JUPYTER_PATH": None}
    manager = started(pass_fds=[reader], rlimits={"CORE": 0}, umask=0o077, env=env)
    os.close(reader)
    code = f"""
import os, resource
core = resource.getrlimit(resource.RLIMIT_CORE)
print(os.read({reader}, 9), core, os.umask(0), "JUPYTER_PATH" in os.environ)
"""
    assert run(manager, code) == "b'said' (0, 0) 63 False"


def test_a_kernelspec_that_asks_for_it_is_activated(started: Any, kernelspec: Any) -> None:
    argv = [str(Path(sys.prefix) / "bin" / "python"), *IPYKERNEL[1:]]
    name = kernelspec("inside", argv, metadata={"moorage": {"activate": True}})
    env = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    manager = started(KernelManager(kernel_name=name), env=env)
    assert run(manager, "import os; print(os.environ['VIRTUAL_ENV'])") == sys.prefix
