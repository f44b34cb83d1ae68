"""A socket that listens in a network namespace, and is answered outside."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage.process.netns.probe import HELPER as ISOLATE
from moorage.process.netns.probe import obstacle

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or obstacle() is not None, reason=f"no namespaces here: {obstacle()}"
)
SCRIPT = Path(__file__).parents[3] / "src/moorage/process/netns/listener.py"
PORT = 61002
CALLER = f"""
import runpy, socket, sys
runpy.run_path({str(ISOLATE)!r})["enter"]()
print("inside", flush=True)
for line in sys.stdin:
    try:
        with socket.create_connection(("127.0.0.1", {PORT}), 20) as made:
            print(made.recv(9).decode(), flush=True)
    except OSError as error:
        print(type(error).__name__, flush=True)
"""


@pytest.fixture
def caller() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", CALLER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"inside\n"
    yield process
    process.kill()
    process.communicate()


def ask(caller: subprocess.Popen[bytes]) -> None:
    assert caller.stdin is not None
    caller.stdin.write(b"go\n")


def said(caller: subprocess.Popen[bytes]) -> bytes:
    assert caller.stdout is not None
    return caller.stdout.readline().strip()


def made(pid: int, port: int = PORT) -> tuple[socket.socket | None, str]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        words = [sys.executable, "-I", "-S", "-E", str(SCRIPT), str(pid), str(port)]
        done = subprocess.run(words, stdin=theirs, capture_output=True, text=True, timeout=60, check=False)
        theirs.close()
        _, fds, _, _ = socket.recv_fds(ours, 16, 1)
    return (socket.socket(fileno=fds[0]) if fds else None), done.stderr


def test_what_connects_inside_is_answered_outside_as_long_as_it_is_held(caller) -> None:
    ask(caller)
    assert said(caller) == b"ConnectionRefusedError"
    for turn in (b"first", b"second"):  # the second one of a program that has taken over
        listener, _ = made(caller.pid)
        assert listener is not None
        with listener:
            assert listener.getsockname() == ("127.0.0.1", PORT)
            ask(caller)
            connection, _ = listener.accept()
            connection.sendall(turn)
            connection.close()
            assert said(caller) == turn
    ask(caller)
    assert said(caller) == b"ConnectionRefusedError"


def test_a_port_that_is_taken_and_a_process_without_a_namespace_are_refused(caller) -> None:
    first, _ = made(caller.pid)
    second, error = made(caller.pid)
    assert first is not None
    first.close()
    assert second is None
    assert "Address already in use" in error
    none, error = made(os.getpid())
    assert none is None
    assert "has no network namespace of its own" in error
