"""A keeper, spoken to without moorage's own end of the link."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from moorage.keeper.process import record
from moorage.keeper.tidy import kill_left
from moorage.wire import link

MAIN = Path(record.__file__).with_name("main.py")
DEADLINE = 30.0


class RawLink:
    """One link by a blocking socket."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.decoder = link.LinkDecoder(link.MOST_START)
        self.arrived: list[dict] = []
        self.ended = False

    def send(self, **message) -> None:
        self.channel.sendall(link.encode(message))

    def get(self, true=lambda _: True):
        """The first message, from where the last call ended, of which something is true."""
        deadline = time.monotonic() + DEADLINE
        while True:
            while self.arrived:
                message = self.arrived.pop(0)
                if true(message):
                    return message
            assert not self.ended, "the link ended before"
            ready, _, _ = select.select([self.channel], [], [], max(0, deadline - time.monotonic()))
            assert ready, "it was never told"
            data = self.read()
            self.ended = not data
            self.arrived += [frame.message() for frame in self.decoder.feed(data)]

    def read(self) -> bytes:
        try:
            return self.channel.recv(1 << 16)
        except ConnectionResetError:
            return b""

    def state(self, state: str):
        return self.get(lambda message: message.get("state") == state)

    def ask(self, do: str, **rest):
        self.send(do=do, ref=do, **rest)
        return self.get(lambda message: message.get("ref") == do)

    def end(self) -> None:
        """Wait for the end of the link, once all is read."""
        with suppress(OSError):
            self.channel.shutdown(socket.SHUT_WR)
        while not self.ended:
            self.ended = not self.read()


class RawKeeper:
    """A keeper and its first link."""

    def __init__(
        self, directory: Path, *, python: str = sys.executable, program: Path = MAIN, limit=None
    ) -> None:
        self.directory = directory
        ours, theirs = socket.socketpair()
        lock = record.claim(str(directory))
        with (directory / record.ERRORS).open("wb") as errors:
            done = subprocess.run(
                [
                    *(limit or []),
                    python,
                    "-I",
                    "-S",
                    "-E",
                    program,
                    *map(str, (theirs.fileno(), lock, directory)),
                ],
                pass_fds=[theirs.fileno(), lock],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={},
                timeout=DEADLINE,
                check=False,
            )
        assert done.returncode == 0, self.errors()
        theirs.close()
        os.close(lock)
        self.first = RawLink(ours)
        self.links = [self.first]

    def begin(self, *argv: str, **rest):
        """Have it start its charge; return the first status, or what it says instead."""
        message = {
            "id": str(self.directory),  # of no other worker's keeper: what has the id is killed at the end
            "label": "",
            "argv": argv,
            "env": dict(os.environ),
            "cwd": "/",
            "umask": 0o22,
            "process": None,
            "lease": 0,
            "grace": 10,
            "log": 1 << 20,
            "portable": False,
        }
        self.first.send(do="start", **{**message, **rest})
        return self.first.get(lambda told: told["tell"] == "failed" or told.get("state") == "running")

    def link(self) -> RawLink:
        channel = socket.socket(socket.AF_UNIX)
        channel.connect(str(self.directory / record.SOCKET))
        self.links.append(RawLink(channel))
        return self.links[-1]

    @property
    def pid(self) -> int:
        found = record.read(str(self.directory))
        assert found is not None
        return found["keeper"]["pid"]

    def errors(self) -> str:
        try:
            return (self.directory / record.ERRORS).read_text()
        except FileNotFoundError:
            return ""

    def close(self) -> None:
        """End it, whatever is left of it; what it wrote to stderr fails the test."""
        errors = self.errors()
        found = record.read(str(self.directory))
        for each in self.links:
            each.channel.close()
        if found is not None:
            deadline = time.monotonic() + DEADLINE
            while True:
                try:
                    os.close(record.lock(str(self.directory)))
                except BlockingIOError:
                    os.kill(found["keeper"]["pid"], signal.SIGKILL)
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                except FileNotFoundError:
                    break
                else:
                    break
            kill_left(found)
        assert errors == ""
