"""A warden that starts and ends a server by order, and keeps what it was asked for by its link."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from moorage.process import procfs
from moorage.process.warden.program import packed
from process.warden.test_kept import RawLink

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="walls are Linux's")
DEADLINE = 60.0
RUN = """
import os, socket, sys
from moorage.process.warden import tending
from moorage.process.warden.program import Program
orders, path = int(sys.argv[1]), sys.argv[2]
def execute(argv, env, report):
    os.close(report)
    os.execvpe(argv[0], argv, env)
door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
door.bind(path)
argv, env = [b"sh", b"-c", sys.argv[3].encode()], {b"PATH": b"/bin:/usr/bin"}
program = Program(argv, env, b"/", os.open("/dev/null", os.O_WRONLY))
tending.main(door, orders, execute, program)
"""


class Tended:
    def __init__(self, folder: Path, code: str) -> None:
        self.orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.orders.settimeout(DEADLINE)
        self.door = folder / "w"
        words = [sys.executable, "-c", RUN, str(theirs.fileno()), str(self.door), code]
        self.process = subprocess.Popen(words, pass_fds=[theirs.fileno()])
        theirs.close()

    def heard(self) -> list[str]:
        words = self.orders.recv(100).decode().split()
        return words[:3]  # without the memory

    def start(self, number: int, code: str) -> bytes:
        """Have a server started; return what is reported."""
        spec = {"argv": ["sh", "-c", code], "env": {"PATH": "/bin:/usr/bin"}, "cwd": "/"}
        file, (reader, writer) = packed(spec), os.pipe()
        socket.send_fds(self.orders, [f"start {number}".encode()], [file, writer])
        os.close(file)
        os.close(writer)
        with os.fdopen(reader, "rb") as said:
            return said.read()

    def children(self) -> set[int]:
        return {*procfs.family(self.process.pid)} - {self.process.pid}

    def asleep(self) -> set[int]:
        """Return those that are ``sleep``."""
        found = set()
        for pid in self.children():
            with suppress(OSError):  # it has ended meanwhile
                found |= {pid} if procfs.read(f"/proc/{pid}/comm") == b"sleep\n" else set()
        return found

    def link(self) -> RawLink:
        deadline = time.monotonic() + DEADLINE
        while True:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            made.settimeout(DEADLINE)
            try:
                made.connect(str(self.door))
            except OSError:
                made.close()
                assert time.monotonic() < deadline
                time.sleep(0.01)
            else:
                found = RawLink(made)
                assert found.hear()["tell"] == "hello"
                return found


@pytest.fixture
def tended() -> Iterator[type]:
    with tempfile.TemporaryDirectory(prefix="mt-", dir="/tmp") as folder:
        made: list[Tended] = []

        class Here(Tended):
            def __init__(self, code: str) -> None:
                super().__init__(Path(folder), code)
                made.append(self)

        yield Here
        for each in made:
            each.orders.close()
            each.process.wait(DEADLINE)


def test_ends_are_told_as_they_were_and_servers_have_numbers(tended) -> None:
    host = tended("exit 7")
    assert host.heard() == ["ended", "1", str(7 << 8)]
    assert host.start(2, "kill -9 $$") == b""
    assert host.heard() == ["ended", "2", "9"]
    assert host.start(3, "exit 0") == b""
    assert host.heard() == ["ended", "3", "0"]
    assert host.children() == set()


def test_what_cannot_be_started_is_reported_and_ends(tended) -> None:
    host = tended("exit 0")
    host.heard()
    file, (reader, writer) = packed({"argv": ["x"], "env": {}, "cwd": "/nowhere/at/all"}), os.pipe()
    socket.send_fds(host.orders, [b"start 2"], [file, writer])
    os.close(file)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        assert said.read() == b"chdir 2"
    assert host.heard() == ["ended", "2", str(127 << 8)]


def test_sleep_kills_a_server_and_its_orphans_and_nothing_of_the_link(tended) -> None:
    host = tended("setsid sh -c 'sleep 1000 & sleep 1000 & wait' & sleep 1000")
    link = host.link()
    kept = link.spawn("mr-aaaaaaaa.000001", "sh", "-c", "(setsid sleep 1000 &) ; echo; sleep 1000")
    deadline = time.monotonic() + DEADLINE
    while len(host.asleep()) < 5:
        assert time.monotonic() < deadline, host.children()
        time.sleep(0.01)
    before = host.asleep()
    for number in (1, 2):
        host.orders.send(b"sleep")
        assert host.heard()[:2] == ["ended", str(number)]
        assert host.heard() == ["asleep", "0"]
        assert kept in host.children()
        assert host.asleep() < before
        assert len(host.asleep()) == 2
        assert host.start(number + 1, "(setsid sleep 1000 &) ; sleep 1000") == b""
    link.socket.close()


def test_signals_of_those_within_do_not_end_it_and_the_end_of_orders_does(tended) -> None:
    host = tended("sleep 1000")
    link = host.link()  # it catches signals by now
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD):
        os.kill(host.process.pid, signum)
    host.orders.send(b"sleep")
    assert host.heard() == ["ended", "1", "9"]
    assert host.heard() == ["asleep", "0"]
    host.orders.close()
    assert host.process.wait(DEADLINE) == 1
    link.socket.close()
