"""The warden beside a charge: a fork of the keeper, with a socket in the keeper's directory."""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path

import pytest

from moorage.keeper.process.beside import fork_warden

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="keepers need fork")


def test_the_fork_has_the_socket_and_the_name(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)

    def become(door: int, marker: str) -> None:
        bound = socket.socket(fileno=door)
        (place / "said").write_text(f"{marker} {bound.getsockname()} {os.getsid(0) == os.getpid()}")
        os._exit(3)

    pid = fork_warden(become, "one")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    assert (place / "said").read_text() == "one warden True"
    with pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)):
        fork_warden(become, "two")


def test_a_keeper_that_is_no_fork_has_none(keeper) -> None:
    told = keeper.begin("sleep", "1", warden=True)
    assert (told["tell"], told["stage"], told["errno"]) == ("failed", "warden", errno.ENOSYS)
    keeper.first.end()


def test_without_a_warden_nothing_sleeps(keeper) -> None:
    keeper.begin("sleep", "1000")
    for do in ("sleep", "wake"):
        assert keeper.first.ask(do)["tell"] == "refused"
