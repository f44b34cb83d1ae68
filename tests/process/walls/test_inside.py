"""Behind walls: what runs there finds itself alone, and its end is told as it was."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from moorage.process.walls.probe import given
from process.walls.behind import behind, private_folder, told, walls_here

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or bool(given().why), reason=f"no walls here: {given().why}"
)

SELF = """
import ctypes, socket, subprocess
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
listener = socket.create_server(("127.0.0.1", 0))
def refused(what):
    try:
        what()
    except OSError as error:
        return error.errno
    return 0
print(json.dumps({
    "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()),
    "pid": os.getpid(), "parent": os.getppid(), "uid": os.getuid(), "groups": os.getgroups(),
    "name": socket.gethostname(),
    "rights": [status[name].strip() for name in ("CapPrm", "CapEff", "CapInh", "CapBnd", "CapAmb")],
    "privileges": status["NoNewPrivs"].strip(), "filters": int(status["Seccomp_filters"]),
    "interfaces": [name for _, name in socket.if_nameindex()],
    "outside": refused(lambda: socket.create_connection(("192.0.2.1", 80), 5)),
    "loopback": refused(lambda: socket.create_connection(listener.getsockname(), 5)),
    "kill_first": refused(lambda: os.kill(1, 9)),
    "open": sorted(os.listdir("/proc/1/fd")),
    "environment": open("/proc/1/environ").read(),
}))
"""


def test_it_is_alone_without_rights_and_without_network() -> None:
    with private_folder() as private, socket.create_server(("127.0.0.1", 0)) as outside:
        port = outside.getsockname()[1]
        walls = walls_here(private)
        found = told(walls, SELF)
        reached = f"import socket; print(json.dumps(socket.socket().connect_ex(('127.0.0.1', {port}))))"
        assert told(walls, reached) == 111  # ECONNREFUSED: that loopback is another one
    assert found["processes"] == [1, 2]
    assert (found["pid"], found["parent"], found["name"]) == (2, 1, "moorage")
    assert set(found["rights"]) == {"0" * 16}
    assert found["privileges"] == "1"
    assert found["filters"] >= 1
    assert found["interfaces"] == ["lo"]
    assert (found["outside"], found["loopback"], found["kill_first"]) == (101, 0, 0)
    assert len(found["open"]) == 1  # the pipe by which its end is told, and no descriptor of the keeper's
    if os.geteuid() == 0:
        assert found["uid"] == walls["user"] != 0
        assert found["groups"] == []


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("raise SystemExit(7)", 7 << 8),
        (f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})", signal.SIGSEGV),
        ("pass", 0),
    ],
)
def test_its_end_is_told_as_it_was(code: str, status: int) -> None:
    with private_folder() as private:
        _, fate = behind(walls_here(private), code)
    assert int(fate) & 0xFF7F == status  # without the mark of a core dump


def test_what_it_leaves_behind_ends_with_it() -> None:
    code = "import subprocess as s; print(s.Popen(['sleep', '1000'], start_new_session=True).pid, flush=True)"
    with private_folder() as private:
        marked = str(private)
        _, fate = behind(walls_here(private), code)
        assert fate == "0"
        left = [
            entry.name
            for entry in Path("/proc").iterdir()
            if entry.name.isdecimal() and marked in _root_mounts(entry)
        ]
    assert left == []


def _root_mounts(entry: Path) -> str:
    try:
        return (entry / "mountinfo").read_text()
    except OSError:
        return ""


def test_orphans_are_reaped() -> None:
    code = """
import subprocess, time
subprocess.run(["sh", "-c", "(exit 0) & (sleep 0.01; exit 0) & exit 0"], check=True)
deadline = time.monotonic() + 60
while len([name for name in os.listdir("/proc") if name.isdecimal()]) > 2 and time.monotonic() < deadline:
    time.sleep(0.01)
print(json.dumps(sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())))
"""
    with private_folder() as private:
        assert told(walls_here(private), code) == [1, 2]


def test_limits_hold() -> None:
    import resource

    # The system counts processes by user, and other tests run as this one meanwhile.
    limits = [[resource.RLIMIT_NPROC, 60, 60], [resource.RLIMIT_NOFILE, 64, 64], [resource.RLIMIT_CORE, 0, 0]]
    code = """
import subprocess
made, refused, opened = [], "", []
try:
    for _ in range(100):
        made.append(subprocess.Popen(["sleep", "1000"]))
except OSError as error:
    refused = error.errno
try:
    while True:
        opened.append(os.open("/dev/null", os.O_RDONLY))
except OSError as error:
    full = error.errno
print(json.dumps([len(made), refused, full, len(opened) < 64]))
"""
    with private_folder() as private:
        made, refused, full, few = told(walls_here(private, rlimits=limits), code)
    assert made < 60
    assert (refused, full, few) == (11, 24, True)


def test_a_step_that_is_refused_is_named() -> None:
    with private_folder() as private:
        said, _ = behind(walls_here(private, groups=["/nowhere/cgroup.procs"]), "pass")
    assert said.startswith("refused walls/groups")


def test_a_port_is_reached_by_a_socket() -> None:
    code = """
import socket, threading
listener = socket.create_server(("127.0.0.1", 61001))
caller = socket.socket(socket.AF_UNIX)
caller.connect("s")
caller.sendall(b"hello")
served, _ = listener.accept()
said = served.recv(5).decode()
caller.close()
for _ in range(1000):  # a caller that has gone ends its connection alone
    try:
        served.sendall(bytes(1 << 16))
    except OSError:
        break
again = socket.socket(socket.AF_UNIX)
again.connect("s")
again.sendall(b"again")
print(json.dumps(said + " " + listener.accept()[0].recv(5).decode()))
"""
    with private_folder() as private:
        walls = walls_here(private, relay=[str(private / "s"), 61001])
        wait = "import time\nwhile not os.path.exists('s'): time.sleep(0.01)\n"
        assert told(walls, wait + code) == "hello again"


def test_a_user_namespace_of_an_ordinary_user_has_the_same_walls() -> None:
    if os.geteuid() != 0:
        pytest.skip("the other tests are this one, without root")
    from ordinary import ordinary_user

    with ordinary_user() as user:
        script = (
            "import json; from moorage.process.walls.probe import given; g = given(); print(g.why, g.calls)"
        )
        done = user.run(user.python, "-c", script, env={"PYTHONPATH": str(user.source)})
        assert done.stdout.split() == ["True"], done.stdout + done.stderr
