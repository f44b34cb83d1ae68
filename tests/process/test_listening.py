"""Who listens where."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from moorage.process.listening import ListeningProcess, at_path, at_port, users_at

LISTENS = """
import os, socket, sys
one = socket.socket(socket.AF_UNIX) if sys.argv[1] == "path" else socket.socket()
one.bind(sys.argv[2] if sys.argv[1] == "path" else ("127.0.0.1", 0))
one.listen()
if os.fork() == 0:  # holds the same socket
    sys.stdin.read()
    os._exit(0)
print(one.getsockname()[1] if sys.argv[1] == "port" else 0, flush=True)
sys.stdin.read()
os.wait()
"""


@pytest.fixture
def listens():
    """Start a process that listens, and forks a child that holds its socket; return it and the port."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", LISTENS, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.communicate(timeout=20)


def test_the_first_holder_of_a_path_is_found(listens, tmp_path):
    process, _ = listens("path", tmp_path / "socket")
    assert at_path(str(tmp_path / "socket")) == ListeningProcess(here=True, listening=True, pid=process.pid)


def test_nobody_at_a_path(tmp_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    for name in ("dead", "nothing"):
        assert at_path(str(tmp_path / name)) == ListeningProcess(here=True, listening=False)


@pytest.mark.parametrize("likely", [(), (1,), "itself"])
def test_the_first_holder_of_a_port_is_found(listens, likely):
    process, port = listens("port")
    pids = [process.pid] if likely == "itself" else likely
    for ip in ("127.0.0.1", "localhost"):
        assert at_port(ip, port, pids) == ListeningProcess(here=True, listening=True, pid=process.pid)


def test_a_bound_port_where_nobody_listens_has_no_listener():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        assert at_port("127.0.0.1", held.getsockname()[1]) == ListeningProcess(here=True, listening=False)


def test_who_listens_everywhere_listens_there_too():
    with socket.socket() as everywhere:
        everywhere.bind(("0.0.0.0", 0))
        everywhere.listen()
        assert at_port("127.0.0.1", everywhere.getsockname()[1]).pid == os.getpid()


def test_the_users_at_an_address(tmp_path):
    with socket.socket() as one, socket.socket(socket.AF_UNIX) as two:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
        assert users_at("tcp", "127.0.0.1", port) == set()
        one.listen()
        two.bind(f"{tmp_path}/k-5")
        assert users_at("ipc", f"{tmp_path}/k", 5) == set()
        two.listen()
        assert users_at("tcp", "127.0.0.1", port) == {os.geteuid()}
        assert users_at("ipc", f"{tmp_path}/k", 5) == {os.geteuid()}
        if os.geteuid() == 0:
            os.fchown(one.fileno(), 12321, -1)
            assert users_at("tcp", "127.0.0.1", port) == {12321}
    assert users_at("tcp", "192.0.2.1", port) == set()


def test_the_sixth_protocol():
    with socket.socket(socket.AF_INET6) as other:
        try:
            other.bind(("::1", 0))
        except OSError:
            pytest.skip("there is no IPv6 here")
        other.listen()
        assert at_port("::1", other.getsockname()[1]).pid == os.getpid()


@pytest.mark.parametrize("ip", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_elsewhere_is_told_from_an_empty_one_here(ip):
    assert at_port(ip, 1) == ListeningProcess(here=False, listening=False)
