"""An ipykernel that registers where its file asks for it, and is ipykernel as ever where it does not."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time

import pytest

from foreign import Kallichore, XeusLauncher, session
from moorage import kernelside
from moorage.rendezvous.files import read_connection_file
from moorage.rendezvous.hold import HoldRendezvous
from moorage.wire.connection import PORTS

pytestmark = pytest.mark.real


@pytest.fixture
def start(tmp_path):
    """Start the kernel with a file; it ends with the test."""
    processes = []

    def start(path):
        command = [sys.executable, "-m", "moorage.jupyter.ipykernel", "-f", str(path)]
        env = {key: value for key, value in os.environ.items() if key != "JPY_PARENT_PID"}
        process = subprocess.Popen(
            command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate(timeout=20)


@pytest.mark.parametrize("kind", [XeusLauncher, Kallichore])
def test_it_registers_in_the_files_dialect(kind, start, tmp_path):
    path = tmp_path / "kernel.json"
    with kind() as launcher:
        path.write_text(json.dumps(launcher.file()))
        process = start(path)
        ports = launcher.registered(60)
    assert len({*ports.values()}) == 5
    with session(ports, launcher.key) as run:
        assert run("print(6 * 7)") == "42\n"
        assert kernelside.terms(path) is None, "it has written its ports"
        assert json.loads(path.read_bytes())["hb_port"] == ports["hb_port"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert run("import sys; print('' in sys.path)") == "True\n"
        run.shutdown()
        assert process.wait(60) == 0


def test_it_ends_with_a_sentence_where_no_acknowledgement_comes(start, tmp_path):
    path = tmp_path / "kernel.json"
    with XeusLauncher() as launcher:
        path.write_text(json.dumps(launcher.file()))
        process = start(path)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "error: no acknowledgement of the registration" in err
    assert "Traceback" not in err


@pytest.mark.anyio
async def test_an_ordinary_connection_file(start, tmp_path):
    meeting = HoldRendezvous(tmp_path, b"secret")
    info = await meeting.addresses()
    start(meeting.connection_file)
    with session({name: getattr(info, name) for name in PORTS}, b"secret") as run:
        assert run("print('as ever')") == "as ever\n"
    meeting.close()


@pytest.mark.parametrize("content", [None, {}, {"shell_port": 0, "key": "secret", "hb_port": 0}])
def test_a_file_without_ports_is_written_as_ipykernel_does(start, tmp_path, content):
    path = tmp_path / "kernel.json"
    if content is not None:
        path.write_text(json.dumps({**content, "ip": "127.0.0.1"}))
    process = start(path)
    while (info := read_connection_file(path)) is None:
        assert process.poll() is None
        time.sleep(0.01)
    with session({name: getattr(info, name) for name in PORTS}, info.key) as run:
        assert run("print('self-bound')") == "self-bound\n"
