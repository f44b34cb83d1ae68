"""Ending a kernel; real ones in tests/real/test_running.py."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading

import pytest

from deaf_kernel import DEAF, deaf, port_in, write
from moorage.cli.main import main


@pytest.mark.parametrize("key", ["x", ""])
@pytest.mark.parametrize("names", [[], ["other.json"]])
def test_what_has_got_the_port_of_a_kernel_that_ended_is_left_alone(
    tmp_path, monkeypatch, capsys, key, names
):
    monkeypatch.setattr("moorage.kernel.stop._HELLO_SECONDS", 0.2)
    stale = tmp_path / "kernel-stale.json"
    own = tmp_path / (names or ["no-connection-file.txt"])[0]
    with deaf(own, "SIG_DFL") as process:
        # Of another key, or the files tell of one kernel.
        write(stale, port_in(own), key)
        write(own, port_in(own), "another")
        assert main(["kernels", "stop", str(stale), "--grace", "0.1"]) == 1
        assert process.poll() is None
    said = capsys.readouterr().err
    # A file of its own that names the port tells more than that it does not answer.
    assert ("runs no more" if names else "It is not certain that the process") in said


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


@pytest.mark.skipif(sys.platform != "linux", reason="ancestors are looked up in /proc")
@pytest.mark.parametrize(("name", "told"), [("jupyter-server", True), ("some-program", False)])
def test_a_kernel_that_a_server_will_start_again_is_reported(tmp_path, monkeypatch, capsys, name, told):
    monkeypatch.setattr("moorage.kernel.stop._HELLO_SECONDS", 0.2)
    program = tmp_path / name
    program.write_text("import subprocess, sys; subprocess.call(sys.argv[1:])")
    path = tmp_path / "k.json"
    kernel = [sys.executable, "-c", DEAF, "SIG_DFL", str(path)]
    with subprocess.Popen([sys.executable, program, *kernel], stdout=subprocess.PIPE, text=True) as server:
        write(path, int(server.stdout.readline()))
        assert main(["kernels", "stop", str(path)]) == 0
    again = f"the Jupyter server {server.pid} will start it again: shut it down there"
    assert (again in capsys.readouterr().out) is told
