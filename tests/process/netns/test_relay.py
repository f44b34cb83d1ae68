"""The relay: from Unix sockets outside to ports in somebody's network namespace."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from moorage.process.netns.launcher import HELPER
from moorage.process.netns.probe import HELPER as ISOLATE
from moorage.process.netns.probe import obstacle

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or obstacle() is not None, reason=f"no namespaces here: {obstacle()}"
)

PORT = 61001
# Answers in capitals, then says how much it got, when the caller has said all.
SHOUTER = f"""
import runpy, socket, sys
isolate = runpy.run_path({str(ISOLATE)!r})
isolate["enter"]()
print("inside", flush=True)
sys.stdin.readline()
listener = socket.create_server(("127.0.0.1", {PORT}))
print("listening", flush=True)
while True:
    caller, _ = listener.accept()
    got = 0
    while data := caller.recv(65536):
        got += len(data)
        caller.sendall(data.upper())
    caller.sendall(b"got %d" % got)
    caller.close()
"""


@pytest.fixture
def started():
    processes = []

    def start(*argv: object, **rest):
        process = subprocess.Popen(
            [sys.executable, *map(str, argv)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **rest
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def path():
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "k-1"


@pytest.fixture
def shouter(started):
    process = started("-c", SHOUTER)
    assert process.stdout.readline() == b"inside\n"
    return process


def relay(started, path: Path, pid: int, **rest):
    process = started("-I", "-S", "-E", HELPER, pid, f"{path}={PORT}", **rest)
    deadline = time.monotonic() + 20
    while not reached(path):
        assert process.poll() is None
        assert time.monotonic() < deadline
    return process


def listening(shouter) -> None:
    shouter.stdin.write(b"\n")
    shouter.stdin.flush()
    assert shouter.stdout.readline() == b"listening\n"


def call(path: Path) -> socket.socket:
    caller = socket.socket(socket.AF_UNIX)
    caller.settimeout(20)
    try:
        caller.connect(str(path))
    except OSError:
        caller.close()
        raise
    return caller


def reached(path: Path) -> bool:
    try:
        call(path).close()
    except OSError:
        time.sleep(0.01)
        return False
    return True


def everything(caller: socket.socket) -> bytes:
    parts = []
    while data := caller.recv(1 << 16):
        parts.append(data)
    caller.close()
    return b"".join(parts)


def test_bytes_go_both_ways_and_the_end_of_one_is_not_the_end_of_the_other(started, shouter, path):
    listening(shouter)
    relay(started, path, shouter.pid)
    caller = call(path)
    caller.sendall(b"hello")
    assert caller.recv(100) == b"HELLO"
    caller.sendall(b" world")
    caller.shutdown(socket.SHUT_WR)
    assert everything(caller) == b" WORLDgot 11"


def test_much_passes_whole_and_a_slow_reader_holds_it_up(started, shouter, path):
    listening(shouter)
    relay(started, path, shouter.pid)
    caller = call(path)
    size = 0
    caller.settimeout(2)
    with suppress(TimeoutError):  # nobody reads the answers
        while size < 1 << 28:
            size += caller.send(b"a" * 65536)
    assert size < 1 << 28
    caller.settimeout(20)
    caller.shutdown(socket.SHUT_WR)
    assert everything(caller) == b"A" * size + b"got %d" % size


def test_a_caller_is_hung_up_on_until_somebody_listens(started, shouter, path):
    relay(started, path, shouter.pid)
    assert everything(call(path)) == b""
    listening(shouter)
    caller = call(path)
    caller.sendall(b"now")
    assert caller.recv(100) == b"NOW"
    caller.close()


def test_callers_do_not_wait_for_each_other(started, shouter, path):
    listening(shouter)
    relay(started, path, shouter.pid)
    first, second = call(path), call(path)
    first.sendall(b"first")
    assert first.recv(100) == b"FIRST"
    first.close()
    second.sendall(b"second")
    assert second.recv(100) == b"SECOND"
    second.close()


def test_when_the_kernel_is_gone_what_it_said_still_arrives(started, shouter, path):
    listening(shouter)
    relay(started, path, shouter.pid)
    caller = call(path)
    caller.sendall(b"last words")
    assert caller.recv(4) == b"LAST"
    shouter.kill()
    assert everything(caller) == b" WORDS"


def test_the_socket_is_its_users_alone(started, shouter, path):
    listening(shouter)
    relay(started, path, shouter.pid)
    assert path.stat().st_mode & 0o077 == 0


def test_one_left_by_a_former_relay_is_replaced(started, shouter, path):
    listening(shouter)
    relay(started, path, shouter.pid).kill()
    relay(started, path, shouter.pid)


def test_no_namespace_is_entered_where_there_is_none(started, path):
    process = started("-I", "-S", "-E", HELPER, os.getpid(), f"{path}={PORT}", stderr=subprocess.PIPE)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert b"has no network namespace of its own" in said
