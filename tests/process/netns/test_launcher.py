"""The launcher that isolates: processes of their own network, relayed or not, and nothing left of them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from command import until as becomes
from moorage.errors import LaunchError
from moorage.process.local import LocalLauncher
from moorage.process.netns.launcher import IsolatedLauncher, Relay
from moorage.process.netns.probe import obstacle
from moorage.testing import check_launcher
from ordinary import ordinary_user

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        sys.platform != "linux" or obstacle() is not None, reason=f"no namespaces here: {obstacle()}"
    ),
]

BIND = "import socket, sys, time; s = socket.create_server(('127.0.0.1', 8888)); print('bound', flush=True);"
ECHO = f"""{BIND}
while True:
    caller, _ = s.accept()
    caller.sendall(caller.recv(100).upper())
"""


async def test_it_keeps_what_a_launcher_promises(warden):
    verdict = await check_launcher(IsolatedLauncher(LocalLauncher(warden)))
    verdict.require()


def net(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def namespaces(name: str) -> list[str]:
    """Return the processes that stand in a namespace."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str((entry / "ns" / "net").readlink()) == name:
                found.append(entry.name)
        except OSError:
            continue
    return found


async def test_two_may_bind_the_same_port(warden, spec, until):
    launcher = IsolatedLauncher(LocalLauncher(warden))
    code = BIND + "time.sleep(60)"
    async with launcher.launch(spec(code)) as one, launcher.launch(spec(code)) as other:
        await until(lambda: one.output() == other.output() == "bound\n", one.output() + other.output())
        names = {net(one.pid), net(other.pid), net(os.getpid())}
        assert len(names) == 3
    names.remove(net(os.getpid()))
    assert not any(namespaces(name) for name in names)


async def test_arguments_directory_environment_and_death_watch_are_as_without(warden, tmp_path, spec):
    launcher = IsolatedLauncher(LocalLauncher(warden))
    code = (
        "import ctypes, os, sys; death = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(death)); "
        "print(sys.argv[1:], os.getcwd(), os.environ['A'], os.getuid(), death.value)"
    )
    arguments = ["a  b", 'c"d', "", "e\nf"]
    async with launcher.launch(spec(code, *arguments, cwd=tmp_path, env={"A": "x y"})) as handle:
        await handle.wait()
        assert handle.output() == f"{arguments} {tmp_path} x y {os.getuid()} 9\n"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
async def test_signals_reach_the_process_itself(warden, spec, until, signum):
    launcher = IsolatedLauncher(LocalLauncher(warden))
    code = (
        "import signal, sys, time; signal.signal(int(sys.argv[1]), lambda *_: sys.exit(7)); "
        "print('ready', flush=True); time.sleep(60)"
    )
    async with launcher.launch(spec(code, str(int(signum)))) as handle:
        await until(lambda: handle.output() == "ready\n")
        handle.send_signal(signum)
        assert (await handle.wait()).code == 7


async def test_what_cannot_start_says_why_as_ever(warden, spec):
    with pytest.raises(LaunchError, match="no directory of its PATH"):
        async with IsolatedLauncher(LocalLauncher(warden)).launch(spec(["no-such-program-here"])):
            pass


async def test_all_that_it_started_dies_with_the_block(warden, spec, until, alive):
    code = (
        "import os, subprocess, time; "
        "print(subprocess.Popen(['setsid', 'sleep', '600']).pid, flush=True); time.sleep(60)"
    )
    async with IsolatedLauncher(LocalLauncher(warden)).launch(spec(code)) as handle:
        await until(lambda: "\n" in handle.output())
        orphan = int(handle.output())
        name = net(handle.pid)
    assert not alive(orphan)
    assert not namespaces(name)


def call(path: Path, text: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(20)
        try:
            caller.connect(str(path))
            caller.sendall(text)
            return caller.recv(100)
        except OSError:  # nobody listens yet
            return b""


async def test_a_relay_leads_in_and_goes_with_the_process(warden, spec, until):
    path = warden.directory / "k-1"
    launcher = IsolatedLauncher(LocalLauncher(warden), Relay({path: 8888}))
    async with launcher.launch(spec(ECHO)) as handle:
        await until(lambda: call(path, b"hello") == b"HELLO")
        name = net(handle.pid)
        assert len(namespaces(name)) == 2
    assert not namespaces(name)
    async with launcher.launch(spec(ECHO)):  # as after a restart
        await until(lambda: call(path, b"again") == b"AGAIN")


async def test_a_process_whose_relay_was_killed_ends(warden, spec, until, caplog):
    path = warden.directory / "k-1"
    launcher = IsolatedLauncher(LocalLauncher(warden), Relay({path: 8888}))
    async with launcher.launch(spec(ECHO)) as handle:
        await until(lambda: call(path, b"hello") == b"HELLO")
        (relay,) = set(namespaces(net(handle.pid))) - {str(handle.pid)}
        os.kill(int(relay), signal.SIGKILL)
        assert (await handle.wait()).signal == signal.SIGKILL
    assert "is ended because its relay has: killed by SIGKILL" in caplog.text


async def test_a_process_that_ends_at_once_is_told_as_it_is(warden, spec):
    launcher = IsolatedLauncher(LocalLauncher(warden), Relay({warden.directory / "k-1": 8888}))
    for _ in range(5):
        async with launcher.launch(spec("import os; os._exit(3)")) as handle:
            assert (await handle.wait()).code == 3


REFUSED = """
import asyncio, os
from moorage.process.base import LaunchSpec
from moorage.process.netns.launcher import IsolatedLauncher
from moorage.process.local import LocalLauncher, Warden
async def main():
    async with Warden.open() as warden:
        try:
            async with IsolatedLauncher(LocalLauncher(warden)).launch(LaunchSpec(("true",), "/", {})):
                print("launched")
        except Exception as error:
            print(error)
asyncio.run(main())
"""


def test_where_it_is_forbidden_the_reason_comes_from_the_launch():
    limit = "echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --ambient-caps -all --inh-caps -all"
    before = ["unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", f'{limit} "$@"', "sh"]
    with ordinary_user() as user:
        user.equip()
        allowed = user.run(user.python, "-c", REFUSED)
        forbidden = user.run(*before, user.python, "-c", REFUSED)
    assert allowed.stdout == "launched\n", allowed.stderr
    assert "(E-ISOLATE). The limit user.max_user_namespaces is 0." in forbidden.stdout, forbidden.stderr


def test_the_wardens_end_is_the_end_of_what_is_isolated():
    seconds = f"600.{os.getpid()}"
    code = REFUSED.replace('"true",', f'"sleep", "{seconds}"').replace(
        "print(", "os.kill(os.getpid(), 9); print(", 1
    )
    with ordinary_user() as user:
        user.equip()
        assert user.run(user.python, "-c", code).returncode == -signal.SIGKILL
    assert becomes(lambda: not sleeping(seconds))


def sleeping(seconds: str) -> list[str]:
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in found.stdout.splitlines() if line == f"sleep {seconds}"]
