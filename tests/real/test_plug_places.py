"""Kernel types that say where they run, started through Jupyter: isolated ones, those of other places."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from jupyter_client.ioloop import AsyncIOLoopKernelManager
from jupyter_client.manager import KernelManager
from jupyter_client.multikernelmanager import MultiKernelManager
from traitlets.config import Config

from command import Command, until, write
from moorage.errors import UsageError
from moorage.jupyter.kernelspecs import MoorageKernelSpecManager
from moorage.jupyter.provisioner import DiedStarting, MoorageProvisioner
from moorage.process.netns.probe import obstacle
from real.test_plug import BIN, kernelspec, notebook, tool
from real.test_plug_server import Notebook, Server

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        sys.platform != "linux" or obstacle() is not None, reason=f"no namespaces here: {obstacle()}"
    ),
]

TESTS = Path(__file__).parents[1]
PROVIDER = """
import os, sys
from dataclasses import replace
from pathlib import Path
from moorage.discovery import KernelSpec, KernelType, from_blocking
from moorage.discovery.kernelspec import find
from moorage.errors import KernelTypeNotFound
from moorage.places.here import Here
from places.elsewhere import Elsewhere

class Around:
    def __init__(self, inner):
        self.inner = inner
    def launch(self, spec):
        return self.inner.launch(replace(spec, env={**spec.env, "AROUND": "yes"}))

ISOLATED = Here(isolate="net")
PYTHON = (sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}")
REGISTERS = (sys.executable, "-m", "moorage.jupyter.ipykernel", "-f", "{connection_file}")
DIES = (sys.executable, "-c", "import sys; sys.exit('no such thing')", "{connection_file}")

def look(around):
    folder = Path(os.environ["JAIL_FOLDER"])
    there = Elsewhere(folder, {"THERE": "yes", "PATH": os.environ["PATH"], "HOME": str(folder)})
    found = {
        "python": (PYTHON, ISOLATED), "dies": (DIES, ISOLATED), "folder": (PYTHON, there),
        "registers": (REGISTERS, there), "wrapped": (PYTHON, Here(wrap=Around)),
    }
    for name, (argv, place) in found.items():
        spec = KernelSpec(name, argv, name, "python", protocol_version="5.6" if argv is REGISTERS else "")
        yield KernelType(replace(spec, provider="jail", place=place))
    try:
        yield KernelType(replace(find("ir"), provider="jail", place=ISOLATED))
    except KernelTypeNotFound:
        pass

provider = from_blocking("jail", lambda around: list(look(around)))
"""
NETWORK = """
import pathlib
every = pathlib.Path("/sys/class/net").iterdir()
up = [each.name for each in every if int((each / "flags").read_text(), 16) & 1]
"""
ALONE = f"{NETWORK}print(*up)"
THERE = "import os; print(os.getcwd(), os.nice(0), os.environ.get('THERE'), os.environ.get('ADDED'))"
PID = "import os; print(os.getpid())"
R = "cat(length(setdiff(dir('/sys/class/net'), 'lo')), '\\n')"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for the paths of Unix sockets."""
    made = Path(tempfile.mkdtemp(prefix="m"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def provider(tmp_path: Path, folder: Path) -> dict[str, str]:
    """Install a provider; returns the environment in which it is found."""
    path = tmp_path / "site"
    info = path / "jail-1.0.dist-info"
    info.mkdir(parents=True)
    (path / "jail_provider.py").write_text(PROVIDER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: jail\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[moorage.providers]\njail = jail_provider:provider\n")
    return {
        "PYTHONPATH": f"{path}:{TESTS}",
        "JAIL_FOLDER": str(folder),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "run"),
    }


@pytest.fixture
def installed(provider: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install it in this process."""
    for name, value in provider.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(provider["PYTHONPATH"].partition(":")[0])
    yield
    sys.modules.pop("jail_provider", None)


def needs_r(name: str) -> None:
    """Skip a test of the jailed R kernel where there is no R; a listing may be late, and is not asked."""
    if name == "jail--ir" and shutil.which("R") is None:
        pytest.skip("there is no R kernel (IRkernel) here")


@pytest.fixture
def managed(installed: None) -> Iterator[Callable[..., KernelManager]]:
    managers: list[KernelManager] = []

    def make(name: str, **rest: Any) -> KernelManager:
        specs = MoorageKernelSpecManager()
        needs_r(name)
        managers.append(KernelManager(kernel_name=name, kernel_spec_manager=specs, **rest))
        return managers[-1]

    yield make
    for manager in managers:
        if manager.has_kernel:
            manager.shutdown_kernel(now=True)


def printed(message: Any) -> str:
    return message["content"].get("text", "")


def run(client: Any, code: str) -> str:
    said: list[str] = []
    client.execute_interactive(code, timeout=60, output_hook=lambda message: said.append(printed(message)))
    return "".join(said).strip()


def connected(manager: Any) -> Any:
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    return client


# kernel type, what it is asked, what it says of itself where it is where it should be
TYPES = [
    pytest.param("jail--python", ALONE, "lo", id="isolated"),
    pytest.param("jail--ir", R, "0", id="relay"),
    pytest.param("jail--folder", THERE, "{folder} 7 yes None", id="elsewhere"),
    pytest.param("jail--registers", THERE, "{folder} 7 yes None", id="elsewhere-held"),
    pytest.param("jail--wrapped", "import os; print(os.environ['AROUND'])", "yes", id="wrapped"),
]


@pytest.mark.parametrize(("name", "code", "says"), TYPES)
def test_a_kernel_is_where_its_type_says_and_stays_there(
    managed: Any, folder: Path, name: str, code: str, says: str
) -> None:
    context = zmq.Context()  # its own is closed by the first shutdown
    manager = managed(name, context=context)
    manager.start_kernel()
    client = connected(manager)
    assert run(client, code) == says.format(folder=folder)
    agreed, pids = manager.get_connection_info(), {manager.provisioner.pid}
    for now in (True, False):
        manager.restart_kernel(now=now, newports=True)
        client.wait_for_ready(timeout=60)  # the client of before the restart
        assert run(client, code) == says.format(folder=folder)
        pids.add(manager.provisioner.pid)
    assert len(pids) == 3
    assert manager.get_connection_info() == agreed
    directory = manager.provisioner._addresses.workspace.directory
    client.stop_channels()
    manager.shutdown_kernel()
    assert not directory.exists()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not list(folder.glob("m-*"))
    manager.start_kernel()
    client = connected(manager)
    assert run(client, code) == says.format(folder=folder)
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    context.destroy(linger=0)


@pytest.mark.parametrize("way", ["handshake", "self-bind", "hold", "ipc"])
def test_each_way_of_another_place_keeps_its_addresses(managed: Any, folder: Path, way: str) -> None:
    config = Config()
    config.MoorageProvisioner.rendezvous = way
    manager = managed("jail--registers" if way == "handshake" else "jail--folder", config=config)
    manager.start_kernel(env={**os.environ, "ADDED": "too"}, cwd=str(folder))
    client = connected(manager)
    agreed = manager.get_connection_info()
    assert run(client, THERE) == f"{folder} 7 yes too"
    assert manager.transport == ("ipc" if way == "ipc" else "tcp")
    manager.restart_kernel(now=True)
    client.wait_for_ready(timeout=60)
    assert run(client, THERE) == f"{folder} 7 yes too"
    assert manager.get_connection_info() == agreed
    client.stop_channels()


@pytest.mark.anyio
@pytest.mark.parametrize(("name", "code", "says"), TYPES)
async def test_a_kernel_that_dies_is_started_again_where_it_was(
    installed: None, folder: Path, name: str, code: str, says: str
) -> None:
    config = Config()
    config.KernelRestarter.time_to_dead = 0.2
    specs = MoorageKernelSpecManager()
    needs_r(name)
    manager = AsyncIOLoopKernelManager(kernel_name=name, kernel_spec_manager=specs, config=config)
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=60)
    agreed, pid = manager.get_connection_info(), manager.provisioner.pid
    os.kill(pid, signal.SIGKILL)
    # The restarter calls back before it starts the kernel again.
    assert await asyncio.to_thread(until, lambda: manager.provisioner.pid != pid, 60)
    await client.wait_for_ready(timeout=60)
    said: list[str] = []
    await client.execute_interactive(
        code, timeout=60, output_hook=lambda message: said.append(printed(message))
    )
    assert "".join(said).strip() == says.format(folder=folder)
    assert manager.get_connection_info() == agreed
    client.stop_channels()
    await manager.shutdown_kernel(now=True)


@pytest.mark.parametrize(("name", "code", "says"), TYPES)
def test_the_kernels_of_a_multi_kernel_manager_are_where_their_types_say(
    installed: None, folder: Path, name: str, code: str, says: str
) -> None:
    kernels = MultiKernelManager(kernel_spec_manager=MoorageKernelSpecManager())
    needs_r(name)
    for _ in range(2):
        client = connected(kernels.get_kernel(kernels.start_kernel(kernel_name=name)))
        assert run(client, code) == says.format(folder=folder)
        client.stop_channels()
    kernels.shutdown_all(now=True)


def test_isolated_kernels_are_forked_and_isolated_all_the_same(installed: None) -> None:
    kernels = MultiKernelManager(kernel_spec_manager=MoorageKernelSpecManager())
    forked = []
    for _ in range(3):
        manager = kernels.get_kernel(kernels.start_kernel(kernel_name="jail--python"))
        client = connected(manager)
        assert run(client, ALONE) == "lo"
        forked.append(manager.provisioner._owned._handle.forked)
        client.stop_channels()
    assert forked[2]
    kernels.shutdown_all(now=True)


def test_a_kernel_that_dies_while_starting_in_a_namespace_says_how(managed: Any) -> None:
    with pytest.raises(DiedStarting, match=r"exit code 1 \(E-START\)\. no such thing"):
        managed("jail--dies").start_kernel()


REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("python", {"ip": "0.0.0.0"}, {}, "cannot listen where its manager says"),
    ("python", {"shell_port": 4711}, {}, "cannot listen where its manager says"),
    ("python", {}, {"independent": True}, "a process that moorage does not own"),
    ("wrapped", {}, {"independent": True}, "a process that moorage does not own"),
    ("folder", {"transport": "ipc"}, {}, "cannot listen where its manager says"),
    ("folder", {}, {"umask": 0o77}, "options of its process"),
    ("folder", {}, {"independent": True}, "a process that moorage does not own"),
    ("folder", {}, {"stdout": subprocess.PIPE}, "cannot be given standard streams"),
]


@pytest.mark.parametrize(("name", "manager", "start", "says"), REFUSED)
def test_what_a_place_cannot_give_starts_nothing(
    managed: Any, folder: Path, name: str, manager: Any, start: Any, says: str, tmp_path: Path
) -> None:
    one = managed(f"jail--{name}", **manager)
    with pytest.raises(UsageError, match=says):
        one.start_kernel(**start)
    assert not one.has_kernel
    assert one.provisioner._addresses is None
    assert not list(folder.glob("m-*"))


def test_a_provisioner_without_a_manager_starts_no_kernel_beside_its_place(installed: None) -> None:
    spec = MoorageKernelSpecManager().get_kernel_spec("jail--python")
    with pytest.raises(UsageError, match="a process that moorage does not own"):
        asyncio.run(MoorageProvisioner(kernel_spec=spec).pre_launch())


@pytest.fixture
def plugged(moorage: Command, provider: dict[str, str]) -> dict[str, str]:
    """The environment of a tool that knows all kernel types; the default provisioner is Jupyter's own."""
    lines = "import moorage.jupyter.kernelspecs as kernelspecs\nkernelspecs.everywhere()\n"
    write(moorage.cwd, {"config/jupyter_config.py": lines})
    path = {"PATH": f"{BIN}:{os.environ['PATH']}", "JUPYTER_CONFIG_DIR": str(moorage.cwd / "config")}
    return {**provider, **path}


@pytest.mark.parametrize(("name", "code", "says"), TYPES)
def test_nbconvert_runs_a_notebook_where_its_kernel_type_says(
    moorage: Command, plugged: dict[str, str], folder: Path, name: str, code: str, says: str
) -> None:
    needs_r(name)
    write(moorage.cwd, {"in.ipynb": notebook(code, kernel=name)})
    command = [tool("jupyter-nbconvert"), "--to", "notebook", "--execute", "--output", "out", "in.ipynb"]
    moorage.ended(moorage.launch(command, env=plugged), code=0)
    (cell,) = json.loads((moorage.cwd / "out.ipynb").read_text())["cells"]
    said = "".join("".join(each["text"]) for each in cell["outputs"]).split("\n")
    assert said[0].strip() == says.format(folder=folder)


def test_a_kernelspec_may_stand_for_a_kernel_type(moorage: Command, plugged: dict[str, str]) -> None:
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    metadata = {
        "moorage": {"kernel_type": "jail/python"},
        "kernel_provisioner": {"provisioner_name": "moorage"},
    }
    files = kernelspec("alone", argv, metadata=metadata) | {"in.ipynb": notebook(ALONE, kernel="alone")}
    write(moorage.cwd, files)
    env = {**plugged, "JUPYTER_PATH": str(moorage.cwd / "share")}
    moorage.ended(moorage.launch([tool("jupyter-execute"), "--output=out", "in.ipynb"], env=env), code=0)
    (cell,) = json.loads((moorage.cwd / "out.ipynb").read_text())["cells"]
    assert cell["outputs"][0]["text"] == ["lo\n"]


@pytest.mark.parametrize("name", ["jail--python", "jail--ir", "jail--folder"])
def test_a_websocket_lives_on_and_its_kernel_stays_where_it_is(
    moorage: Command, provider: dict[str, str], folder: Path, name: str
) -> None:
    needs_r(name)
    kind = "moorage.jupyter.kernelspecs.MoorageKernelSpecManager"
    moorage.env |= provider
    server = Server(moorage, f"--ServerApp.kernel_spec_manager_class={kind}")
    pid, where, says = {
        "jail--python": (PID, ALONE, "lo"),
        "jail--ir": ("cat(Sys.getpid(), '\\n')", R, "0"),
        "jail--folder": (PID, "import os; print(os.nice(0), os.environ['THERE'])", "7 yes"),
    }[name]
    try:
        kernel = server.ask("POST", "/api/kernels", {"name": name})["id"]
        client = Notebook(server, kernel)
        seen = {int(client.run(pid))}
        assert client.run(where) == says
        server.ask("POST", f"/api/kernels/{kernel}/restart")
        client.hear()
        seen.add(last := int(client.run(pid)))
        assert client.run(where) == says
        os.kill(last, signal.SIGKILL)
        client.until(lambda message: message["content"].get("execution_state") == "restarting")
        client.hear()
        seen.add(int(client.run(pid)))
        assert client.run(where) == says
        assert len(seen) == 3
        server.ask("DELETE", f"/api/kernels/{kernel}")
        assert not any(Path(f"/proc/{pid}").exists() for pid in seen)
    finally:
        server.stop()


@pytest.mark.parametrize("name", ["jail--python", "jail--ir", "jail--folder"])
def test_nothing_is_left_of_a_tool_that_was_killed(
    moorage: Command, plugged: dict[str, str], folder: Path, name: str
) -> None:
    needs_r(name)
    python = "import os, time\nopen('up', 'w').close()\ntime.sleep(600)"
    r = "close(file('up', 'w'))\nSys.sleep(600)"
    write(moorage.cwd, {"in.ipynb": notebook(r if name == "jail--ir" else python, kernel=name)})
    runtime = moorage.cwd / "runtime"
    runtime.mkdir()
    # jupyter_client takes either, as it is used.
    env = {**plugged, "JUPYTER_RUNTIME_DIR": str(runtime), "TMPDIR": str(runtime)}
    running = moorage.launch([tool("jupyter-execute"), "in.ipynb"], env=env)
    assert until((moorage.cwd / "up").exists, 60)
    assert list(runtime.glob("*.json"))
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert until(lambda: not moorage.left()), moorage.left()
    assert until(lambda: not list(runtime.glob("*.json"))), list(runtime.iterdir())


@pytest.mark.parametrize("name", ["python", "folder"])
def test_no_adapter_stands_in_for_what_its_launcher_would_not_find(
    moorage: Command, provider: dict[str, str], name: str
) -> None:
    write(moorage.cwd, {"kernel.json": "{}"})
    command = [sys.executable, "-m", "moorage.jupyter.adapter", "--type", f"jail/{name}", "-f", "kernel.json"]
    done = moorage.ended(moorage.launch(command, env=provider), code=1)
    assert done.stderr.startswith(f"error: no adapter can register the kernel type jail/{name}")
    command = [sys.executable, "-m", "moorage", "kernels", "install", "--adapt", f"jail/{name}"]
    done = moorage.ended(moorage.launch([*command, "--prefix", "p"], env=provider), code=2)
    assert done.stderr.startswith(f"error: no adapter can register the kernel type jail/{name}")
    assert not (moorage.cwd / "p").exists()


@pytest.mark.parametrize("registers", [True, False])
def test_an_adapted_kernel_is_started_as_its_type_says(managed: Any, tmp_path: Path, registers: bool) -> None:
    argv = [
        sys.executable,
        "-m",
        "moorage.jupyter.adapter",
        "--type",
        "jail/wrapped",
        "-f",
        "{connection_file}",
    ]
    named = {"kernel_provisioner": {"provisioner_name": "moorage", "config": {}}, "handshake": registers}
    (tmp_path / "kernels" / "adapted").mkdir(parents=True)
    spec = {"argv": argv, "display_name": "a", "language": "python", "metadata": named}
    (tmp_path / "kernels" / "adapted" / "kernel.json").write_text(json.dumps(spec))
    manager = managed("adapted")
    manager.kernel_spec_manager.kernel_dirs = [str(tmp_path / "kernels")]
    manager.start_kernel()
    client = connected(manager)
    assert run(client, "import os; print(os.environ['AROUND'])") == "yes"
    client.stop_channels()
