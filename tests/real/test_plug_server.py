"""A Jupyter server on the plug: its kernels come back at their addresses, so that a websocket lives on."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from command import DEADLINE, Command, until
from real.test_plug import PLUGGED, tool

pytestmark = pytest.mark.real

AUTHORISED = {"Authorization": "token t"}


class Server:
    """One server on a Unix socket, which nobody else can take either."""

    def __init__(self, command: Command, *further: str) -> None:
        self.path = str(command.runtime / "s")
        self.notebooks: list[Notebook] = []
        arguments = [
            f"--ServerApp.sock={self.path}",
            "--IdentityProvider.token=t",
            "--allow-root",
            "--no-browser",
        ]
        self.process = command.launch(
            [tool("jupyter-server"), *arguments, f"--ServerApp.root_dir={command.cwd}", *further],
            env={**PLUGGED, "JUPYTER_RUNTIME_DIR": str(command.cwd / "run")},
            stdout=None,
            stderr=None,
        )
        assert until(self.answers, DEADLINE)

    def answers(self) -> bool:
        try:
            return bool(self.ask("GET", "/api"))
        except OSError:
            return False

    def connect(self) -> socket.socket:
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(DEADLINE)
        try:
            plain.connect(self.path)
        except OSError:
            plain.close()
            raise
        return plain

    def ask(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = self.connect()
        try:
            connection.request(method, path, json.dumps(body), AUTHORISED)
            text = connection.getresponse().read()
        finally:
            connection.close()
        return json.loads(text) if text else None

    def stop(self) -> None:
        for notebook in self.notebooks:
            notebook.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(DEADLINE)
        Path(self.path).unlink(missing_ok=True)  # tornado leaves it


class Notebook:
    """One websocket to one kernel."""

    def __init__(self, server: Server, kernel: str) -> None:
        self.websocket = pytest.importorskip("websocket")
        url = f"ws://localhost/api/kernels/{kernel}/channels?session_id={uuid.uuid4()}"
        self.socket = self.websocket.create_connection(
            url, socket=server.connect(), header=AUTHORISED, timeout=DEADLINE
        )
        server.notebooks.append(self)

    def until(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            message = json.loads(self.socket.recv())
            message["parent_header"] = message["parent_header"] or {}  # xeus says null
            if true(message):
                return message

    def close(self) -> None:
        self.socket.close()

    def send(self, msg_type: str, **content: Any) -> str:
        header = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": msg_type,
            "session": uuid.uuid4().hex,
            "username": "",
            "date": "2026-01-01T00:00:00Z",
            "version": "5.3",
        }
        request = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}}
        self.socket.send(json.dumps(request | {"content": content}))
        return header["msg_id"]

    def hear(self) -> None:
        """Wait until what the kernel publishes arrives: the server subscribes anew behind a restart."""
        asked = set()
        self.socket.settimeout(0.5)
        for _ in range(int(DEADLINE / 0.5)):
            asked.add(self.send("kernel_info_request"))
            with suppress(self.websocket.WebSocketTimeoutException):
                self.until(
                    lambda message: (
                        message["parent_header"].get("msg_id") in asked and message["msg_type"] == "status"
                    )
                )
                break
        self.socket.settimeout(DEADLINE)

    def run(self, code: str) -> str:
        """Run code and return what it printed first."""
        asked = self.send(
            "execute_request",
            code=code,
            silent=False,
            store_history=False,
            allow_stdin=False,
            user_expressions={},
        )
        answer = self.until(
            lambda message: (
                message["parent_header"].get("msg_id") == asked and message["msg_type"] == "stream"
            )
        )
        return answer["content"]["text"].strip()


@pytest.fixture
def server(moorage: Command) -> Iterator[Server]:
    started = Server(moorage)
    yield started
    started.stop()


def addresses(moorage: Command, kernel: str) -> dict[str, Any]:
    return json.loads((moorage.cwd / f"run/kernel-{kernel}.json").read_text())


PID = "import os; print(os.getpid())"


@pytest.mark.parametrize("name", ["python3", "xpython"])
def test_a_websocket_lives_through_restart_and_death(moorage: Command, server: Server, name: str) -> None:
    if name not in server.ask("GET", "/api/kernelspecs")["kernelspecs"]:
        pytest.skip(f"{name} is not installed")
    kernel = server.ask("POST", "/api/kernels", {"name": name})["id"]
    notebook = Notebook(server, kernel)
    first = int(notebook.run(PID))
    assert "warden/main.py" in notebook.run("print(open(f'/proc/{os.getppid()}/cmdline').read())")
    agreed = addresses(moorage, kernel)

    server.ask("POST", f"/api/kernels/{kernel}/restart")
    notebook.hear()
    second = int(notebook.run(PID))

    os.kill(second, signal.SIGKILL)
    notebook.until(lambda message: message["content"].get("execution_state") == "restarting")
    notebook.hear()
    third = int(notebook.run(PID))

    assert len({first, second, third}) == 3
    assert addresses(moorage, kernel) == agreed
    server.ask("POST", f"/api/kernels/{kernel}/interrupt")
    server.ask("DELETE", f"/api/kernels/{kernel}")
    assert not Path(f"/proc/{third}").exists()
    assert not (moorage.cwd / f"run/kernel-{kernel}.json").exists()


def test_the_second_kernel_of_a_server_is_forked(moorage: Command, server: Server) -> None:
    kernels = [server.ask("POST", "/api/kernels", {"name": "python3"})["id"] for _ in range(3)]
    notebooks = [Notebook(server, kernel) for kernel in kernels]
    pids = [int(notebook.run(PID)) for notebook in notebooks]
    parents = [int(notebook.run("print(os.getppid())")) for notebook in notebooks]
    assert len(set(pids)) == 3
    assert len(set(parents)) == 1
    assert any("moorage_template" in each for each in moorage.left())
    for kernel in kernels:
        server.ask("DELETE", f"/api/kernels/{kernel}")
    assert until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_nothing_is_left_of_a_server_that_was_killed(moorage: Command, server: Server) -> None:
    kernel = server.ask("POST", "/api/kernels", {"name": "python3"})["id"]
    Notebook(server, kernel).run("import subprocess; print(subprocess.Popen(['setsid', 'sleep', '600']).pid)")
    server.process.kill()
    server.process.wait()
    assert until(lambda: not any(each.startswith("process") for each in moorage.left())), moorage.left()


def test_an_environment_of_the_project_can_be_chosen(moorage: Command) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(moorage.cwd / ".venv")], check=True)
    (site,) = (moorage.cwd / ".venv" / "lib").glob("python*/site-packages")
    (own,) = (Path(path) for path in sys.path if path.endswith("site-packages"))
    (site / "all.pth").write_text(str(own))
    (site / "ipykernel_launcher.py").symlink_to(own / "ipykernel_launcher.py")
    name = "moorage.jupyter.kernelspecs.MoorageKernelSpecManager"
    server = Server(moorage, f"--ServerApp.kernel_spec_manager_class={name}")
    try:
        specs = server.ask("GET", "/api/kernelspecs")["kernelspecs"]
        assert {"python3", "env--.venv"} <= set(specs)
        kernel = server.ask("POST", "/api/kernels", {"name": "env--.venv"})["id"]
        said = Notebook(server, kernel).run("import os, sys; print(sys.prefix, os.environ['VIRTUAL_ENV'])")
        assert said == f"{moorage.cwd}/.venv {moorage.cwd}/.venv"
        server.ask("DELETE", f"/api/kernels/{kernel}")
    finally:
        server.stop()
