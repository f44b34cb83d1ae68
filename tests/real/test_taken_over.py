"""A Jupyter server is ended, and another one in its place has its kernels, sessions and variables."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from command import DEADLINE, until
from moorage.plan.targets import parse_target
from moorage.plan.visits import ServerId
from moorage.process import procfs
from moorage.tasks import in_thread
from moorage.temp.commands import known_command
from moorage.temp.home import Home
from moorage.temp.processes import ServerProcess, ServerProcesses, ServerStart
from moorage.temp.readiness import answering
from moorage.temp.template.choice import open_templates

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="servers are forked on Linux alone"),
]
pytest.importorskip("jupyter_server", reason="Jupyter Server is not installed")
ONE = ServerId("one")
AUTHORISED = {"Authorization": "token t"}


class Server:
    """One server of a visitor's, by its socket."""

    def __init__(self, process: ServerProcess, start: ServerStart, home: Home) -> None:
        self.process, self.start, self.home = process, start, home

    def connect(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(DEADLINE)
        made.connect(str(self.home.socket))
        return made

    def ask(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = self.connect()
        text = None if body is None else json.dumps(body)
        connection.request(method, f"/user/one/api/{path}", text, AUTHORISED)
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        assert answer.status < 300, (answer.status, said)
        return json.loads(said) if said else None

    def run(self, kernel: str, code: str) -> str:
        """Run code and return what it printed."""
        websocket = pytest.importorskip("websocket")
        url = f"ws://localhost/user/one/api/kernels/{kernel}/channels?session_id={uuid.uuid4()}"
        opened = websocket.create_connection(
            url, socket=self.connect(), header=AUTHORISED, timeout=DEADLINE, suppress_origin=True
        )
        name = uuid.uuid4().hex
        header = {"msg_id": name, "msg_type": "execute_request", "session": "s", "username": "", "date": ""}
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        message = {"channel": "shell", "parent_header": {}, "metadata": {}, "content": content}
        opened.send(json.dumps({**message, "header": {**header, "version": "5.3"}}))
        said = ""
        while True:
            heard = json.loads(opened.recv())
            if (heard["parent_header"] or {}).get("msg_id") != name:
                continue
            said += heard["content"].get("text", "")
            if heard["content"].get("execution_state") == "idle":
                opened.close()
                return said.strip()

    async def again(self, between: Callable[[], None] = lambda: None) -> None:
        """End the server, and start it anew."""
        await self.process.sleep()
        between()
        self.home.socket.unlink()
        await self.process.wake(self.start)
        await self.answers()

    async def answers(self) -> None:
        async with asyncio.timeout(DEADLINE):
            await answering(parse_target(f"unix:{self.home.socket}"), "/user/one/api")


@asynccontextmanager
async def served() -> AsyncIterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="mt-", dir="/tmp"))
    home = Home(folder / "one", "t")
    for each in (home.path, home.work):
        each.mkdir()
    home.token_file.write_text("t")
    settings = home.path / "home/.jupyter/jupyter_server_config.py"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        "c = get_config()\n"
        'c.MoorageProvisioner.rendezvous = "ipc"\n'
        'c.ServerApp.kernel_manager_class = "moorage.jupyter.kernels.KeptKernels"\n'
        f'c.KeptKernels.warden = "{folder}/kept/one/warden"\n'
        f'c.KeptKernels.records = "{home.path}/kernels"\n'
        f'c.SessionManager.database_filepath = "{home.path}/kernels/sessions"\n'
    )
    words = {"base_path": "/user/one", "socket": str(home.socket), "port": "0", "token": ""}
    environment = home.environment(os.environ, {}, jupyter=True)
    start = ServerStart(known_command("server").filled(**words), home.work, environment, sleeps=True)
    try:
        async with open_templates() as templates:
            processes = ServerProcesses(folder / "kept", 60, templates)
            async with processes.start(ONE, start) as process:
                server = Server(process, start, home)
                await server.answers()
                yield server
    finally:
        shutil.rmtree(folder)


def played(script: Callable[[Server], Awaitable[None]]) -> None:
    async def play() -> None:
        async with served() as server:
            try:
                await script(server)
            except BaseException:
                sys.stderr.write(await server.process.said())
                raise

    asyncio.run(play())


def test_kernels_sessions_and_variables_are_there() -> None:
    async def script(server: Server) -> None:
        body = {"path": "a.ipynb", "name": "a", "type": "notebook", "kernel": {"name": "python3"}}
        session = await in_thread(lambda: server.ask("POST", "sessions", body))
        kernels = [session["kernel"]["id"]]
        kernels.append((await in_thread(lambda: server.ask("POST", "kernels", {"name": "python3"})))["id"])
        for number, kernel in enumerate(kernels):
            code = f"import os; x = {number}; os.system('echo said by a child'); print(os.getpid())"
            assert (await in_thread(lambda k=kernel, c=code: server.run(k, c))) != ""
        for turn in range(3):
            await server.again()
            found = await in_thread(lambda: server.ask("GET", "sessions"))
            assert [(each["id"], each["kernel"]["id"]) for each in found] == [(session["id"], kernels[0])]
            listed = await in_thread(lambda: server.ask("GET", "kernels"))
            assert {each["id"]: each["execution_state"] for each in listed} == dict.fromkeys(kernels, "idle")
            for number, kernel in enumerate(kernels):
                code = "x += 10; print(x); os.system('echo again'); os.write(1, b'raw')"
                said = await in_thread(lambda k=kernel, c=code: server.run(k, c))
                assert said.split()[0] == str(10 * (turn + 1) + number)

    played(script)


def test_a_kernel_that_was_taken_over_restarts_and_is_shut_down() -> None:
    async def script(server: Server) -> None:
        kernel = (await in_thread(lambda: server.ask("POST", "kernels", {"name": "python3"})))["id"]
        await in_thread(lambda: server.run(kernel, "x = 1"))
        await server.again()
        await in_thread(lambda: server.ask("POST", f"kernels/{kernel}/restart"))
        said = await in_thread(lambda: server.run(kernel, "import os; print('x' in globals(), os.getpid())"))
        gone, pid = said.split()
        assert gone == "False"
        await server.again()
        assert await in_thread(lambda: server.run(kernel, "print(os.getpid())")) == pid
        await in_thread(lambda: server.ask("DELETE", f"kernels/{kernel}"))
        assert until(lambda: procfs.look(int(pid)) is None, DEADLINE)
        assert list((server.home.path / "kernels").glob("*.json")) == []
        await server.again()
        assert await in_thread(lambda: server.ask("GET", "kernels")) == []

    played(script)


def test_a_kernel_that_died_meanwhile_is_started_again_as_any_that_dies() -> None:
    async def script(server: Server) -> None:
        kernel = (await in_thread(lambda: server.ask("POST", "kernels", {"name": "python3"})))["id"]
        pid = int(await in_thread(lambda: server.run(kernel, "import os; print(os.getpid())")))
        await server.again(lambda: os.kill(pid, signal.SIGKILL))
        assert await in_thread(lambda: until(lambda: "restarting kernel" in said(server), DEADLINE))
        new = await in_thread(lambda: server.run(kernel, "import os; print(os.getpid())"))
        assert int(new) != pid

    played(script)


def said(server: Server) -> str:
    return (server.process.kept.directory / "output").read_text()


def test_without_its_warden_the_server_begins_without_kernels() -> None:
    async def script(server: Server) -> None:
        kernel = (await in_thread(lambda: server.ask("POST", "kernels", {"name": "python3"})))["id"]
        code = "import os; print(os.getppid(), os.getpid())"
        warden, pid = map(int, (await in_thread(lambda: server.run(kernel, code))).split())
        await server.again(lambda: os.kill(warden, signal.SIGKILL))
        assert until(lambda: procfs.look(pid) is None, DEADLINE)
        assert await in_thread(lambda: server.ask("GET", "kernels")) == []
        assert "could not be taken over" in said(server)
        new = (await in_thread(lambda: server.ask("POST", "kernels", {"name": "python3"})))["id"]
        assert await in_thread(lambda: server.run(new, "print(6 * 7)")) == "42"

    played(script)
