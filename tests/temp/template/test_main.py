"""What a template says and does, by its socket."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper.fixtures import exists, place, until
from temp.template.rig import DEADLINE, template

pytest.importorskip("jupyter_server", reason="Jupyter Server is not installed")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="servers are forked on Linux alone")
__all__ = ["exists", "place", "until"]


@pytest.fixture
def switches(place: Path) -> Path:
    folder = place / "configuration" / "jupyter_server_config.d"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def asked(place: Path) -> Iterator[tuple[Path, socket.socket, int, int]]:
    """A keeper's directory, this end of its link, the other one, and the locked file."""
    folder = place / "one"
    folder.mkdir(mode=0o700)
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    ours, theirs = socket.socketpair()
    ours.settimeout(DEADLINE)
    with ours:
        yield folder, ours, theirs.detach(), lock


def test_it_forks_a_keeper_that_is_no_child_of_it(asked, until) -> None:
    folder, link, theirs, lock = asked
    with template() as raw:
        assert raw.hear() == {"ready": True}
        socket.send_fds(raw.channel, [os.fsencode(folder)], [lock, theirs])
        os.close(lock)
        os.close(theirs)
        link.sendall(b"?")  # is no message: the keeper says so, and ends
        link.shutdown(socket.SHUT_WR)
        until(lambda: not folder.exists(), "the keeper leaves nothing")
        children = Path(f"/proc/{raw.process.pid}/task/{raw.process.pid}/children")
        until(lambda: not children.read_text(), "the process between is reaped")
        assert raw.process.poll() is None


def test_it_ends_with_its_socket() -> None:
    with template() as raw:
        assert raw.hear() == {"ready": True}
        raw.channel.shutdown(socket.SHUT_WR)
        assert raw.process.wait(DEADLINE) == 0


def test_it_ends_where_its_parent_is_another_by_now() -> None:
    with template(parent=1) as raw:
        assert raw.hear() == {}
        assert raw.process.wait(DEADLINE) == 127


def test_it_says_what_it_cannot_import(switches: Path) -> None:
    (switches / "own.json").write_text('{"ServerApp": {"jpserver_extensions": {"no_such": true}}}')
    with template(JUPYTER_CONFIG_PATH=str(switches.parent)) as raw:
        why = "no_such cannot be imported: ModuleNotFoundError: No module named 'no_such'"
        assert raw.hear() == {"refused": why}
        assert raw.process.wait(DEADLINE) == 1


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (
            "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
            "a thread",
        ),
        ("import os; kept = os.open('/etc/passwd', os.O_RDONLY)", "opened /etc/passwd"),
        ("import signal; signal.setitimer(signal.ITIMER_REAL, 1000)", "set a timer"),
    ],
)
def test_an_extension_that_leaves_what_no_fork_would_have_makes_it_no_template(
    switches: Path, code: str, why: str
) -> None:
    (switches / "own.json").write_text(json.dumps({"ServerApp": {"jpserver_extensions": {"mine": True}}}))
    (switches.parent / "mine.py").write_text(code)
    where = str(switches.parent)
    with template(JUPYTER_CONFIG_PATH=where, PYTHONPATH=where) as raw:
        said = raw.hear()["refused"]
        assert said.startswith("what the server imports has ")
        assert said.endswith(why)


def test_what_is_installed_changes(switches: Path, asked) -> None:
    folder, link, theirs, lock = asked
    with template(JUPYTER_CONFIG_PATH=str(switches.parent)) as raw:
        assert raw.hear() == {"ready": True}
        (switches / "more.json").write_text("{}")
        socket.send_fds(raw.channel, [os.fsencode(folder)], [lock, theirs])
        os.close(lock)
        os.close(theirs)
        assert raw.hear() == {"stale": True}
        assert link.recv(1) == b"", "nothing was forked"
        assert raw.process.wait(DEADLINE) == 0


def test_what_is_no_request_ends_nothing(place: Path, until) -> None:
    with template() as raw:
        assert raw.hear() == {"ready": True}
        socket.send_fds(raw.channel, [os.fsencode(place / "not there")], [])
        raw.channel.shutdown(socket.SHUT_WR)
        assert raw.process.wait(DEADLINE) == 0
