"""Kernels in network namespaces of their own: by themselves, through render, as whom, where it is refused."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import moorage as package
from command import Command, printed, script, typed_in, until, write
from moorage.errors import KernelDied
from moorage.process.netns.probe import obstacle
from ordinary import ordinary_user

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        sys.platform != "linux" or obstacle() is not None, reason=f"no namespaces here: {obstacle()}"
    ),
]

# kernel type: what prints "six: 6", what fails, what runs until it is interrupted
KERNELS = {
    "python3": ("print('six:', 2 * 3)", "1 / 0", "import time; time.sleep(600)"),
    "bash": ("echo six: $((2 * 3))", "false", "sleep 600"),
    "ir": ("cat('six:', 2 * 3, '\\n')", "stop('no')", "Sys.sleep(600)"),
    "xpython": ("print('six:', 2 * 3)", "1 / 0", ""),
    "deno": ("console.log('six:', 2 * 3)", "throw new Error('no')", ""),
}


@pytest.fixture
def kernel_type(request):
    from moorage.discovery.kernelspec import names

    if request.param not in names():
        pytest.skip(f"there is no kernel {request.param} here")
    return request.param


def said(result) -> str:
    return "".join(output.get("text", "") for output in result.outputs)


@pytest.mark.anyio
@pytest.mark.parametrize("kernel_type", KERNELS, indirect=True)
async def test_every_kernel_runs_isolated(kernel_type):
    prints, fails, waits = KERNELS[kernel_type]
    async with package.launch(kernel_type, isolate="net") as kernel:
        assert kernel.rendezvous == "ipc"
        inside = Path(f"/proc/{kernel.process.pid}/ns/net").readlink()
        assert inside != Path("/proc/self/ns/net").readlink()
        assert "six: 6" in said(await kernel.execute(prints))
        assert (await kernel.execute(fails)).status == "error"
        if waits:
            asyncio.get_running_loop().call_later(1, kernel.interrupt)
            assert (await kernel.execute(waits)).seconds < 60
            assert "six: 6" in said(await kernel.execute(prints))
        await kernel.restart()
        assert "six: 6" in said(await kernel.execute(prints))
        os.kill(kernel.process.pid, 9)
        with pytest.raises(KernelDied, match="killed by SIGKILL"):
            await kernel.execute(prints)


@pytest.mark.anyio
async def test_a_forked_kernel_is_isolated_as_a_spawned_one_is():
    code = (
        "import ctypes, os, re; death = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(death)); "
        "status = open('/proc/self/status').read(); "
        "print(os.readlink('/proc/self/ns/net') == NET, len(open('/proc/net/dev').readlines()), death.value, "
        "os.getresuid(), os.environ['HOME'], re.findall('Cap.*', status), os.getcwd())"
    )
    code = code.replace("NET", repr(str(Path("/proc/self/ns/net").readlink())))
    told = []
    for fork in (False, True):
        async with package.launch("python3", isolate="net", fork=fork) as kernel:
            told.append(said(await kernel.execute(code)))
    assert told[0] == told[1]
    assert told[0].startswith("False ")


@pytest.mark.anyio
@pytest.mark.parametrize("kernel_type", ["python3", "ir", "xpython", "deno"], indirect=True)
async def test_other_clients_come_in_by_the_connection_file(kernel_type):
    pytest.importorskip("jupyter_client")
    code = (
        "import sys; from jupyter_client import BlockingKernelClient; "
        "c = BlockingKernelClient(connection_file=sys.argv[1]); "
        "c.load_connection_file(); c.start_channels(); c.wait_for_ready(timeout=60); "
        "print(c.execute_interactive(sys.argv[2], timeout=60)['content']['status'], c.is_alive()); "
        "c.stop_channels()"
    )
    async with package.launch(kernel_type, isolate="net") as kernel:
        argv = [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            code,
            str(kernel.connection_file),
            KERNELS[kernel_type][0],
        ]
        process = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE)
        answered, _ = await process.communicate()
        assert answered.decode().split()[-2:] == ["ok", "True"]


@pytest.mark.anyio
@pytest.mark.parametrize("kernel_type", ["ir"], indirect=True)
async def test_much_output_passes_the_relay_whole(kernel_type):
    async with package.launch(kernel_type, isolate="net") as kernel:
        lines = said(await kernel.execute('for (n in 1:20000) cat("line", n, "\\n")')).split("\n")
    assert [line.rstrip() for line in lines if line] == [f"line {n}" for n in range(1, 20001)]


BIND = """\
import pathlib, socket, time
listener = socket.create_server(("127.0.0.1", 18888))
pathlib.Path(__file__ if "__file__" in globals() else NAME).touch()
while len(list(pathlib.Path(".").glob("*.bound"))) < 2:
    time.sleep(0.02)
socket.create_connection(("127.0.0.1", 18888)).close()
print("bound")
"""


def test_two_notebooks_that_bind_one_port_at_once_both_succeed(moorage: Command):
    both = {f"{name}.py": script(f"NAME = '{name}.bound'\n{BIND}") for name in "ab"}
    write(moorage.cwd, both)
    done = moorage("render", ".", "-o", "out", "-j", 2, "--isolate", "net", "--json", "-", code=0)
    assert set(done.statuses.values()) == {"ok"}
    assert {each["rendezvous"] for each in done.notebooks.values()} == {"ipc"}
    for name in "ab":
        assert printed(moorage.cwd / "out" / f"{name}.ipynb") == "bound\n"


AROUND = """\
import os, pathlib, sys
print(os.getcwd(), os.environ["HOME"], os.getuid(), os.environ["GIVEN"], open("data.txt").read())
pathlib.Path("made.txt").write_text("made")
"""


def test_directory_home_environment_outputs_and_needs_are_as_without(moorage: Command):
    configuration = '[notebook."b.py"]\nneeds = ["a.py"]\n[notebook."a.py"]\noutputs = ["made.txt"]\n'
    sources = {"a.py": script(AROUND), "b.py": script("print(open('made.txt').read())"), "data.txt": "data"}
    for isolate in ("none", "net"):
        folder = write(moorage.cwd / isolate, {**sources, "moorage.toml": configuration})
        options = ["--isolate", isolate, "--env", "GIVEN=a  b", "--no-cache", "-o", "out"]
        moorage("render", ".", *options, cwd=folder, code=0)
        home = os.environ["HOME"]
        assert printed(folder / "out" / "a.ipynb") == f"{folder} {home} {os.getuid()} a  b data\n"
        assert printed(folder / "out" / "b.ipynb") == "made\n"
        assert (folder / "out" / "made.txt").read_text() == "made"


def test_deadlines_interrupt_and_end_what_runs_inside(moorage: Command):
    stubborn = "import signal, time; signal.signal(2, signal.SIG_IGN)\nwhile True: time.sleep(1)"
    write(moorage.cwd, {"a.py": script("import time; time.sleep(600)"), "b.py": script(stubborn)})
    options = ["--isolate", "net", "--cell-timeout", 1, "--no-cache", "--json", "-", "-j", 2]
    done = moorage("render", ".", *options, code=1)
    assert done.statuses == {"a.py": "timeout", "b.py": "timeout"}


def test_a_result_from_outside_is_no_proof_that_the_network_is_not_needed(moorage: Command):
    write(moorage.cwd, {"a.py": script("print(len(open('/proc/net/dev').readlines()))")})
    for isolate, status in (("none", "ok"), ("net", "ok"), ("net", "cached"), ("none", "cached")):
        done = moorage("render", "a.py", "--isolate", isolate, "--json", "-", code=0)
        assert done.statuses == {"a.py": status}


def test_a_rendezvous_that_cannot_cross_is_refused(moorage: Command):
    write(moorage.cwd, {"a.py": script("1")})
    for way in ("hold", "handshake", "self-bind"):
        done = moorage("render", "a.py", "--isolate", "net", "--rendezvous", way, code=2)
        assert f"the {way} rendezvous cannot be used with isolation (E-USAGE)" in done.stderr
    assert [path.name for path in moorage.cwd.iterdir()] == ["a.py"]


def test_jupytexts_own_execution_runs_isolated(moorage: Command):
    write(moorage.cwd, {"a b.py": script("import os; print(os.getuid(), os.environ['HOME'])")})
    command = [sys.executable, "-m", "jupytext", "--execute", "a b.py", "--to", "ipynb"]
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernelspec = json.dumps({"argv": argv, "display_name": "mine", "language": "python"})
    write(moorage.cwd / "share" / "kernels" / "mine", {"kernel.json": kernelspec})
    moorage("isolate", "--", *command, code=0, env={"JUPYTER_PATH": str(moorage.cwd / "share")})
    assert printed(moorage.cwd / "a b.ipynb") == f"{os.getuid()} {os.environ['HOME']}\n"


@pytest.fixture(scope="module")
def user():
    with ordinary_user() as user:
        user.equip()
        yield user


LIMIT = "echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --ambient-caps -all --inh-caps -all"
FORBIDDEN = ["unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", f'{LIMIT} "$@"', "sh"]
CONTAINER = "-all,+chown,+dac_override,+fowner,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+setfcap"


def test_an_ordinary_user_renders_isolated(user):
    folder = user.home / "demos"
    write(
        folder,
        {"a.py": script("import os; print(os.getuid(), os.getgid(), os.environ['HOME'], os.getcwd())")},
    )
    os.chown(folder, user.uid, user.gid)
    done = user.moorage("render", "a.py", "-o", "a.ipynb", "--isolate", "net", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert printed(folder / "a.ipynb") == f"{user.uid} {user.gid} {user.home} {folder}\n"
    assert (folder / "a.ipynb").stat().st_uid == user.uid


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to take rights away from")
def test_the_root_of_a_container_renders_isolated(user):
    folder = write(user.folder / "container", {"a.py": script("import os; print(os.getuid())")})
    os.chown(folder, 1001, 1001)  # as GitHub's runner owns the checkout
    rights = ["setpriv", "--inh-caps", "-all", "--bounding-set", CONTAINER]
    options = ["a.py", "-o", "a.ipynb", "--isolate", "net"]
    done = user.moorage("render", *options, before=rights, cwd=folder, as_root=True)
    assert done.returncode == 0, done.stderr
    assert printed(folder / "a.ipynb") == "0\n"


def test_where_it_is_forbidden_nothing_is_done(user):
    folder = user.home / "forbidden"
    write(folder, {"a.py": script("1")})
    os.chown(folder, user.uid, user.gid)
    done = user.moorage("render", "a.py", "--isolate", "net", before=FORBIDDEN, cwd=folder)
    assert done.returncode == 2
    start = (
        "error: no network namespace can be had here (E-ISOLATE). The limit user.max_user_namespaces is 0."
    )
    assert done.stderr.startswith(start)
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert [path.name for path in folder.iterdir()] == ["a.py"]


def test_nothing_is_left_when_a_run_is_killed(tmp_path):
    write(tmp_path, {"a.py": script("import time; open('started', 'w'); time.sleep(600)")})
    with typed_in(tmp_path) as moorage:
        process = moorage.start("render", "a.py", "--isolate", "net", "--no-cache")
        assert until((tmp_path / "started").exists, 60)
        process.kill()
        process.wait()
        assert until(lambda: not moorage.left())
