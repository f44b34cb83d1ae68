"""A warden that outlives its link: what it tells the next one, and what ends it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage.process.warden.process import payload

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="wardens need Linux")
KEEPER = Path(__file__).parents[1] / "files" / "kept_warden.py"
DEADLINE = 30.0


class Keeper:
    """A process with a warden beside it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "warden"
        self.process = subprocess.Popen(
            [sys.executable, str(KEEPER), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.links: list[socket.socket] = []
        self.warden = int(self.process.stdout.readline())

    def link(self) -> RawLink:
        deadline = time.monotonic() + DEADLINE
        while True:
            link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            link.settimeout(DEADLINE)
            self.links.append(link)
            try:
                link.connect(str(self.path))
            except ConnectionRefusedError:  # it does not listen yet
                assert time.monotonic() < deadline
            else:
                return RawLink(link)


class RawLink:
    def __init__(self, link: socket.socket) -> None:
        self.socket = link

    def hear(self) -> dict[str, Any]:
        packet = self.socket.recv(1 << 16)
        return json.loads(packet) if packet else {}

    def say(self, *fds: int, **message: Any) -> None:
        socket.send_fds(self.socket, [json.dumps(message).encode()], list(fds))

    def spawn(self, name: str, *argv: str) -> int:
        spec = {"argv": argv, "cwd": "/", "env": {"PATH": os.environ["PATH"]}, "process": None}
        null = os.open(os.devnull, os.O_RDWR)
        whole = payload(json.dumps(spec).encode())
        self.say(whole, null, null, do="spawn", id=name, stdin=False, passed=0, kernel="")
        os.close(null)
        os.close(whole)
        told = self.hear()
        assert told["tell"] == "started", told
        return told["pid"]


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    with tempfile.TemporaryDirectory(prefix="mk-", dir="/tmp") as folder:
        made = Keeper(Path(folder))
        yield made
        for link in made.links:
            link.close()
        with made.process:
            made.process.kill()


def gone(pid: int) -> bool:
    """Wait until a process is no more."""
    deadline = time.monotonic() + DEADLINE
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_the_next_link_hears_what_lives_and_what_has_ended(keeper: Keeper) -> None:
    first = keeper.link()
    hello = first.hear()
    names = [f"{Path(hello['directory']).name}.{number:06d}" for number in (1, 2)]
    assert hello["count"] == 0
    lives, ends = first.spawn(names[0], "sleep", "1000"), first.spawn(names[1], "sleep", "1000")
    first.socket.close()
    os.kill(ends, signal.SIGTERM)
    assert gone(ends)
    second = keeper.link()
    assert second.hear() == {**hello, "count": 2}
    told = [second.hear() for _ in range(3)]
    assert told[:2] == [
        {"tell": "started", "id": name, "pid": pid} for name, pid in zip(names, (lives, ends), strict=True)
    ]
    assert (told[2]["tell"], told[2]["id"], told[2]["signal"]) == ("exited", names[1], signal.SIGTERM)
    second.say(do="kill", id=names[0])
    assert [second.hear()["tell"] for _ in range(2)] == ["exited", "gone"]
    assert gone(lives)


def test_it_has_one_link_at_a_time_and_no_rest(keeper: Keeper) -> None:
    first = keeper.link()
    assert first.hear()["tell"] == "hello"
    assert keeper.link().hear() == {}
    first.say(do="rest", seconds=0)
    first.say(do="ping")
    assert first.hear() == {"tell": "pong"}


@pytest.mark.parametrize("how", ["end", "kill"])
def test_it_ends_with_its_keeper_and_leaves_nothing(keeper: Keeper, how: str) -> None:
    link = keeper.link()
    directory = Path(link.hear()["directory"])
    pid = link.spawn(f"{directory.name}.000001", "sleep", "1000")
    if how == "kill":
        keeper.process.kill()
    else:
        assert keeper.process.stdin is not None
        keeper.process.stdin.close()
        keeper.process.wait(DEADLINE)
    assert gone(pid)
    assert gone(keeper.warden)
    assert not directory.exists()


def test_sigkill_of_it_ends_what_it_has_started(keeper: Keeper) -> None:
    link = keeper.link()
    directory = Path(link.hear()["directory"])
    pid = link.spawn(f"{directory.name}.000001", "sleep", "1000")
    os.kill(keeper.warden, signal.SIGKILL)
    assert gone(pid)
    assert link.hear() == {}
