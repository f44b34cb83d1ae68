"""Ending a kernel; real ones in tests/real/test_running.py."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from moorage.cli.kernels_stop import stop
from moorage.cli.main import main
from moorage.discovery.running import find

# Greets like libzmq and answers nothing, as a kernel that hangs in C code that holds everything up.
DEAF = """
import signal, socket, sys
signal.signal(signal.SIGTERM, getattr(signal, sys.argv[1]))
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
while True:
    peer, _ = listening.accept()
    peer.send(b"\\xff" + bytes(8) + b"\\x7f")
"""


@contextmanager
def deaf(path, on_term):
    command = [sys.executable, "-c", DEAF, on_term, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        write(path, int(process.stdout.readline()))
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def write(path, port):
    content = dict.fromkeys(("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port"), port)
    path.write_text(json.dumps(content | {"key": "x"}))


@pytest.mark.anyio
@pytest.mark.parametrize(("on_term", "ended_by"), [("SIG_DFL", signal.SIGTERM), ("SIG_IGN", signal.SIGKILL)])
async def test_one_that_does_not_listen_is_signalled(tmp_path, monkeypatch, on_term, ended_by):
    monkeypatch.setattr("moorage.cli.kernels_stop._HELLO_SECONDS", 0.2)
    with deaf(tmp_path / "k.json", on_term) as process:
        said = await stop(find(tmp_path / "k.json"), 0.2)
        assert process.wait(60) == -ended_by
    assert said


def test_one_that_has_ended_is_left_as_it_is(tmp_path, capsys):
    write(tmp_path / "k.json", 1)
    assert main(["kernels", "stop", str(tmp_path / "k.json")]) == 1
    assert "the kernel k runs no more" in capsys.readouterr().err
    assert (tmp_path / "k.json").exists()


def test_a_name_that_is_wrong_stops_nothing(tmp_path, capsys):
    with deaf(tmp_path / "k.json", "SIG_DFL") as process:
        assert main(["kernels", "stop", str(tmp_path / "k.json"), str(tmp_path / "gone.json")]) == 1
        assert process.poll() is None
    assert "There is no such file" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_another_user_is_refused(tmp_path, capsys):
    path = tmp_path / "k.json"
    write(path, 1)
    os.chown(path, 65534, 65534)
    assert main(["kernels", "stop", str(path)]) == 1
    assert "belongs to another user" in capsys.readouterr().err


def test_what_is_no_kernel_is_refused(tmp_path, capsys):
    server = socket.create_server(("127.0.0.1", 0))

    def greet():
        peer, _ = server.accept()
        with peer:
            peer.send(b"SSH-2.0\r\n")

    greeter = threading.Thread(target=greet, daemon=True)
    greeter.start()
    write(tmp_path / "k.json", server.getsockname()[1])
    assert main(["kernels", "stop", str(tmp_path / "k.json")]) == 1
    assert "runs no more" in capsys.readouterr().err
    greeter.join()
    server.close()
