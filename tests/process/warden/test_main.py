"""The warden as a process: nothing outlives moorage, whatever ends it and whatever its children do."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from moorage.process import procfs
from moorage.process.base import LaunchSpec
from moorage.process.local import LocalLauncher, Warden

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="wardens need Linux")]

FILES = Path(__file__).parents[1] / "files"
WARDEN = Path(procfs.__file__).with_name("warden") / "main.py"


def _marked(run: str) -> list[int]:
    """Return all living processes whose environment names this run of a test."""
    found = []
    for process in procfs.table().values():
        try:
            environ = procfs.read(f"/proc/{process.pid}/environ")
        except OSError:
            continue
        if f"MOORAGE_TEST_RUN={run}".encode() in environ.split(b"\0") and not process.dead:
            found.append(process.pid)
    return found


class Moored:
    """files/moored.py under way."""

    def __init__(self, *arguments: str) -> None:
        self.run = f"{os.getpid()}.{time.monotonic_ns()}"
        self.process = subprocess.Popen(
            [sys.executable, str(FILES / "moored.py"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "MOORAGE_TEST_RUN": self.run},
            start_new_session=True,
        )
        self.told = self.read()

    def read(self):
        return json.loads(self.process.stdout.readline())

    def nothing_left(self, *, spared: int = 0) -> bool:
        paths = [Path(self.told["directory"]), Path(self.told["half"])]
        return [pid for pid in _marked(self.run) if pid != spared] == [] and not any(
            p.exists() for p in paths
        )

    def close(self) -> None:
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def moored():
    started = []

    def start(*arguments):
        started.append(Moored(*arguments))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_nothing_outlives_moorage(moored, until, alive, signum):
    one = moored("plain", "setsid", "daemon", "stopped", "wiped")
    family = one.read()["family"]
    assert len(family) == 6
    assert all(map(alive, family))
    assert Path(one.told["half"]).exists()
    one.process.send_signal(signum)
    await until(one.nothing_left)
    await until(lambda: not any(map(alive, family)))  # "wiped" carries no mark
    one.process.wait()


@pytest.mark.parametrize("turn", range(4))
async def test_nothing_outlives_moorage_when_it_dies_while_a_child_starts(moored, until, turn):
    one = moored("early", "plain", "setsid", "daemon")
    time.sleep(turn * 0.003)  # somewhere in the start, a little later each time
    one.process.kill()
    await until(one.nothing_left)


async def test_a_fork_bomb_does_not_outlive_moorage(moored, until):
    one = moored("bomb", "daemon")
    one.process.kill()
    await until(one.nothing_left)


async def test_a_forked_child_that_holds_the_socket_keeps_nothing_alive(moored, until):
    one = moored("fork", "plain")
    one.read()
    one.process.kill()
    one.process.wait()
    await until(lambda: one.nothing_left(spared=one.told["holder"]))
    os.kill(one.told["holder"], signal.SIGKILL)


async def test_a_killed_warden_takes_everything_along(moored, until):
    one = moored("plain", "setsid", "daemon")
    one.read()
    os.kill(one.told["warden"], signal.SIGKILL)
    one.process.wait()
    await until(one.nothing_left)


async def test_sigterm_makes_the_warden_tidy_up(moored, until):
    one = moored("plain", "setsid", "daemon")
    one.read()
    os.kill(one.told["warden"], signal.SIGTERM)
    await until(one.nothing_left)


@pytest.fixture
def base():
    with tempfile.TemporaryDirectory(dir="/tmp") as base:
        yield base


async def test_the_next_warden_clears_away_what_two_killed_processes_left(moored, until, monkeypatch, base):
    monkeypatch.setenv("XDG_RUNTIME_DIR", base)  # where no other warden sweeps
    one = moored("plain", "setsid", "daemon")
    one.read()
    for pid in (one.told["warden"], one.process.pid):
        os.kill(pid, signal.SIGSTOP)  # or the one that dies last would tidy up
    for pid in (one.told["warden"], one.process.pid):
        os.kill(pid, signal.SIGKILL)
    one.process.wait()
    await until(lambda: one.told["warden"] not in _marked(one.run))
    assert Path(one.told["directory"]).exists()
    async with Warden.open():
        await until(lambda: not _marked(one.run))
        await until(lambda: not Path(one.told["directory"]).exists())
    Path(one.told["half"]).unlink()  # guarded by nobody any more


async def test_signals_of_the_terminal_do_not_reach_the_warden(warden, launcher, spec):
    for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        os.kill(warden.pid, signum)
    async with launcher.launch(spec(["true"])) as handle:
        assert (await handle.wait()).code == 0
    assert os.getsid(warden.pid) == warden.pid


@pytest.fixture
def raw():
    """A warden spoken to by hand."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-I", "-S", "-E", str(WARDEN), str(theirs.fileno())]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True)
    theirs.close()
    ours.settimeout(10)
    hello = json.loads(ours.recv(1 << 16))
    yield ours
    ours.close()
    assert process.wait(10) == 0
    assert not Path(hello["directory"]).exists()


@pytest.mark.parametrize(
    "packet",
    [
        b"{",
        b"[]",
        b"{}",
        b'"x"',
        b'{"do": "dance"}',
        b'{"do": "signal"}',
        b'{"do": "spawn", "id": 1}',
        b"\xff",
    ],
)
def test_a_malformed_packet_is_answered_and_survived(raw, packet):
    raw.send(packet)
    assert json.loads(raw.recv(1 << 16))["tell"] == "error"
    raw.send(b'{"do": "kill", "id": "nobody"}')
    assert json.loads(raw.recv(1 << 16)) == {"tell": "gone", "id": "nobody", "left": 0}


def test_missing_descriptors_are_reported(raw):
    raw.send(b'{"do": "spawn", "id": "x", "stdin": false}')
    told = json.loads(raw.recv(1 << 16))
    assert (told["tell"], told["stage"]) == ("failed", "descriptors")


def test_a_full_socket_does_not_stop_the_warden(raw):
    for _ in range(3000):  # far more than the socket buffers hold, and nobody reads meanwhile
        raw.send(b'{"do": "' + b"x" * 200 + b'"}')
    told = [json.loads(raw.recv(1 << 16))["tell"] for _ in range(3000)]
    assert set(told) == {"error"}


async def test_a_warden_without_descriptors_says_so(warden, launcher, spec, until):
    import resource

    used = len(list(Path(f"/proc/{warden.pid}/fd").iterdir()))
    before = resource.prlimit(warden.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(warden.pid, resource.RLIMIT_NOFILE, (used + 2, before[1]))
    from moorage.errors import LaunchError

    with pytest.raises(LaunchError, match="too many files"):
        async with launcher.launch(spec(["true"])):
            pass
    resource.prlimit(warden.pid, resource.RLIMIT_NOFILE, before)
    async with launcher.launch(spec(["true"])) as handle:
        assert (await handle.wait()).code == 0


async def test_two_wardens_one_inside_the_other(launcher, spec, until, alive):
    program = [sys.executable, str(FILES / "moored.py"), "plain", "setsid", "daemon"]
    async with launcher.launch(spec(program)) as handle:
        await until(lambda: handle.output().count("\n") == 2)
        told = [json.loads(line) for line in handle.output().splitlines()]
    assert not any(map(alive, [told[0]["warden"], told[0]["pid"], *told[1]["family"]]))
    assert not Path(told[0]["directory"]).exists()
    Path(told[0]["half"]).unlink()  # guarded by the inner warden, which was killed


async def test_it_works_in_the_loop_of_any_thread(spec):
    async def run():
        async with Warden.open() as warden, LocalLauncher(warden).launch(spec(["true"])) as handle:
            return (await handle.wait()).code

    assert await asyncio.to_thread(asyncio.run, run()) == 0


@pytest.mark.parametrize("kinds", [("plain", "setsid", "daemon", "stopped"), ("wiped",)])
async def test_sigkill_of_moorage_leaves_no_fork_no_spare_and_no_template(moored, until, kinds):
    one = moored("forked", *kinds)
    family = one.read()["family"]
    assert len(family) == len(kinds) + 1
    assert len(_marked(one.run)) > len(kinds) + 2  # the template and the spare, too
    one.process.kill()
    await until(one.nothing_left, "something is left")


async def test_sigkill_of_moorage_at_any_moment_of_a_fork_leaves_nothing(moored, until):
    for number in range(12):
        one = moored("early", "forked", "plain", "daemon")
        await asyncio.sleep(0.06 * number)
        one.process.kill()
        await until(one.nothing_left, "something is left")


async def test_what_a_fork_started_goes_with_it_and_its_neighbours_stay(warden, until, alive):
    """An orphan of a fork is a fork itself: what /proc shows of it names the launch, not the template."""
    launcher = LocalLauncher(warden, fork=True)
    family = str(FILES / "family.py")
    code = f"import runpy, sys; del sys.argv[1]; runpy.run_path({family!r}, run_name='__main__')"
    argv = (sys.executable, "-m", "ipykernel_launcher", code, "plain", "setsid", "daemon")
    spec = LaunchSpec(argv, "/", {**os.environ, "PYTHONPATH": str(FILES / "forking")})

    def pids(handle):
        return [int(line.split()[1]) for line in handle.output().splitlines()]

    async with launcher.launch(spec) as first, launcher.launch(spec) as second:
        await until(lambda: len(pids(first)) == len(pids(second)) == 4)
        assert {procfs.marker(pid) for pid in pids(first)} == {str(first.id)}
        await second.kill()
        assert not any(map(alive, pids(second)))
        assert all(map(alive, pids(first)))
        third = pids(first)
    assert not any(map(alive, third))
