"""The spawner, asked as a hub asks it; real hubs are in tests/real/test_hub_spawner.py."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "jupyterhub", reason="jupyterhub is not installed here: `sh scripts/setup.sh test` brings it"
)

from jupyterhub.objects import Hub
from jupyterhub.spawner import LocalProcessSpawner, Spawner

from moorage.jupyter import spawner as module
from moorage.jupyter.spawner import MoorageSpawner, StartFailed

pytestmark = pytest.mark.anyio
SERVER = """
import http.server, os, urllib.parse
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
url = urllib.parse.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
print("in", os.getcwd(), flush=True)
http.server.HTTPServer((url.hostname, url.port), Handler).serve_forever()
"""


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mt-", dir="/tmp") as made:
        monkeypatch.chdir(made)
        yield Path(made)


class HubsUser:
    """What a spawner asks of a hub's user."""

    name, url, settings = "ann", "/user/ann/", {}

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}


def spawner(user: HubsUser, code: str = SERVER, **rest: Any) -> MoorageSpawner:
    hub = Hub(bind_url="http://127.0.0.1:1/hub/", base_url="/hub/")
    made = MoorageSpawner(user=user, hub=hub, users_dir="users", api_token="secret", **rest)
    made.cmd = [sys.executable, "-c", code]
    made.environment = {"JUPYTERHUB_SERVICE_PREFIX": "/user/ann/"}
    return made


def test_hubs_find_it_by_its_name() -> None:
    points = metadata.entry_points(group="jupyterhub.spawners", name="moorage")
    assert [each.load() for each in points] == [MoorageSpawner]


def test_no_name_of_its_own_is_one_of_jupyterhubs() -> None:
    own = {name for name in vars(MoorageSpawner) if not name.startswith("__")}
    attributes = Path(sys.modules[Spawner.__module__].__file__ or "").read_text()
    private = {name for name in own if name.startswith("_") and f"self.{name} " in attributes}
    known = {"_env_keep_default", "_poll_interval_default", "_trait_default_generators"}
    assert not private
    assert not {name for name in own & set(dir(Spawner)) if name.startswith("_") and name not in known} - {
        name
        for name in own
        if name in {"_all_trait_default_generators", "_descriptors", "_instance_inits"}
        or name.startswith(("_traits", "_static", "_cached"))
    }
    assert issubclass(LocalProcessSpawner, Spawner)


async def test_from_start_to_stop(folder: Path) -> None:
    user = HubsUser()
    made = spawner(user)
    assert await made.poll() == 0
    ip, port = await made.start()
    with urllib.request.urlopen(f"http://{ip}:{port}/user/ann/api", timeout=30) as answer:
        assert answer.status == 200
    assert await made.poll() is None
    state = made.get_state()
    assert "secret" not in str(state)

    again = spawner(HubsUser())  # as after a restart of the hub
    again.load_state(state)
    assert await again.poll() is None
    (folder / "users/ann/mine").touch()
    await again.stop(now=True)
    assert await again.poll() == 0
    assert [*(folder / "moorage-servers").iterdir()] == []
    assert (folder / "users/ann/mine").exists()
    assert await made.poll() == -signal.SIGKILL, "the first hub sees the end, too"
    assert made.get_state() == {}


async def test_it_stops_what_it_is_to_find_first(folder: Path) -> None:
    made = spawner(HubsUser())
    await made.start()
    again = spawner(HubsUser())
    again.load_state(made.get_state())
    await again.stop(now=True)
    await again.stop()
    assert [*(folder / "moorage-servers").iterdir()] == []


@pytest.mark.parametrize(("end", "status"), [("raise SystemExit(3)", 3), ("os.kill(os.getpid(), 9)", -9)])
async def test_a_death_is_told_with_its_status(folder: Path, end: str, status: int) -> None:
    code = f"import os, threading\nthreading.Timer(2, lambda: os.kill(os.getpid(), 12)).start()\n{SERVER}"
    code = f"import signal, os\ndef end(*_): {end}\nsignal.signal(12, end)\n{code}"
    made = spawner(HubsUser(), code)
    await made.start()
    while (found := await made.poll()) is None:
        await asyncio.sleep(0.05)
    assert found == status
    assert await made.poll() == status, "the hub asks once more"
    assert [*(folder / "moorage-servers").iterdir()] == []


async def test_a_server_that_ends_as_it_starts(folder: Path) -> None:
    made = spawner(HubsUser(), "print('no licence, but secret'); raise SystemExit(5)")
    with pytest.raises(StartFailed) as error:
        await made.start()
    assert error.value.status_code == 500
    for words in ("the server of ann ended before it answered", "exit code 5", "no licence, but ..."):
        assert words in error.value.jupyterhub_message
    assert await made.poll() == 0
    assert [*(folder / "moorage-servers").iterdir()] == []


async def test_a_start_that_is_called_off_leaves_nothing(folder: Path) -> None:
    made = spawner(HubsUser(), "import time; time.sleep(600)")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.5):
            await made.start()
    assert await made.poll() == 0
    assert [*(folder / "moorage-servers").iterdir()] == []


async def test_progress_is_told_while_it_starts(folder: Path) -> None:
    made = spawner(HubsUser())
    heard: list[Any] = []

    async def listen() -> None:
        async for each in made.progress():
            heard.append(each)
            if each["progress"] == 90:
                return

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(listen())
        await made.start()
    assert [each["progress"] for each in heard] == [20, 60, 90]
    assert heard[0]["message"] == "Starting the server"
    await made.stop(now=True)


def test_which_command_can_be_forked(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    made = spawner(HubsUser())
    made.cmd = ["jupyterhub-singleuser"]
    made.args = ["--debug"]
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    root = ["--allow-root"] if os.geteuid() == 0 else []
    assert made._command() == [sys.executable, "-P", "-m", module.MODULE, "--debug", *root]
    other = folder / "jupyterhub-singleuser"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    assert made._command() == ["jupyterhub-singleuser", "--debug"]


async def test_a_port_of_the_configuration_stays(folder: Path) -> None:
    made = spawner(HubsUser())
    _, port = await made.start()
    await made.stop(now=True)
    assert made.port == 0
    made.port = port
    assert (await made.start())[1] == port
    await made.stop(now=True)
    assert made.port == port


def test_without_jupyterhub_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['jupyterhub'] = None\nimport moorage.jupyter.spawner"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "the spawner needs JupyterHub" in done.stderr.splitlines()[-1]
    assert "Type: pip install" in done.stderr.splitlines()[-1]
